"""Video files opened with care: local, whole, and with a stream of pictures."""

import errno
import re
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dreamvid.errors import MediaError

LISTS = {"hls", "concat", "dash", "imf", "sdp", "rtsp"}
"""FFmpeg's formats that hold no pictures, but tell where some are."""


def open_video(path: Path) -> InputContainer:
    """Opens a file that FFmpeg reads, as the file it is and nothing else.

    Raises:
      MediaError: It is no such file.
    """
    options = {
        # A name is a file's, absolute so that a colon in it makes no protocol, and no pattern.
        "protocol_whitelist": "file",
        "pattern_type": "none",
        "format_whitelist": ",".join(sorted(av.formats_available - LISTS)),
    }
    try:
        return av.open(str(path.absolute()), options=options, metadata_errors="replace")
    except FFmpegError as error:
        if error.errno == errno.EINVAL:  # not one of those formats
            raise MediaError(
                f"{path} is no clip, or a list of clips that lie elsewhere: name a clip itself"
            ) from None
        raise unreadable(path, error) from None


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first stream of moving pictures.

    Raises:
      MediaError: There is none, or none that can be decoded.
    """
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:  # the cover of an album
            continue
        if stream.codec_context is None:
            raise MediaError(f"{path} has pictures of a kind that FFmpeg cannot decode: convert it")
        return stream
    raise MediaError(f"{path} has no video stream: name a clip with pictures")


def held(frame: VideoFrame) -> Fraction:
    """How long a frame is shown by its own word, in seconds; 0 where it does not say."""
    ticks = getattr(frame, "duration", None) or 0  # older PyAV has none
    return ticks * (frame.time_base or Fraction(0))


def promised_end(container: InputContainer, stream: VideoStream) -> float | None:
    """When a stream ends by its file's own word, in seconds; None where it does not say.

    FFmpeg ends a file that breaks off between two frames as if it were whole.
    """
    if "mov" in container.format.name and stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    if "avi" in container.format.name and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if "matroska" not in container.format.name or not container.duration:
        return None
    whole = container.duration / 1e6
    said = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
    if said is None:  # another stream may be the longer one
        return whole if len(container.streams) == 1 else None
    return min(whole, 3600 * int(said[1]) + 60 * int(said[2]) + float(said[3]))


class BreaksOffError(MediaError):
    """A file ends before its time."""

    def __init__(self, path: Path, reason: str, second: float, share: float):
        """It does.

        Args:
          path: The file.
          reason: Where and how.
          second: To which it can be read, counted from its first picture.
          share: How much of it can be read, 0 to 1.
        """
        super().__init__(str(unreadable(path, reason)))
        self.reason = reason
        self.second = second
        self.share = share


def unreadable(path: Path, error: Exception | str) -> MediaError:
    """What is said of a file that fails."""
    reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return MediaError(f"{path} cannot be read to its end ({reason}): make or copy it anew")
