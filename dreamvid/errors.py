"""The errors a user can cause, each one line that names the thing, the value and a way out."""


class DreamError(Exception):
    """A mistake the user can mend; only `dreamvid.cli` catches it (exit code 2)."""


class OptionError(DreamError):
    """An option has a value that cannot be used."""

    def __init__(self, name: str, problem: str, excerpt: str = ""):
        """A mistake in one option.

        Args:
          name: The option as the user knows it, for example "--rate" or "ascent.rate".
          problem: What is wrong with it and what would do, after the name.
          excerpt: Lines that show the place, to be printed below.
        """
        super().__init__(f"{name} {problem}")
        self.problem = problem
        self.excerpt = excerpt


class ScheduleError(DreamError):
    """A schedule's text cannot be read, or gives values that cannot be used."""

    def __init__(self, message: str, text: str, position: int):
        """A mistake at one place of a text.

        Args:
          message: One line that says what is wrong there.
          text: All of the schedule's text.
          position: Where in it, counted from 0.
        """
        super().__init__(message)
        self.text = text
        self.position = position

    def excerpt(self, width: int = 76) -> str:
        """Two lines: the text around the place, and a caret below it."""
        start = max(0, min(self.position - width // 2, len(self.text) - width))
        shown = "".join(c if c.isprintable() else " " for c in self.text[start : start + width])
        return f"{shown}\n{' ' * (self.position - start)}^"


class UnknownNameError(DreamError):
    """A name (of a layer, network, format ...) that dreamvid does not know."""


class WeightsError(DreamError):
    """A network's file is missing, damaged or of another kind."""


class MediaError(DreamError):
    """A picture or clip cannot be read or written."""


class Stopped(Exception):  # noqa: N818 - no error
    """Work ended early because the user asked for it; nothing is lost."""
