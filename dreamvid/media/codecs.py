"""What clips can be encoded with, and how the user's choices become one encoding."""

import itertools
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Protocol

import av
import imageio_ffmpeg
import numpy as np

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.tracks import Sound, Tracks
from dreamvid.options import LARGEST_SIDE, Output
from dreamvid.registry import unknown_name


@dataclass(frozen=True)
class Codec:
    """A way to encode pictures."""

    name: str
    """What --codec calls it."""
    pix_fmt: str
    """ffmpeg's name of the pixel format where the user names none."""
    encoder: str = ""
    """ffmpeg's name of the encoder; empty where we encode without ffmpeg."""
    arguments: tuple[str, ...] = ()
    """What the encoder is told in any case."""
    crf: tuple[int, int, int] | None = None
    """The best, ours and the worst; None where it has no such scale."""
    presets: tuple[str, ...] = ()
    """The names it has for its speeds."""
    preset: str = ""
    """The speed where the user names none."""
    preset_flag: str = "-preset"
    tag: str = ""
    """The name of the codec in the file, where ffmpeg's choice will not do."""
    one_pix_fmt: bool = False
    """Whether there is no other pixel format than `pix_fmt`."""
    smallest: int = 1
    """Pixels of the shortest side it can encode."""


_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower",
         "veryslow", "placebo")  # fmt: skip
H264 = Codec("h264", "yuv420p", "libx264", (), (0, 18, 51), _X26X, "medium")
HEVC = Codec(
    "hevc",
    "yuv420p10le",
    "libx265",
    ("-x265-params", "log-level=error"),
    (0, 20, 51),
    _X26X,
    "medium",
    smallest=32,  # at 34x16 libx265 4 crashes
)
HVC1 = replace(HEVC, tag="hvc1")
"""HEVC as Apple's players want it tagged."""
AV1 = Codec(
    "av1",
    "yuv420p10le",
    "libsvtav1",
    (),
    (1, 24, 63),  # 0 means unset to ffmpeg
    tuple(str(speed) for speed in range(14)),
    "6",
)
VP9 = Codec(
    "vp9",
    "yuv420p",
    "libvpx-vp9",
    ("-b:v", "0", "-row-mt", "1"),
    (0, 22, 63),
    tuple(str(speed) for speed in range(6)),
    "2",
    "-cpu-used",
)
PRORES = Codec("prores", "yuv422p10le", "prores_ks", ("-vendor", "apl0"))  # 4444 where 4:4:4
# bgr0 is what FFV1 calls plain 8-bit RGB.
FFV1 = Codec("ffv1", "bgr0", "ffv1", ("-level", "3", "-g", "1", "-slices", "16", "-slicecrc", "1"))
GIF = Codec("gif", "pal8", "gif", one_pix_fmt=True)
WEBP = Codec("webp", "rgb24", one_pix_fmt=True)
PNG = Codec("png", "rgb24", one_pix_fmt=True)
PNG16 = Codec("png16", "rgb48be", one_pix_fmt=True)


class Sink(Protocol):
    """Takes the frames of a clip, in order."""

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame: (height, width, 3), RGB, uint8 or uint16 as `Encoding.depth` says.

        Raises:
          MediaError: It cannot be written.
        """
        ...

    def close(self) -> None:
        """Completes the file and checks it.

        Raises:
          MediaError: It is not whole.
        """
        ...

    def abort(self) -> None:
        """Stops at once; what is in the file then is of no use."""
        ...


@dataclass(frozen=True)
class Format:
    """A kind of output file."""

    sink: Callable[[Path, "Encoding"], Sink]
    codecs: tuple[Codec, ...]
    """Those it can hold, the default first."""
    flags: tuple[str, ...] = ()
    """What ffmpeg is told of the file."""
    sound: Sound | None = None
    """None where it is silent."""
    keeps_aspect: bool = False
    """Whether its pixels may be other than square."""
    fastest: int = 1000
    """Frames a second; players slow down what is faster."""
    largest_side: int = LARGEST_SIDE
    """Pixels; there is no room for more."""
    numbered: bool = False
    """Whether the frames are files of their own."""


@dataclass(frozen=True, kw_only=True)
class Showing:
    """How the pictures of a clip are shown, and what goes along with them."""

    fps: Fraction
    """Pictures a second; where `times` are given on average, so that the last one ends at
    len(times) / fps."""
    size: Size | None = None
    """Of the pictures; None where it is not known yet."""
    times: tuple[Fraction, ...] | None = None
    """When each picture is shown, in seconds from the first on: exact to a microsecond, or to the
    format's clock (.mkv and .webm ms, .gif 1/100 s; a sequence has none); None where the rate is
    constant."""
    aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    sound: Path | None = None
    """A file whose first sound the clip has, cut to its length."""
    tracks: Tracks | None = None
    """What goes along from a film, as far as the format has room for it; no `sound` then."""

    def shown(self, index: int) -> Fraction:
        """When a picture is shown, in seconds; that after the last one, when the clip ends."""
        times = self.times or ()
        if index < len(times):
            return times[index]
        last = times[-1] if times else Fraction(-1)
        return index / self.fps if index / self.fps > last else last + 1 / self.fps


@dataclass(frozen=True, kw_only=True)
class Encoding(Showing):
    """All that is known of a clip before its first frame."""

    output: Path
    """The file as the user names it, for messages."""
    format: Format
    codec: Codec
    pix_fmt: str
    crf: int | None
    preset: str
    settings: str = ""

    @property
    def pixels(self) -> av.VideoFormat:
        """What PyAV knows of the pixel format."""
        return av.VideoFormat(self.pix_fmt)

    @property
    def steps(self) -> tuple[int, int]:
        """Of how many pixels a width and a height have to be multiples."""
        return 16 // self.pixels.chroma_width(16), 16 // self.pixels.chroma_height(16)

    @property
    def depth(self) -> int:
        """Bits of a channel that is handed over: 8, or 16 where more than 8 are kept."""
        return 16 if max(part.bits for part in self.pixels.components) > 8 else 8


def choose(path: Path, form: Format, showing: Showing, output: Output) -> Encoding:
    """Turns the user's choices into an encoding.

    Raises:
      MediaError: A choice is one that the codec does not have, or ffmpeg lacks the codec.
      UnknownNameError: There is no such codec in this kind of file, preset or pixel format.
    """
    codecs = {codec.name: codec for codec in form.codecs}
    name = output.codec or form.codecs[0].name
    if name not in codecs:
        see = f"Known: {', '.join(codecs)}"
        raise unknown_name("codec", name, codecs, see, f"{path.suffix.lower()} files")
    codec = codecs[name]
    if output.crf is not None:
        if codec.crf is None:
            raise MediaError(f"--crf is {output.crf}, but codec {name} has no such scale: omit it")
        best, _, worst = codec.crf
        if not best <= output.crf <= worst:
            raise MediaError(f"--crf is {output.crf}: with {name} it must be {best} to {worst}")
    if output.preset is not None and output.preset not in codec.presets:
        if not codec.presets:
            raise MediaError(f"--preset is {output.preset!r}, but codec {name} has none: omit it")
        see = f"Known: {', '.join(codec.presets)}"
        raise unknown_name("preset", output.preset, codec.presets, see, name)
    _check_pixels(codec, output.pix_fmt)
    return Encoding(
        **vars(showing),
        output=path,
        format=form,
        codec=codec,
        pix_fmt=output.pix_fmt or codec.pix_fmt,
        crf=codec.crf and (codec.crf[1] if output.crf is None else output.crf),
        preset=output.preset or codec.preset,
    )


def _check_pixels(codec: Codec, chosen: str | None) -> None:
    if codec.one_pix_fmt and chosen is not None:
        raise MediaError(f"--pix-fmt is {chosen!r}, but codec {codec.name} has only one: omit it")
    known = pixel_formats(executable(), codec.encoder) if codec.encoder else ()
    name = chosen or codec.pix_fmt
    if known and name not in known:
        of = f"this ffmpeg's {codec.encoder}"
        raise unknown_name("pixel format", name, known, f"Known: {', '.join(known)}", of)


def check_shape(encoding: Encoding) -> None:
    """Refuses a rate or a size that the codec or the kind of file cannot have.

    Raises:
      MediaError: One line with the nearest that will do.
    """
    form, name = encoding.format, encoding.output.suffix.lower()
    if encoding.fps > form.fastest:
        raise MediaError(
            f"{encoding.fps} frames a second are too many for {name}: "
            f"choose --fps {form.fastest} or less, or a .mp4"
        )
    spans = itertools.pairwise(encoding.times or ())
    if any(later - earlier < Fraction(1, form.fastest) for earlier, later in spans):
        raise MediaError(
            f"some frames follow sooner than {name} can show them: "
            f"choose --fps {form.fastest} or less, or a .mp4"
        )
    if encoding.aspect != 1 and not form.keeps_aspect:
        raise MediaError(
            f"{name} files have square pixels, not {encoding.aspect} as wide as high: "
            "choose another size, or a .mp4"
        )
    if encoding.size:
        _check_size(encoding.size, encoding)


def _check_size(size: Size, encoding: Encoding) -> None:
    codec, (across, down) = encoding.codec, encoding.steps
    fitting = Size(size.width // across * across, size.height // down * down)
    if fitting != size:
        raise MediaError(
            f"size {size} has an odd side, which {codec.name} in {encoding.pix_fmt} cannot have: "
            f"use {fitting}"
        )
    low, high = codec.smallest, encoding.format.largest_side
    if min(size.width, size.height) < low or max(size.width, size.height) > high:
        fitting = Size(*(min(max(side, low), high) for side in (size.width, size.height)))
        where = f"{codec.name} in {encoding.output.suffix.lower()}"
        raise MediaError(
            f"size {size} is not within {low} to {high} pixels a side of {where}: use {fitting}"
        )


def executable() -> str:
    """The ffmpeg to use.

    Raises:
      MediaError: There is none.
    """
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise no_ffmpeg(error) from None


def no_ffmpeg(error: Exception) -> MediaError:
    """What is told where ffmpeg does not start."""
    return MediaError(
        f"ffmpeg cannot be started ({error}): reinstall imageio-ffmpeg, "
        "or let IMAGEIO_FFMPEG_EXE name one"
    )


@cache
def pixel_formats(ffmpeg: str, encoder: str) -> tuple[str, ...]:
    """The pixel formats that an encoder of an ffmpeg takes.

    Raises:
      MediaError: It does not start, or has no such encoder.
    """
    command = [ffmpeg, "-hide_banner", "-h", f"encoder={encoder}"]
    try:
        told = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).stdout
    except OSError as error:
        raise no_ffmpeg(error) from None
    found = re.search(r"Supported pixel formats: (.*)", told.decode(errors="replace"))
    if not found:
        raise MediaError(
            f"the ffmpeg at {ffmpeg} has no encoder {encoder}: choose another --codec, "
            "or unset IMAGEIO_FFMPEG_EXE"
        )
    # yuvj is full range, which we do not tag.
    return tuple(name for name in found[1].split() if "yuvj" not in name and _is_known(name))


def _is_known(pix_fmt: str) -> bool:
    try:
        return bool(av.VideoFormat(pix_fmt).components)
    except ValueError:
        return False
