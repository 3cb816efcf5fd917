"""A recipe: all that decides what a render looks like, checked and ready to be written down."""

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

    def settings(self, source: str, digest: str) -> dict[str, Any]:
        """The recipe as JSON values, for a finished file's metadata.

        Args:
          source: The name of the picture it began with.
          digest: The sha256 of the network.
        """
        settings: dict[str, Any] = {
            "dreamvid": __version__,
            "source": source,
            "network_sha256": digest,
        }
        for name, group in vars(self).items():
            settings[name] = {key: _plain(value) for key, value in vars(group).items()}
        return settings


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Size | Fraction) else value


IMAGE = Recipe()
"""What `dreamvid image` does where the user says nothing: the 2015 program's dream."""

ZOOM = Recipe(ascent=Ascent(layer="mixed4e", steps=2, octaves=4, rate=2.0))
"""What `dreamvid zoom` does where the user says nothing: quick enough for two cores."""
