"""Ctrl-C and its kin: whatever asks the program to stop raises KeyboardInterrupt."""

import signal
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_asked = False


def catch() -> None:
    """Makes all of them behave like Ctrl-C, but those that our parent told us to ignore."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def asked_to_stop() -> bool:
    """Whether one of them has come."""
    return _asked


def check() -> None:
    """Raises KeyboardInterrupt where one has come but was swallowed on its way.

    Python does that to an exception that meets it in a callback of the garbage collector.
    """
    if _asked:
        raise KeyboardInterrupt


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
