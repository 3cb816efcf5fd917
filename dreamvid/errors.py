"""The errors a user can cause, each one line that names the thing, the value and a way out."""


class DreamError(Exception):
    """A mistake the user can mend; only `dreamvid.cli` catches it (exit code 2)."""


class OptionError(DreamError):
    """An option or argument has a value that cannot be used."""


class UnknownNameError(DreamError):
    """A name (of a layer, network, format ...) that dreamvid does not know."""


class WeightsError(DreamError):
    """A network's file is missing, damaged or of another kind."""


class MediaError(DreamError):
    """A picture or clip cannot be read or written."""
