"""Ctrl-C and its kin: whatever asks the program to stop raises KeyboardInterrupt.

Work that can be gone on with asks to be left its frame: there the first one only sets a flag.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_asked = False
_patient = _was_patient = False


def catch() -> None:
    """Makes all of them behave like Ctrl-C, but those that our parent told us to ignore."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def asked_to_stop() -> bool:
    """Whether one of them has come."""
    return _asked


def was_patient() -> bool:
    """Whether there was work that ended by itself when one came."""
    return _was_patient


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Within it the first one leaves the work to end by itself, and the second raises."""
    global _patient, _was_patient
    _patient = _was_patient = True
    try:
        yield
    finally:
        _patient = False


def check() -> None:
    """Raises KeyboardInterrupt where one has come but was swallowed on its way.

    Python does that to an exception that meets it in a callback of the garbage collector.
    """
    if _asked and not _patient:
        raise KeyboardInterrupt


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    first, _asked = not _asked, True
    if not (first and _patient):
        raise KeyboardInterrupt
