"""Clips decode to the frames that went in, and appear whole or not at all."""

import resource
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from waves import SIZE, smooth_frames

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media import codecs
from dreamvid.media.codecs import Showing
from dreamvid.media.probe import count_frames, read_settings
from dreamvid.media.sinks import SINKS, check_output, open_sink
from dreamvid.media.target import check_target, replacing
from dreamvid.options import Output

DEFAULT = Output()
SHOWING = Showing(size=SIZE, fps=Fraction(30))


def encode(
    path: Path,
    frames: list[np.ndarray],
    size: Size = SIZE,
    overwrite: bool = False,
    output: Output = DEFAULT,
) -> None:
    with open_sink(
        path, Showing(size=size, fps=Fraction(30)), "# dreamvid", output, overwrite
    ) as sink:
        for frame in frames:
            sink.write(frame)


def test_an_odd_size_is_refused_with_an_even_one(tmp_path: Path):
    with pytest.raises(MediaError, match="use 64x48"):
        encode(tmp_path / "odd.mp4", [], Size(65, 49))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.gif", "a.webp", "a%d.png"])
def test_a_clip_of_no_frames_is_none(tmp_path: Path, name: str):
    with pytest.raises(MediaError):
        encode(tmp_path / name, [])
    assert not list(tmp_path.iterdir())


def wrapped(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A folder for outputs; ffmpeg is a shell script but where it is asked of itself."""
    real = codecs.executable()
    fake = folder / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n[ $2 = -h ] && exec '{real}' \"$@\"\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(fake))
    monkeypatch.setenv("REAL", real)
    out = folder / "out"
    out.mkdir()
    return out


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_an_encoder_that_dies_half_way_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    fake = "head -c 20000 > /dev/null; echo no space left >&2; exit 5"
    out = wrapped(tmp_path, monkeypatch, fake)
    with pytest.raises(MediaError, match=r"stopped with code 5 after \d+ frames: no space left"):
        encode(out / f"clip{suffix}", smooth_frames(40))
    assert not list(out.iterdir())


def test_an_encoder_that_is_killed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = wrapped(tmp_path, monkeypatch, "head -c 20000 > /dev/null; kill -9 $$")
    with pytest.raises(MediaError, match=r"ffmpeg was killed by signal 9 after \d+ frames"):
        encode(out / "clip.mp4", smooth_frames(40))
    assert not list(out.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".gif"])
@pytest.mark.parametrize("blocks", [1, 4, "last"])
def test_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, blocks: int | str
):
    noise = list(np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), np.uint8))
    output = Output() if suffix != ".mkv" else Output(codec="h264")
    if blocks == "last":  # the end alone does not fit
        whole = tmp_path / f"whole{suffix}"
        encode(whole, noise, output=output)
        blocks = (whole.stat().st_size - 1) // 512
    # As on a full disk, the write fails; dash counts in blocks of 512 bytes.
    script = f'trap \'\' XFSZ; ulimit -f {blocks}; exec "$REAL" "$@"'
    out = wrapped(tmp_path, monkeypatch, script)
    with pytest.raises(MediaError, match=r"(?i)file too large") as caught:
        encode(out / f"clip{suffix}", noise, output=output)
    assert "\n" not in str(caught.value)
    assert not list(out.iterdir())


@pytest.mark.parametrize("name", ["clip.webp", "clip%d.png"])
def test_a_disk_that_is_full_for_us_is_told(tmp_path: Path, name: str):
    noise = list(np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), np.uint8))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(MediaError, match=r"output .*clip.* cannot be written: File too large"):
            encode(tmp_path / name, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_frames_that_went_missing_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dreamvid.media.ffmpeg.count_frames", lambda path: 2)
    for suffix in (".mp4", ".gif", ".webp"):
        with pytest.raises(MediaError, match="wrote 2 of 3 frames"):
            encode(tmp_path / f"clip{suffix}", smooth_frames(3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_clip_leaves_what_was_there(
    tmp_path: Path, suffix: str, failure: type[BaseException]
):
    path = tmp_path / f"clip{suffix}"
    path.write_text("an older clip")

    def interrupted() -> None:
        with open_sink(path, SHOWING, "", Output(), True) as sink:
            sink.write(smooth_frames(1)[0])
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert path.read_text() == "an older clip"
    assert list(tmp_path.iterdir()) == [path]


def test_a_sequence_appears_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "f-%03d.png"
    encode(path, smooth_frames(5))
    whole = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert sorted(whole) == [f"f-{i:03d}.png" for i in range(5)]
    assert read_settings(path) == read_settings(tmp_path / "f-003.png") == "# dreamvid"
    with pytest.raises(MediaError, match=r"f-000\.png exists: add --overwrite"):
        check_output(path, SHOWING, Output(), overwrite=False)

    def interrupted() -> None:
        with open_sink(path, SHOWING, "", Output(), True) as sink:
            sink.write(smooth_frames(2)[1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == whole
    for stranger in ("f-3.png", "f-0003.png"):
        (tmp_path / stranger).touch()
    encode(path, smooth_frames(2), overwrite=True)
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == ["f-000.png", "f-0003.png", "f-001.png", "f-3.png"]


def test_a_frame_that_appears_meanwhile_is_not_replaced(tmp_path: Path):
    path = tmp_path / "f%d.png"

    def late() -> None:
        with open_sink(path, SHOWING, "", DEFAULT, False) as sink:
            for frame in smooth_frames(3):
                sink.write(frame)
            (tmp_path / "f2.png").write_text("theirs")

    with pytest.raises(MediaError, match="another program"):
        late()
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["theirs"]


def test_a_file_without_our_text_says_so(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    with open_sink(path, SHOWING, "something else", Output(), False) as sink:
        sink.write(smooth_frames(1)[0])
    with pytest.raises(MediaError, match="carries no settings"):
        read_settings(path)


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
