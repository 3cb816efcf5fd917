"""What a process is set up with before it imports JAX: memory that stays, programs that are kept.

The command line does so; a program that uses dreamvid as a library may call `prepare` itself.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import sys
import warnings
from pathlib import Path

import platformdirs

ROOM = 2 << 30
"""Bytes of compiled programs that are kept; the longest unused go first."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h


def prepare() -> None:
    """Sets this process up for dreaming; to be called before JAX is imported.

    What the user's environment says goes first: JAX_COMPILATION_CACHE_DIR and the other variables
    of JAX's persistent cache, and MALLOC_* and GLIBC_TUNABLES.
    """
    keep_memory()
    keep_programs()


def keep_memory() -> None:
    """Has glibc keep the memory that XLA gives back after each program, for the next one.

    A step of the ascent needs 100 MB and more for a moment. By default they come new from the
    system each time, as 35,000 empty pages, which took a fifth of the step (measured on two cores,
    640x360 to mixed4c). Elsewhere than with glibc it does nothing.
    """
    told = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if told or any(name.startswith("MALLOC_") for name in os.environ):
        return
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    # What is larger is given back at once: kept, it would leave holes that nothing else fits into
    # (a picture of 7680x4320 took 9 GB then, and 5 GB so).
    settings = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: 1 << 29, _M_TRIM_THRESHOLD: 1 << 30}
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for name, value in settings.items():
            libc.mallopt(name, value)


def keep_programs() -> None:
    """Has JAX keep compiled programs between runs, in a folder that only this user can read."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = programs()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return  # it is but quicker with one
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(ROOM))
    # By default what compiles within a second is not kept, and a run has dozens of those.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # A full disk or a damaged program is none of the user's concern: it is compiled anew.
    warnings.filterwarnings(
        "ignore", message=".*persistent compilation cache", category=UserWarning
    )


def programs() -> Path:
    """The folder of compiled programs: one for each kind of processor, as they fit no other."""
    folder = platformdirs.user_cache_path("dreamvid", appauthor=False)
    kind = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return folder / f"programs-{hashlib.sha256(kind.encode()).hexdigest()[:8]}"
