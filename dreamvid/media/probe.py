"""What a finished file says of itself."""

import json
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from dreamvid.errors import MediaError
from dreamvid.media import stills
from dreamvid.paths import what_is_at


def count_frames(path: Path) -> int:
    """The number of pictures in a clip's first video stream, counted one by one.

    Raises:
      MediaError: The file is no readable clip.
    """
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            pictures = container.demux(*container.streams.video[:1])
            return sum(packet.size > 0 for packet in pictures) if container.streams.video else 0
    except FFmpegError as error:
        raise MediaError(f"{path} is not a clip that can be read: {error}") from None


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that dreamvid made a picture or clip with.

    Raises:
      MediaError: There is no such file, or it carries no settings of dreamvid's.
    """
    lies = what_is_at(path)
    if lies != "file":
        found = "there is nothing" if lies == "nothing" else f"there is a {lies}"
        raise MediaError(f"no file at {path}, {found}: check the path")
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            text = container.metadata.get("comment")
    except FFmpegError:
        text = None
    try:
        settings = json.loads(text or stills.read_settings(path) or "")
        if "dreamvid" in settings:
            return settings
    except (ValueError, TypeError):
        pass
    raise MediaError(f"{path} carries no settings: it was not made by dreamvid, or was re-encoded")
