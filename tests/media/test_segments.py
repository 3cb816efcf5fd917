"""Segments give back what was written, bit for bit, or say that they cannot."""

import resource
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.segments import SegmentWriter, count_segment, read_segment

FPS = Fraction(24000, 1001)


def frames_of(size: Size, depth: int, count: int) -> list[np.ndarray]:
    """Noise and flat frames by turns."""
    kind = np.uint8 if depth == 8 else np.uint16
    generator = np.random.default_rng(0)
    shape = (size.height, size.width, 3)
    noise = [generator.integers(0, 2**depth, shape).astype(kind) for _ in range(count)]
    flat = [np.full(shape, value * 5, kind) for value in range(count)]
    return [frame for pair in zip(noise, flat, strict=True) for frame in pair][:count]


def write(path: Path, frames: list[np.ndarray], depth: int) -> Path:
    size = Size(frames[0].shape[1], frames[0].shape[0])
    writer = SegmentWriter(path, size, FPS, depth)
    try:
        for frame in frames:
            writer.write(frame)
        writer.close()
    finally:
        writer.abort()
    return path


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("size", ["64x48", "16x16", "17x31", "33x16", "320x180"])
def test_frames_come_back_bit_for_bit(tmp_path: Path, size: str, depth: int):
    frames = frames_of(Size.parse(size), depth, 7)
    path = write(tmp_path / "a.nut", frames, depth)
    assert count_segment(path) == 7
    for reverse in (False, True):
        found = list(read_segment(path, reverse))
        assert [frame.dtype for frame in found] == [frames[0].dtype] * 7
        for frame, seen in zip(frames[:: -1 if reverse else 1], found, strict=True):
            np.testing.assert_array_equal(seen, frame)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_damaged_is_told(tmp_path: Path, reverse: bool):
    path = write(tmp_path / "a.nut", frames_of(Size(32, 16), 8, 4), 8)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 97), len(whole) - 1]:
        flipped = bytearray(whole)
        flipped[place] ^= 4
        for damaged in (whole[:place], bytes(flipped)):
            path.write_bytes(damaged)
            with pytest.raises(MediaError, match="is damaged or was never closed"):
                list(read_segment(path, reverse))
            with pytest.raises(MediaError):
                count_segment(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(MediaError):
        count_segment(path)


def test_a_segment_that_was_not_closed_is_none(tmp_path: Path):
    path = tmp_path / "a.nut"
    writer = SegmentWriter(path, Size(64, 48), FPS, 8)
    for frame in frames_of(Size(64, 48), 8, 30):
        writer.write(frame)
    writer.abort()
    with pytest.raises(MediaError, match="never closed"):
        count_segment(path)
    with pytest.raises(MediaError, match="No such file"):
        list(read_segment(tmp_path / "none.nut"))
    empty = SegmentWriter(path, Size(64, 48), FPS, 8)
    with pytest.raises(MediaError):
        empty.close()
    empty.abort()


@pytest.mark.parametrize("count", [1, 40])
def test_a_full_disk_is_told(count: int, capfd: pytest.CaptureFixture[str]):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(MediaError, match="No space left on device"):
        write(Path("/dev/full"), frames_of(Size(64, 48), 8, count), 8)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("short", [1, 30, 300, 20_000])  # some fail at the very end
def test_a_file_that_may_not_grow_is_told(tmp_path: Path, short: int):
    frames = frames_of(Size(64, 48), 8, 8)
    write(tmp_path / "whole.nut", frames, 8)
    most = (tmp_path / "whole.nut").stat().st_size - short
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(MediaError, match="File too large"):
            write(tmp_path / "a.nut", frames, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_frame_of_another_kind_is_a_bug(tmp_path: Path):
    for frame in (np.zeros((48, 64, 3), np.uint16), np.zeros((40, 64, 3), np.uint8)):
        writer = SegmentWriter(tmp_path / "a.nut", Size(64, 48), FPS, 8)
        with pytest.raises(ValueError, match="a frame of"):
            writer.write(frame)
        writer.abort()
