"""A recipe: all that decides what a render looks like, checked and ready to be written down."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dreamvid import __version__
from dreamvid.options import Anchors, Ascent, Camera, Clip, General, Size


@dataclass(frozen=True)
class Recipe:
    """The options of one render, in groups. A still is a clip of one frame."""

    general: General = General()
    ascent: Ascent = Ascent()
    camera: Camera = Camera()
    anchors: Anchors = Anchors()
    clip: Clip = Clip()

    def settings(
        self, source: str, digest: str, groups: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """The recipe as JSON values, for a finished file's metadata.

        Args:
          source: The name of the picture it began with.
          digest: The sha256 of the network.
          groups: Those that matter; all of them where None.
        """
        settings: dict[str, Any] = {
            "dreamvid": __version__,
            "source": source,
            "network_sha256": digest,
        }
        for name in groups or vars(self):
            options = vars(getattr(self, name))
            settings[name] = {key: _plain(value) for key, value in options.items()}
        return settings


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Size | Fraction) else value


CLASSIC = Recipe()
"""What `dreamvid image` does where the user says nothing: the 2015 program's dream."""

ZOOM = Recipe(ascent=Ascent(layer="mixed4e", steps=2))
"""What `dreamvid zoom` does where the user says nothing: quick enough for two cores."""
