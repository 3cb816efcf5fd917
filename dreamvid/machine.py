"""What a process is set up with before it imports JAX: quick memory, programs that are kept.

The command line does so; a program that uses dreamvid as a library may call `prepare` itself, and
`use_huge_pages` first of all.
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
_TUNABLE = "glibc.malloc.hugetlb=1"
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def prepare() -> None:
    """Sets this process up for dreaming; to be called before JAX is imported.

    What the user's environment says goes first: JAX_COMPILATION_CACHE_DIR and the other variables
    of JAX's persistent cache, and MALLOC_* and GLIBC_TUNABLES.
    """
    keep_memory()
    keep_programs()


def use_huge_pages() -> None:
    """Starts this process anew, once, where only so glibc takes large memory as huge pages.

    A step of the ascent needs 100 MB and more for a moment, a large one a gigabyte. By default they
    come new from the system each time, as 35,000 empty pages and more, which take a fifth of the
    step (measured on two cores, 640x360 to mixed4c); of huge pages there are five hundred times
    fewer. Linux has them for whoever asks, and glibc asks if it is told to when a process starts.

    `keep_memory` spares the pages too, but leaves holes that nothing fits into any more, and has
    the threads that compile wait for each other: a process holds 860 MB where it holds 450 so, 2.4
    GB of a still of 1920x1080 for 1.6, and the first picture comes after 24 seconds for 17.
    """
    if not _is_ours_to_tune() or "[madvise]" not in _huge_pages():
        return
    told = os.environ.get("GLIBC_TUNABLES")
    os.environ["GLIBC_TUNABLES"] = f"{told}:{_TUNABLE}" if told else _TUNABLE
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def keep_memory() -> None:
    """Has glibc keep the memory that XLA gives back after each program, for the next one.

    For where there are no huge pages, or it is too late for them, and glibc.
    """
    if not _is_ours_to_tune() or "[always]" in _huge_pages():
        return
    # What is larger is given back at once: kept, it would leave holes that nothing else fits into
    # (a picture of 7680x4320 took 9 GB then, and 5 GB so).
    settings = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: 1 << 29, _M_TRIM_THRESHOLD: 1 << 30}
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for name, value in settings.items():
            libc.mallopt(name, value)


def _is_ours_to_tune() -> bool:
    """Whether memory is glibc's, and the user has said nothing of it."""
    told = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if told or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _huge_pages() -> str:
    """Who gets huge pages, with the word that counts in brackets: always, madvise or never."""
    try:
        return _HUGE_PAGES.read_text()
    except OSError:
        return ""


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
