"""The pictures of a video file, one after another, each with its time."""

import math
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
from av.error import BlockingIOError, EOFError, FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.colours import depth_of, levels_of, to_rgb
from dreamvid.media.decode import (
    BreaksOffError,
    held,
    open_video,
    promised_end,
    unreadable,
    video_stream,
)

SMALL = 160
"""Pixels of the longer side of small copies."""
RUN_UP = Fraction(1)
"""Seconds: a key frame so long before a picture is followed by all that the picture needs."""


@dataclass(frozen=True)
class Shown:
    """A picture as it comes, good until the next one is asked for."""

    time: Fraction
    """Second of the source's clock at which it is shown."""
    span: Fraction
    """How long, in seconds; 0 where the source does not say."""
    size: Size
    """Upright."""
    depth: int
    """Bits of its pixels: 8 or 16."""
    digest: int
    """Of the pixels as they are stored."""
    small: Callable[[], np.ndarray]
    """Gives a rough small copy, uint8 (h, w, 3), BGR."""
    pixels: Callable[[], np.ndarray]
    """Gives the pixels upright, uint8 or uint16 (h, w, 3), RGB."""
    interlaced: bool = False
    damaged: bool = False


@dataclass(frozen=True)
class Video:
    """A file that FFmpeg decodes: see `dreamvid.media.sources.Source`."""

    path: Path
    begin: Fraction = Fraction(0)
    tick: Fraction = Fraction(0)
    rates: tuple[Fraction, ...] = ()
    aspect: Fraction = Fraction(1)
    curve: int | None = None
    """The transfer curve of its stream (ITU-T H.273)."""
    deinterlaced: bool = False
    """Whether pictures that are interlaced are deinterlaced."""
    careful: bool = False
    """Whether it is read in one go on one thread, since what is damaged depends on that."""
    still: bool = False
    """Whether it is a picture that cannot move."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Looks at the first picture.

        Raises:
          MediaError: There is none.
        """
        with open_video(path) as container:
            stream = video_stream(container, path)
            aspect = stream.sample_aspect_ratio or Fraction(1)
            rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
            found = cls(
                path,
                tick=stream.time_base or Fraction(0),
                rates=tuple(rate for rate in rates if rate),
                curve=stream.codec_context.color_trc,
                still=container.format.name.endswith("_pipe") or container.format.name == "image2",
            )
        for decoded in found._decode():
            if decoded is not None:
                frame, shown = decoded
                upright = 1 / aspect if _turns(frame) % 2 else aspect
                return replace(found, begin=shown.time, aspect=upright)
        raise MediaError(f"{path} has no picture that can be decoded: make or copy it anew")

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        return (self.path,)

    def shown(self, start: Fraction | None = None) -> Iterator[Shown | None]:
        """See `Source`.

        Raises:
          MediaError: It breaks off.
        """
        decoded = self._decode()
        if start is not None and start > self.begin + 2 * RUN_UP and not self.careful:
            entered = self._decode(start - RUN_UP)
            first = next(entered, None)
            # Not every file can be entered where its index says.
            if first is not None and first[1].time <= start - RUN_UP:
                decoded = chain((first,), entered)
        if self.deinterlaced:
            return self._deinterlace(decoded)
        return (pair and pair[1] for pair in decoded)

    def _decode(self, start: Fraction | None = None) -> "Iterator[_Decoded | None]":
        """From the last key frame before a second of the file's clock on, where one is found."""
        with open_video(self.path) as container:
            stream = video_stream(container, self.path)
            stream.thread_type = "SLICE" if self.careful else "AUTO"
            clock = _Clock(1 / self.rates[0] if self.rates else Fraction(1, 25))
            try:
                if start is not None and stream.time_base:
                    container.seek(int(start / stream.time_base), stream=stream)
                for packet in container.demux(stream):
                    try:
                        frames = packet.decode()
                    except FFmpegError:
                        yield None
                        continue
                    for frame in frames:
                        damaged = packet.is_corrupt or frame.is_corrupt
                        yield frame, self._shown(frame, clock.read(frame), damaged)
            except FFmpegError as error:
                raise self._breaks_off(clock, f"seconds: {error.strerror}", None) from None
            end = promised_end(container, stream)
            # One frame may be missing unnoticed: times are rounded, and a span may be unknown.
            if end is not None and clock.reached + 1.5 * clock.pause < end:
                whole = end - float(self.begin)
                raise self._breaks_off(clock, f"of {whole:.1f} seconds", whole)

    def _shown(self, frame: VideoFrame, time: Fraction, damaged: bool) -> Shown:
        stored = Size(frame.width, frame.height)
        return Shown(
            time=time,
            span=held(frame),
            size=Size(stored.height, stored.width) if _turns(frame) % 2 else stored,
            depth=depth_of(frame),
            digest=_digest(frame),
            small=partial(_copy_small, frame),
            pixels=partial(self._upright, frame, _turns(frame)),
            interlaced=frame.interlaced_frame,
            damaged=damaged,
        )

    def _upright(self, frame: VideoFrame, turns: int) -> np.ndarray:
        pixels = to_rgb(frame, self.path, self.curve)
        return np.ascontiguousarray(np.rot90(pixels, turns))

    def _deinterlace(self, decoded: "Iterator[_Decoded | None]") -> Iterator[Shown | None]:
        """A picture out for each one in: of those that are interlaced, fields become frames."""
        waiting: deque[tuple[Shown, int]] = deque()
        graph: Graph | None = None
        kind = (0, 0, "")
        for pair in decoded:
            if pair is None:
                yield None
                continue
            frame, shown = pair
            if graph is None or kind != (frame.width, frame.height, frame.format.name):
                yield from self._pull(graph, waiting, flush=True)
                kind = (frame.width, frame.height, frame.format.name)
                graph = _deinterlacer(frame)
            waiting.append((shown, _turns(frame)))
            graph.push(frame)
            yield from self._pull(graph, waiting)
        yield from self._pull(graph, waiting, flush=True)

    def _pull(
        self, graph: Graph | None, waiting: deque[tuple[Shown, int]], flush: bool = False
    ) -> Iterator[Shown]:
        if graph and flush:
            graph.push(None)
        while graph and waiting:
            try:
                frame = graph.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, VideoFrame)
            shown, turns = waiting.popleft()
            yield replace(shown, pixels=partial(self._upright, frame, turns))

    def _breaks_off(self, clock: "_Clock", reason: str, whole: float | None) -> MediaError:
        if clock.last is None:
            return unreadable(self.path, reason)
        reached = float(clock.reached - self.begin)
        reason = f"it breaks off at {reached:.1f} {reason}"
        # A tenth that is surely reached.
        second = math.floor(10 * (clock.last - self.begin)) / 10
        return BreaksOffError(self.path, reason, second, reached / whole if whole else 0)


_Decoded = tuple[VideoFrame, Shown]


class _Clock:
    """Gives each picture a time after the one before, whatever the file says."""

    def __init__(self, step: Fraction):
        self.last: Fraction | None = None
        """When the last picture is shown, in seconds of the file's clock."""
        self.reached = Fraction(0)
        """When it has been shown."""
        self.pause = step
        """The longest time without a picture, and at least that of one."""
        self._step = step
        self._shift = Fraction(0)

    def read(self, frame: VideoFrame) -> Fraction:
        tick = frame.time_base or Fraction(1, 1000)
        if frame.pts is not None:
            time = frame.pts * tick + self._shift
        else:  # of raw streams
            time = Fraction(0) if self.last is None else self.last + self._step
        if self.last is not None:
            if time < self.last - 1:  # files that were joined: it counts anew
                self._shift += self.last + self._step - time
                time = self.last + self._step
            time = max(time, self.last + tick)
            self.pause = max(self.pause, time - self.reached)
        self.last, self.reached = time, time + held(frame)
        return time


def _turns(frame: VideoFrame) -> int:
    """Quarters of a turn, to the left, that set it upright."""
    return round(frame.rotation / 90) % 4


def _digest(frame: VideoFrame) -> int:
    plane = frame.planes[0]
    used = min(plane.width * -(-frame.format.components[0].bits // 8), plane.line_size)
    return zlib.crc32(np.ascontiguousarray(levels_of(plane, np.uint8)[:, :used]).data)


def small_size(size: Size) -> Size:
    """A size of the same shape with no side above `SMALL`."""
    scale = min(SMALL / max(size.width, size.height), 1)
    return Size(max(round(size.width * scale), 1), max(round(size.height * scale), 1))


def _copy_small(frame: VideoFrame) -> np.ndarray:
    size = small_size(Size(frame.width, frame.height))
    return frame.to_ndarray(
        width=size.width, height=size.height, format="bgr24", interpolation="AREA"
    )


def _deinterlacer(frame: VideoFrame) -> Graph:
    graph = Graph()
    begin = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    middle = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    end = graph.add("buffersink")
    begin.link_to(middle)
    middle.link_to(end)
    graph.configure()
    return graph
