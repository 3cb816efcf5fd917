"""Clips of every kind are read to their end, in order and in their own colours, or refused."""

import os
import subprocess
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from dreamvid.errors import MediaError
from dreamvid.media.clips import rate, read_frames

# Weights of red and blue in luma by the number of the colour matrix. Source: ITU-T H.273.
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
LIMITED, FULL = 1, 2


def smooth_frame(height: int = 48, width: int = 64) -> np.ndarray:
    """Colours that change slowly over the picture: uint8 (h, w, 3)."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(255 * np.stack([x, y, 0.5 + 0.4 * np.sin(3 * x)], -1)).astype(np.uint8)


def grey_frames(count: int) -> list[np.ndarray]:
    """Frame i is all of level 10 * i."""
    return [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(count)]


def to_yuv(frame: np.ndarray, matrix: int, levels: int) -> np.ndarray:
    """uint8 (h, w, 3) RGB -> (3, h, w), by the numbers of ITU-T H.273."""
    red, blue = WEIGHTS[matrix]
    rgb = frame / 255
    luma = rgb @ [red, 1 - red - blue, blue]
    cb, cr = (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)
    low, of_luma, of_chroma = (0, 255, 255) if levels == FULL else (16, 219, 224)
    planes = [low + of_luma * luma, 128 + of_chroma * cb, 128 + of_chroma * cr]
    return np.clip(np.round(planes), 0, 255).astype(np.uint8)


def halved(planes: np.ndarray) -> np.ndarray:
    """(3, h, w) -> 4:2:0 planes as PyAV takes them, (h * 3 / 2, w); chroma sits on even columns."""
    _, height, width = planes.shape
    wide = np.pad(planes[1:].astype(float), ((0, 0), (0, 0), (1, 0)), "edge")
    narrow = (wide[..., :-1:2] + 2 * wide[..., 1::2] + planes[1:, :, 1::2]) / 4
    small = narrow.reshape(2, height // 2, 2, width // 2).mean(2)
    return np.vstack([planes[0], np.round(small).astype(np.uint8).reshape(-1, width)])


def write(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "libx264",
    kind: str = "yuv420p",
    matrix: int = 1,
    levels: int = LIMITED,
    tagged: bool = True,
) -> None:
    """Encodes RGB frames, all but lossless."""
    options = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=Fraction(24))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = kind
        stream.options = {"crf": "1", "bf": "2", "g": "8"} if codec.startswith("lib") else {}
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, levels
        for pixels in frames:
            if kind.startswith("yuv"):
                planes = to_yuv(pixels, matrix, levels)
                frame = av.VideoFrame.from_ndarray(
                    planes if "444" in kind else halved(planes), format=kind
                )
            elif kind == "bgra":
                opaque = np.full_like(pixels[..., :1], 255)
                frame = av.VideoFrame.from_ndarray(np.dstack([pixels[..., ::-1], opaque]), kind)
            else:
                frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            if tagged:
                frame.colorspace, frame.color_range = matrix, levels
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# Name -> extension, codec, pixel format, matrix, range.
COLOURS = {
    "BT.709 in MP4": (".mp4", "libx264", "yuv420p", 1, LIMITED),
    "BT.709, full range, in MOV": (".mov", "libx264", "yuvj420p", 1, FULL),
    "BT.709, full range, in MKV": (".mkv", "ffv1", "yuv444p", 1, FULL),
    "BT.601 in MKV": (".mkv", "ffv1", "yuv444p", 6, LIMITED),
    "BT.601, full range, in MP4": (".mp4", "libx264", "yuv420p", 5, FULL),
    "BT.709 in WebM": (".webm", "libvpx-vp9", "yuv444p", 1, LIMITED),
    "BT.2020 in MKV": (".mkv", "ffv1", "yuv444p", 9, LIMITED),
    "RGB in MP4": (".mp4", "libx264rgb", "rgb24", 0, FULL),
    "RGB in MOV": (".mov", "png", "rgb24", 0, FULL),
    "RGB and alpha in MKV": (".mkv", "ffv1", "bgra", 0, FULL),
    "Motion JPEG": (".avi", "mjpeg", "yuvj444p", 5, FULL),
}


@pytest.mark.parametrize("case", COLOURS)
def test_colours_are_those_that_were_encoded(tmp_path: Path, case: str):
    suffix, codec, kind, matrix, levels = COLOURS[case]
    path, frame = tmp_path / f"clip{suffix}", smooth_frame()
    write(path, [frame] * 3, codec, kind, matrix, levels)
    seen = list(read_frames(path))
    assert [f.shape for f in seen] == [(48, 64, 3)] * 3
    assert seen[0].dtype == np.uint8
    error = seen[1] - frame.astype(float)
    assert np.abs(error).mean() < 2  # another matrix or range: 3 to 12
    if codec == "ffv1":
        assert np.abs(error).max() <= 2.5


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (718, 6), (720, 1)])
def test_without_a_tag_the_matrix_goes_by_the_size(tmp_path: Path, height: int, matrix: int):
    frame = smooth_frame(height, 32)
    write(tmp_path / "clip.mkv", [frame], "ffv1", "yuv444p", matrix, tagged=False)
    (seen,) = read_frames(tmp_path / "clip.mkv")
    assert np.abs(seen - frame.astype(float)).max() <= 2.5


def test_grey_video_keeps_its_levels(tmp_path: Path):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))
    write(tmp_path / "clip.mkv", [ramp], "ffv1", "gray", tagged=False)
    (seen,) = read_frames(tmp_path / "clip.mkv")
    np.testing.assert_allclose(seen[..., 0].astype(int), ramp, atol=1)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"])
def test_all_frames_come_in_order(tmp_path: Path, suffix: str):
    path = tmp_path / f"clip{suffix}"
    write(path, grey_frames(26), "libvpx-vp9" if suffix == ".webm" else "libx264")
    means = [frame.mean() for frame in read_frames(path)]
    np.testing.assert_allclose(means, np.arange(26) * 10, atol=2)
    assert rate(path) == 24


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_are_read_as_they_are_shown(tmp_path: Path, suffix: str):
    path = tmp_path / f"clip{suffix}"
    clear = Image.new("RGBA", (64, 48), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 32, 48))  # left half black, right half transparent
    first, *more = [clear, *(Image.fromarray(f) for f in grey_frames(8)[1:])]
    first.save(path, save_all=True, append_images=more, duration=40, lossless=True, disposal=2)
    seen = list(read_frames(path))
    assert rate(path) == 25
    assert [frame[0, 0, 0] for frame in seen] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert (seen[0][:, 32:] == 255).all()
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MediaError):
        list(read_frames(path))


def test_a_still_is_a_clip_of_one_frame(tmp_path: Path):
    for suffix in (".png", ".webp", ".gif", ".tiff"):
        Image.fromarray(grey_frames(3)[2]).save(tmp_path / f"still{suffix}", lossless=True)
        (frame,) = read_frames(tmp_path / f"still{suffix}")
        assert (frame == 20).all()
    assert rate(tmp_path / "still.png") is None


@pytest.mark.parametrize("pattern", ["frame-%05d.png", "frame-%d.png", "12: %03d 'ü'.png"])
def test_stills_come_in_the_order_of_their_numbers(tmp_path: Path, pattern: str):
    for number, frame in enumerate(grey_frames(5), start=998):
        Image.fromarray(frame).save(tmp_path / (pattern % number))
    for other in ("frame-00998-old.png", "frame-000000999.png", "frame-.png", "other.png"):
        (tmp_path / other).touch()
    assert [frame[0, 0, 0] for frame in read_frames(tmp_path / pattern)] == [0, 10, 20, 30, 40]
    assert rate(tmp_path / pattern) is None
    (tmp_path / (pattern % 1000)).unlink()
    with pytest.raises(MediaError, match="no still number 1000"):
        list(read_frames(tmp_path / pattern))


def test_frames_of_different_sizes_are_refused(tmp_path: Path):
    for number, width in enumerate((64, 64, 32)):
        Image.new("RGB", (width, 48)).save(tmp_path / f"{number}.png")
    with pytest.raises(MediaError, match=r"2\.png has 32x48 pixels, the first 64x48"):
        list(read_frames(tmp_path / "%d.png"))


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_a_turned_clip_is_turned_upright(tmp_path: Path, angle: int):
    write(tmp_path / "lies.mp4", [smooth_frame()] * 2)
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-display_rotation", str(angle)]
    words += ["-i", str(tmp_path / "lies.mp4"), "-c", "copy", str(tmp_path / "stands.mp4")]
    subprocess.run(words, check=True)
    lies, stands = (next(read_frames(tmp_path / f"{n}.mp4")) for n in ("lies", "stands"))
    np.testing.assert_array_equal(stands, np.rot90(lies, angle // 90))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".mov"])
def test_a_clip_that_breaks_off_is_not_taken_for_whole(tmp_path: Path, suffix: str):
    path, cut = tmp_path / f"clip{suffix}", tmp_path / f"cut{suffix}"
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(24)]
    write(path, noise, "libvpx-vp9" if suffix == ".webm" else "libx264")
    with av.open(str(path)) as container:
        ends = [p.pos for p in container.demux(video=0) if p.pos]
    data = path.read_bytes()
    assert len(list(read_frames(path))) == 24
    # Between two frames, where FFmpeg notices nothing, and anywhere.
    for length in (*ends[4:-2:6], *(len(data) * share // 10 for share in range(1, 9))):
        cut.write_bytes(data[:length])
        with pytest.raises(MediaError, match="cannot be read to its end"):
            list(read_frames(cut))


def test_a_clip_whose_frames_are_damaged_is_refused(tmp_path: Path):
    write(tmp_path / "clip.mp4", [np.roll(smooth_frame(), 2 * i, 1) for i in range(12)])
    data = bytearray((tmp_path / "clip.mp4").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    (tmp_path / "clip.mp4").write_bytes(data)
    with pytest.raises(MediaError, match="cannot be read to its end"):
        list(read_frames(tmp_path / "clip.mp4"))


def test_hdr_is_refused(tmp_path: Path):
    write(tmp_path / "sdr.mp4", [smooth_frame()])
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(tmp_path / "sdr.mp4")]
    words += ["-c", "copy", "-bsf:v", "h264_metadata=transfer_characteristics=16"]
    subprocess.run([*words, str(tmp_path / "hdr.mp4")], check=True)
    with pytest.raises(MediaError, match=r"is HDR video \(PQ\)"):
        list(read_frames(tmp_path / "hdr.mp4"))


def test_names_are_names_of_local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http:clip.mkv", "12:30 %d 'ü'.mkv", "-i.mkv", os.fsdecode(b"\xff.mkv")):
        write(Path("clip.mkv"), [smooth_frame()], "ffv1", "bgra", 0, FULL)
        Path("clip.mkv").rename(name)
        assert len(list(read_frames(Path(name)))) == 1
    cv2.imwrite("a%d.bmp", np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite("a1.bmp", np.full((48, 64, 3), 255, np.uint8))
    assert next(read_frames(Path("a%d.bmp"))).max() == 0


# What is asked for -> a part of the answer.
HOSTILE = {
    "none.mp4": "no clip at",
    "none-%05d.png": "no stills match",
    "none/%d.png": "no stills match",
    "%5s.png": "no clip at",
    ".": "is a folder",
    "/dev/zero": "is a device",
    "http://127.0.0.1:9/clip.mp4": "no clip at",
    "n" * 300: "cannot be reached",
    "nul\0.mp4": "cannot be reached",
    "empty.mp4": "is empty",
    "empty.gif": "is empty",
    "text.mp4": "cannot be read to its end",
    "text.gif": "cannot be read to its end",
    "text.png": "not a picture",
    "text-%d.png": "not a picture",
    "sound.wav": "no video stream",
    "list.m3u8": "cannot be read to its end",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_clip_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.chdir(tmp_path)
    for empty in ("empty.mp4", "empty.gif"):
        Path(empty).touch()
    for text in ("text.mp4", "text.gif", "text.png", "text-1.png"):
        Path(text).write_text("hello")
    Path("list.m3u8").write_text("#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with wave.open("sound.wav", "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(MediaError, match=HOSTILE[name]) as caught:
        list(read_frames(Path(name)))
    assert "\n" not in str(caught.value)
