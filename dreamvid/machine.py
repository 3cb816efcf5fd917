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
_KEPT = {"arena_max": 1, "mmap_threshold": 1 << 27, "trim_threshold": 1 << 30}
"""Of glibc's malloc: what is larger than 128 MB comes from the system and goes back at once; of the
rest, all is kept for the next program."""
_NUMBERS = {"arena_max": -8, "mmap_threshold": -3, "trim_threshold": -1}
"""What its malloc.h calls them."""
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

    What is left of it, zeroing the pages, is spared up to 128 MB by keeping them. Kept memory gets
    holes, and larger ones would fill the computer: a still of 1920x1080 took 2.4 GB, and 1.9 so.
    With nothing kept a full-width step at 640x360 takes 450 MB for 700 and more, a dream 5 % more
    time, and the first one 17 seconds for 22, as threads that compile share what is kept: for that
    set GLIBC_TUNABLES=glibc.malloc.hugetlb=1.
    """
    if not _is_ours_to_tune() or "[madvise]" not in _huge_pages():
        return
    told = os.environ.get("GLIBC_TUNABLES")
    settings = {**_KEPT, "hugetlb": 1}
    tunables = [f"glibc.malloc.{name}={value}" for name, value in settings.items()]
    os.environ["GLIBC_TUNABLES"] = ":".join([*([told] if told else []), *tunables])
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def keep_memory() -> None:
    """Has glibc keep the memory that XLA gives back after each program, for the next one.

    For where there are no huge pages, or it is too late to ask for them, and glibc.
    """
    if not _is_ours_to_tune():
        return
    # Small pages are kept up to 512 MB at a time. Not more: a picture of 7680x4320 took 9 GB, and
    # 5 GB so.
    kept = _KEPT if "[always]" in _huge_pages() else {**_KEPT, "mmap_threshold": 1 << 29}
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for name, value in kept.items():
            libc.mallopt(_NUMBERS[name], value)


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
