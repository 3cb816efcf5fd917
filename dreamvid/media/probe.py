"""What a finished file says of itself."""

from pathlib import Path

import av
from av.error import FFmpegError
from PIL import Image as Pillow

from dreamvid.errors import MediaError
from dreamvid.media import exif, stills
from dreamvid.media.numbered import frames_at
from dreamvid.paths import what_is_at


def count_frames(path: Path) -> int:
    """The number of pictures in a clip's first video stream, counted one by one.

    Raises:
      MediaError: The file is no readable clip.
    """
    if path.suffix.lower() == ".webp":  # of which PyAV sees the first picture only
        return _count_webp(path)
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            pictures = container.demux(*container.streams.video[:1])
            return sum(packet.size > 0 for packet in pictures) if container.streams.video else 0
    except FFmpegError as error:
        raise MediaError(f"{path} is not a clip that can be read: {error}") from None


def _count_webp(path: Path) -> int:
    try:
        with Pillow.open(path) as picture:
            return getattr(picture, "n_frames", 1)
    except Exception as error:  # Pillow raises nearly every kind
        raise MediaError(f"{path} is not a clip that can be read: {error}") from None


def read_settings(path: Path) -> str:
    """The text that dreamvid left in a picture, a clip, or a sequence named as it was made.

    Raises:
      MediaError: There is no such file, or it carries no text of dreamvid's.
    """
    if what_is_at(path) == "nothing":
        path = next(iter(frames_at(path)), path)
    lies = what_is_at(path)
    if lies != "file":
        found = "there is nothing" if lies == "nothing" else f"there is a {lies}"
        raise MediaError(f"no file at {path}, {found}: check the path")
    text = _comment(path) or exif.unpack(stills.read_settings(path) or "")
    if text.startswith("# dreamvid"):
        return text
    raise MediaError(f"{path} carries no settings: it was not made by dreamvid, or was re-encoded")


def _comment(path: Path) -> str | None:
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            facts = {name.lower(): text for name, text in container.metadata.items()}
            return facts.get("comment")
    except FFmpegError:
        return None
