"""Clips decode to the frames that went in, and appear whole or not at all."""

from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from dreamvid.errors import MediaError
from dreamvid.media.probe import count_frames, read_settings
from dreamvid.media.sinks import SINKS, open_sink
from dreamvid.media.target import check_target, replacing
from dreamvid.options import Size

SETTINGS = {"dreamvid": "0", "source": "sky = ; # \\ 'x' ü.png", "ascent": {"rate": 1.5}}
SIZE = Size(64, 48)


def smooth_frames(count: int) -> list[np.ndarray]:
    """Colours that change slowly over the picture and in time: uint8 (48, 64, 3)."""
    y, x = np.mgrid[0:1:48j, 0:1:64j]
    waves = [np.stack([x, y, 0.5 + 0.4 * np.sin(3 * x + t / 3)], -1) for t in range(count)]
    return [np.round(255 * wave).astype(np.uint8) for wave in waves]


@pytest.mark.parametrize("suffix", list(SINKS))
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001)])
def test_what_is_written_is_decoded_again(tmp_path: Path, suffix: str, fps: Fraction):
    path = tmp_path / f"clip{suffix}"
    frames = smooth_frames(9)
    with open_sink(path, SIZE, fps, SETTINGS, overwrite=False) as sink:
        for frame in frames:
            sink.write(frame)
    assert read_settings(path) == SETTINGS
    assert count_frames(path) == 9
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == fps
        decoded = list(container.decode(stream))
        tags = stream.codec_context
        assert (tags.pix_fmt, tags.width, tags.height) == ("yuv420p", 64, 48)
        assert (tags.color_primaries, tags.color_trc, tags.colorspace) == (1, 1, 1)  # BT.709
        assert tags.color_range == 1  # tv
    assert len(decoded) == 9
    for frame, seen in zip(frames, decoded, strict=True):
        error = bt709_to_rgb(seen.to_ndarray(format="yuv420p")) - frame
        assert np.abs(error).mean() < 3
        assert np.abs(error.mean((0, 1))).max() < 1.5  # another matrix or range shifts colours
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")


def bt709_to_rgb(planes: np.ndarray) -> np.ndarray:
    """Limited-range 4:2:0 planes (48 + 24, 64) as RGB levels, by the numbers of ITU-R BT.709."""
    luma = (planes[:48] - 16.0) / 219
    chroma = (planes[48:].reshape(2, 24, 32).repeat(2, 1).repeat(2, 2) - 128.0) / 224
    blue, red = luma + 1.8556 * chroma[0], luma + 1.5748 * chroma[1]
    green = (luma - 0.2126 * red - 0.0722 * blue) / 0.7152
    return 255 * np.clip(np.stack([red, green, blue], -1), 0, 1)


def encode(path: Path, frames: list[np.ndarray], size: Size = SIZE) -> None:
    with open_sink(path, size, Fraction(30), {}, overwrite=False) as sink:
        for frame in frames:
            sink.write(frame)


def test_an_odd_size_is_refused_with_an_even_one(tmp_path: Path):
    with pytest.raises(MediaError, match="use 64x48"):
        encode(tmp_path / "odd.mp4", [], Size(65, 49))
    assert not list(tmp_path.iterdir())


def test_a_clip_of_no_frames_is_none(tmp_path: Path):
    with pytest.raises(MediaError, match="ffmpeg wrote 0 of 0 frames"):
        encode(tmp_path / "none.mp4", [])
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_dies_half_way_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nhead -c 20000 > /dev/null\necho no space left >&2\nexit 5\n")
    fake.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(fake))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(MediaError, match=r"stopped with code 5 after \d+ frames: no space left"):
        encode(out / "clip.mp4", smooth_frames(40))
    assert not list(out.iterdir())


def test_frames_that_went_missing_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dreamvid.media.sinks.count_frames", lambda path: 2)
    with pytest.raises(MediaError, match="ffmpeg wrote 2 of 3 frames"):
        encode(tmp_path / "clip.mp4", smooth_frames(3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_clip_leaves_what_was_there(tmp_path: Path, failure: type[BaseException]):
    path = tmp_path / "clip.mp4"
    path.write_text("an older clip")

    def interrupted() -> None:
        with open_sink(path, SIZE, Fraction(30), {}, overwrite=True) as sink:
            sink.write(smooth_frames(1)[0])
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert path.read_text() == "an older clip"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_written_through(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "clip.mp4", tmp_path / "link.mp4"
    link.symlink_to(target)
    check_target(link, SINKS, overwrite=False)
    encode(link, smooth_frames(2))
    assert link.is_symlink()
    assert count_frames(target) == 2


def test_a_missing_encoder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    with pytest.raises(MediaError, match="ffmpeg cannot be started"):
        encode(tmp_path / "clip.mp4", smooth_frames(1))
    assert not list(tmp_path.iterdir())


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path):
    path = tmp_path / "clip.mp4"

    def late() -> None:
        with replacing(path, overwrite=False) as scratch:
            scratch.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(MediaError, match="another program"):
        late()
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_targets_that_will_not_do_are_refused(tmp_path: Path):
    (tmp_path / "old.mp4").touch()
    (tmp_path / "file").touch()
    (tmp_path / "ring.mp4").symlink_to("ring.mp4")
    for name, complaint in {
        "old.mp4": "exists: add --overwrite",
        ".": "is a folder",
        "clip.xyz": "has extension '.xyz': dreamvid writes .mp4",
        "clip": "has no extension",
        "none/clip.mp4": "does not exist",
        "file/clip.mp4": "is not a folder",
        "ring.mp4": "cannot be reached",
    }.items():
        with pytest.raises(MediaError, match=complaint):
            check_target(tmp_path / name, SINKS, overwrite=False)
    with pytest.raises(MediaError, match="cannot be written"):
        check_target(Path("/proc/clip.mp4"), SINKS, overwrite=False)
    check_target(tmp_path / "old.mp4", SINKS, overwrite=True)
    assert (tmp_path / "old.mp4").exists()


def test_what_is_no_clip_has_no_frames(tmp_path: Path):
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(MediaError, match="not a clip"):
        count_frames(tmp_path / "text.mp4")
