"""The frames of any clip, as a player shows them."""

import re
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image as Pillow

from dreamvid.errors import MediaError
from dreamvid.media.segments import read_segment
from dreamvid.media.stills import FORMATS, Picture, read_picture
from dreamvid.paths import what_is_at

PICTURES = (*FORMATS, ".gif")
"""Extensions of what Pillow reads, moving or not; all else is a video."""
ANIMATED = ("GIF", "WEBP", "PNG")
"""Pillow's formats whose frames follow in time; those of others are pages or previews."""
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""Colour matrix as files number it (ITU-T H.273) -> as swscale does."""
BT709, BT601 = 1, 5
RGB, UNKNOWN = 0, 2
LIMITED, FULL = 1, 2
"""Ranges of levels: 16 to 235, or 0 to 255."""
HDR = {16: "PQ", 18: "HLG"}
"""Transfer curves (ITU-T H.273) whose levels are not those of a common screen."""
# SWS_BILINEAR, FULL_CHR_H_INT and ACCURATE_RND, which older PyAV has no names for: without them
# swscale takes the nearest colour sample and rounds down.
EXACT = 2 | 0x2000 | 0x40000


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Every frame of a clip in order, upright, one in memory at a time.

    Colours follow the file's matrix and range; where it names none, limited range and BT.709 from
    720 lines on or BT.601 below, as players do. Transparent pictures lie on white.

    Args:
      path: MP4, MOV, MKV, WebM or any video FFmpeg reads, of which the first video stream counts;
        an animated GIF or WebP; a still, which is one frame; or a printf pattern of stills such as
        `frame-%05d.png`, read in the order of their numbers.

    Yields:
      uint8 (h, w, 3) RGB, all of one size.

    Raises:
      MediaError: While frames are drawn: there is no such clip, it holds no frame, is damaged or
        breaks off, changes its size, or has colours that 8-bit RGB cannot show (HDR).
    """
    first = None
    for index, frame in enumerate(_frames(path)):
        first = frame.shape if first is None else first
        if frame.shape != first:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (frame.shape, first)]
            raise MediaError(f"frame {index} of {path} has {sizes[0]} pixels, the first {sizes[1]}")
        yield frame
    if first is None:
        raise MediaError(f"{path} holds no frames: check that it was written to its end")


def rate(path: Path) -> Fraction | None:
    """The average number of frames a second; None where stills carry none.

    Raises:
      MediaError: There is no such clip, or it cannot be read.
    """
    if _find(path) is not None:
        return None
    if _is_animation(path):
        return _animation_rate(path)
    if path.suffix.lower() in FORMATS:
        return None
    try:
        with _open(path) as container:
            return _stream(container, path).average_rate
    except FFmpegError as error:
        raise _unreadable(path, error) from None


def first_file(path: Path) -> Path:
    """The clip's own file, or the first of the stills that a pattern names.

    Raises:
      MediaError: There is no such clip.
    """
    return (_find(path) or [path])[0]


def _frames(path: Path) -> Iterator[np.ndarray]:
    stills = _find(path)
    if stills is None and _is_animation(path):
        yield from _read_animation(path)
    elif stills is None and path.suffix == ".nut":  # a piece of a run
        for frame in read_segment(path):
            top = np.iinfo(frame.dtype).max
            yield np.round(frame * (255 / top)).astype(np.uint8)
    elif stills is None and path.suffix.lower() not in FORMATS:
        yield from _read_video(path)
    else:
        for still in stills or [path]:
            yield _levels(read_picture(still))


def _find(path: Path) -> list[Path] | None:
    """The stills that a pattern names; None for a path that is a file of its own.

    Raises:
      MediaError: It is neither.
    """
    lies = what_is_at(path)
    if lies == "file":
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty: it holds no clip")
        return None
    if lies != "nothing":
        raise MediaError(f"{path} is a {lies}, not a clip: name a file")
    stills = _numbered(path)
    if not stills:
        what = "stills match" if _pattern(path) else "clip at"
        raise MediaError(f"no {what} {path}: check the path")
    for number in range(min(stills), max(stills)):
        if number not in stills:
            # Read on, and the clip would be taken for whole.
            raise MediaError(f"{path} has no still number {number}: it is damaged or not finished")
    return [stills[number] for number in sorted(stills)]


def _pattern(path: Path) -> re.Match[str] | None:
    return re.fullmatch(r"([^%]*)%(?:0(\d{1,3}))?d([^%]*)", path.name)


def _numbered(path: Path) -> dict[int, Path]:
    """Number -> still, for all files that a printf pattern gives the name of."""
    pattern = _pattern(path)
    if pattern is None or what_is_at(path.parent) != "folder":
        return {}
    before, width, after = pattern[1], int(pattern[2] or 0), pattern[3]
    found = {}
    try:
        for file in path.parent.iterdir():
            digits = file.name[len(before) : len(file.name) - len(after)]
            if re.fullmatch("[0-9]{1,18}", digits):
                number = int(digits)
                if file.name == f"{before}{number:0{width}d}{after}":
                    found[number] = file
    except OSError as error:
        raise MediaError(f"{path.parent} cannot be read: {error.strerror}") from None
    return found


def _is_animation(path: Path) -> bool:
    if path.suffix.lower() not in PICTURES:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            with Pillow.open(path) as file:
                return file.format == "GIF" or (file.format in ANIMATED and _count(file) > 1)
    except Exception:  # Pillow raises nearly every kind; what else the file is, others find out
        return False


def _count(file: Pillow.Image) -> int:
    return getattr(file, "n_frames", 1)


def _read_animation(path: Path) -> Iterator[np.ndarray]:
    for picture in _animation(path):
        pixels = np.asarray(picture.convert("RGBA"), np.float32) / 255
        yield _levels(Picture(pixels[..., :3], pixels[..., 3]))


def _animation_rate(path: Path) -> Fraction:
    # Browsers show a frame that has no time of its own for a tenth of a second.
    spans = [picture.info.get("duration") or 100 for picture in _animation(path)]
    return Fraction(1000 * len(spans) / sum(spans)).limit_denominator(1001)


def _animation(path: Path) -> Iterator[Pillow.Image]:
    """One picture after another, in the same object."""
    try:
        with Pillow.open(path) as file:
            for index in range(_count(file)):
                file.seek(index)
                file.load()
                yield file
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise _unreadable(path, error) from None


def _levels(picture: Picture) -> np.ndarray:
    return np.round(255 * picture.flattened()).astype(np.uint8)


def _open(path: Path) -> InputContainer:
    # A name is a file's, absolute so that a colon in it makes no protocol, and no pattern of names.
    options = {"protocol_whitelist": "file", "pattern_type": "none"}
    return av.open(str(path.absolute()), options=options, metadata_errors="replace")


def _stream(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise MediaError(f"{path} has no video stream: name a clip with pictures")
    stream = container.streams.video[0]
    if curve := HDR.get(stream.codec_context.color_trc):
        raise MediaError(f"{path} is HDR video ({curve}): convert it to SDR first")
    return stream


def _read_video(path: Path) -> Iterator[np.ndarray]:
    try:
        with _open(path) as container:
            stream = _stream(container, path)
            end = _promised_end(container, stream)
            reached, pause = None, float(1 / (stream.average_rate or 25))
            for packet in container.demux(stream):
                for frame in packet.decode():
                    if packet.is_corrupt or frame.is_corrupt:
                        raise _unreadable(path, "a frame is not whole")
                    if frame.time is not None and frame.time_base is not None:
                        if reached is not None:
                            pause = max(pause, frame.time - reached)
                        held = getattr(frame, "duration", None) or 0  # older PyAV has none
                        reached = frame.time + float(held * frame.time_base)
                    yield _to_rgb(frame, path)
            # One frame may be missing unnoticed: times are rounded, and a duration may be unknown.
            if reached is not None and end is not None and reached + 1.5 * pause < end:
                raise _unreadable(path, f"it breaks off at {reached:.1f} of {end:.1f} seconds")
    except FFmpegError as error:
        raise _unreadable(path, error) from None


def _promised_end(container: InputContainer, stream: VideoStream) -> float | None:
    """When the stream ends by its file's own word, in seconds; None where it does not say.

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


def _to_rgb(frame: VideoFrame, path: Path) -> np.ndarray:
    pixels = _pixels(frame, path)
    return np.rot90(pixels, frame.rotation // 90) if frame.rotation else pixels


def _pixels(frame: VideoFrame, path: Path) -> np.ndarray:
    if frame.format.is_rgb and frame.format.components[0].bits > 8:
        # By hand, since swscale would make it half a level too bright.
        return np.round(frame.to_ndarray(format="rgb48le") / 257).astype(np.uint8)
    matrix, levels = BT709, FULL  # no matter which where the frame is RGB
    if not (frame.format.is_rgb or frame.format.has_palette):
        assumed = BT709 if frame.height >= 720 else BT601
        unnamed = frame.colorspace in (RGB, UNKNOWN)
        matrix = assumed if unnamed else MATRICES.get(frame.colorspace)
        levels = frame.color_range or (FULL if frame.format.name.startswith("gray") else LIMITED)
    if matrix is None:
        raise MediaError(f"{path} has colours of kind {frame.colorspace} (ITU-T H.273): convert it")
    return frame.to_ndarray(
        format="rgb24",
        src_colorspace=matrix,
        # Another one, or older PyAV sees nothing to convert; RGB itself has no matrix.
        dst_colorspace=BT601 if matrix == BT709 else BT709,
        src_color_range=levels,
        dst_color_range=FULL,
        interpolation=EXACT,
    )


def _unreadable(path: Path, error: Exception | str) -> MediaError:
    reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return MediaError(f"{path} cannot be read to its end ({reason}): make or copy it anew")
