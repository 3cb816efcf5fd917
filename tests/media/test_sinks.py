"""Every kind of output decodes to the frames that went in, with its rate, text and sound."""

import shlex
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageSequence
from waves import SIZE, depth_of, smooth_frames

from dreamvid.errors import DreamError, MediaError
from dreamvid.fields import Size
from dreamvid.media.codecs import Showing
from dreamvid.media.probe import count_frames, read_settings
from dreamvid.media.sinks import SINKS, check_output, ffmpeg_line, open_sink
from dreamvid.options import Output

SETTINGS = (
    "# dreamvid 0.1\n[source]\npath = 'ü “q” 日本 😀 ; = # \\ %d'\r\n\n\t" + "x" * 4000 + "\n\n"
)
RATE = Fraction(30)
CASES = [(suffix, codec.name) for suffix in SINKS for codec in SINKS[suffix].codecs]
ENCODED = [case for case in CASES if SINKS[case[0]].sound]
SOUNDING = [suffix for suffix in SINKS if SINKS[suffix].sound]
# The greatest mean error, in 8-bit levels: of all values, and of a channel's mean.
BOUNDS = {
    "ffv1": (0, 0),
    "png": (0, 0),
    "png16": (0, 0),
    "prores": (0.5, 0.15),
    "webp": (2, 1),
    "gif": (14, 8),  # dithered: 256 colours for all that there are
}
OTHERS = (2.5, 3)


def write(path: Path, frames: list[np.ndarray], fps: Fraction = RATE, size: Size = SIZE,
          sound: Path | None = None, times: list[Fraction] | None = None,
          aspect: Fraction = Fraction(1), **choices: object) -> Path:  # fmt: skip
    output = Output(**choices)  # type: ignore[arg-type]
    at = None if times is None else tuple(times)
    showing = Showing(size=size, fps=fps, sound=sound, times=at, aspect=aspect)
    check_output(path, showing, output, False)
    with open_sink(path, showing, SETTINGS, output, False) as sink:
        for frame in frames:
            sink.write(frame)
    return path


def named(folder: Path, suffix: str) -> Path:
    """A name with all that ffmpeg could take for something else."""
    folder = folder / "100%d: a 'b"
    folder.mkdir()
    return folder / ("-clip-%03d.png" if suffix == ".png" else f"-cl: ip %03d{suffix}")


def decoded(path: Path) -> list[np.ndarray]:
    """The frames of any output as float (h, w, 3) in 8-bit levels, read by another program."""
    if path.suffix == ".png":
        names = sorted(path.parent.glob("-clip-*.png"))
        assert [name.name for name in names] == [path.name % i for i in range(len(names))]
        frames = [read_png(name) for name in names]
        return [frame / (257 if frame.dtype == np.uint16 else 1) for frame in frames]
    if path.suffix in (".gif", ".webp"):
        with Pillow.open(path) as picture:
            return [
                np.asarray(still.convert("RGB"), np.float64)
                for still in ImageSequence.Iterator(picture)
            ]
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    if frames[0].format.is_rgb:
        deep = frames[0].format.name == "gbrp16le"
        given = "gbrp16le" if deep else "rgb24"
        return [
            frame.to_ndarray(format=given) * (255 / (65535 if deep else 255)) for frame in frames
        ]
    deep = frames[0].format.components[0].bits == 10
    full = [frame.reformat(format="yuv444p10le" if deep else "yuv444p") for frame in frames]
    return [bt709_to_rgb(pixels(frame, deep) / (4 if deep else 1)) for frame in full]


def read_png(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found[..., ::-1]


def pixels(frame: av.VideoFrame, deep: bool) -> np.ndarray:
    """A frame's planes, all of one size, as (h, w, 3)."""
    kind = np.uint16 if deep else np.uint8
    rows = [np.frombuffer(bytes(plane), kind).reshape(frame.height, -1) for plane in frame.planes]
    return np.stack(rows, -1)[:, : frame.width]


def bt709_to_rgb(planes: np.ndarray) -> np.ndarray:
    """Limited-range YCbCr, (h, w, 3) in 8-bit levels, as RGB, by the numbers of ITU-R BT.709."""
    luma, chroma = (planes[..., 0] - 16.0) / 219, (planes[..., 1:] - 128.0) / 224
    blue, red = luma + 1.8556 * chroma[..., 0], luma + 1.5748 * chroma[..., 1]
    green = (luma - 0.2126 * red - 0.0722 * blue) / 0.7152
    return 255 * np.clip(np.stack([red, green, blue], -1), 0, 1)


@pytest.mark.parametrize(("suffix", "codec"), CASES)
def test_what_is_written_is_decoded_again(tmp_path: Path, suffix: str, codec: str):
    path = named(tmp_path, suffix)
    depth = depth_of(path, Output(codec=codec))
    frames = smooth_frames(9, depth)
    write(path, frames, codec=codec)
    seen = decoded(path)
    assert [frame.shape for frame in seen] == [(48, 64, 3)] * 9
    mean, shift = BOUNDS.get(codec, OTHERS)
    for frame, found in zip(frames, seen, strict=True):
        error = found - frame * (255 / (2**depth - 1))
        assert np.abs(error).mean() <= mean + 1e-9
        assert np.abs(error.mean((0, 1))).max() <= shift + 1e-9
    assert read_settings(path.with_name(path.name % 4) if suffix == ".png" else path) == SETTINGS
    assert len(list(path.parent.iterdir())) == (9 if suffix == ".png" else 1)


@pytest.mark.parametrize(("suffix", "codec"), ENCODED)
def test_videos_are_tagged(tmp_path: Path, suffix: str, codec: str):
    path = write(tmp_path / f"clip{suffix}", smooth_frames(2, depth_of(Path(f"a{suffix}"),
                 Output(codec=codec))), codec=codec)  # fmt: skip
    with av.open(str(path)) as container:
        tags = container.streams.video[0].codec_context
        deep = {
            "hevc": "yuv420p10le",
            "av1": "yuv420p10le",
            "prores": "yuv422p10le",
            "ffv1": "bgr0",
        }
        assert tags.pix_fmt == deep.get(codec, "yuv420p")
        assert (tags.color_primaries, tags.color_trc) == (1, 1)  # BT.709
        assert tags.colorspace == (0 if codec == "ffv1" else 1)  # RGB, or BT.709
        assert tags.color_range == (2 if codec == "ffv1" else 1)  # full, or tv
        if suffix in (".mp4", ".mov"):
            assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")
            known = {"hevc": "hvc1", "prores": "apch", "h264": "avc1", "av1": "av01"}
            assert tags.codec_tag == known[codec]


@pytest.mark.parametrize("fps", ["24000/1001", "30000/1001", "12.5", "30"])
@pytest.mark.parametrize("suffix", [suffix for suffix in SINKS if suffix != ".png"])
def test_rates_are_kept(tmp_path: Path, suffix: str, fps: str):
    rate, path = Fraction(fps), tmp_path / f"clip{suffix}"
    write(path, smooth_frames(20, depth_of(path, Output())), rate)
    shown = [Fraction(i) / rate for i in range(20)]
    if suffix == ".webp":
        assert webp_times(path) == [round(1000 * time) for time in [*shown, 20 / rate]]
        return
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        times = [(frame.pts or 0) * stream.time_base for frame in container.decode(stream)]
        if suffix in (".mp4", ".mov"):
            assert stream.average_rate == rate
            assert times == shown
    tick = Fraction(1, 100 if suffix == ".gif" else 1000)
    assert max(abs(found - time) for found, time in zip(times, shown, strict=True)) <= tick


def webp_times(path: Path) -> list[int]:
    """Where each frame of an animation begins, and the last ends, in ms."""
    times = [0]
    with Pillow.open(path) as picture:
        for still in ImageSequence.Iterator(picture):
            still.load()
            times.append(times[-1] + round(still.info["duration"]))
        assert picture.info["loop"] == 0
    return times


TIMES = [Fraction(ms, 1000) for ms in (0, 40, 120, 150, 333, 400, 480, 500, 700, 731)]
"""Frames that follow in unequal steps."""


@pytest.mark.parametrize(("suffix", "codec"), [case for case in CASES if case[0] != ".png"])
def test_each_frame_is_shown_at_its_time(tmp_path: Path, suffix: str, codec: str):
    path = tmp_path / f"clip{suffix}"
    depth = depth_of(path, Output(codec=codec))
    frames = smooth_frames(10, depth)
    write(path, frames, Fraction(10), times=TIMES, codec=codec)
    for frame, found in zip(frames, decoded(path), strict=True):
        error = found - frame * (255 / (2**depth - 1))
        assert np.abs(error).mean() <= BOUNDS.get(codec, OTHERS)[0] + 1e-9
    if suffix == ".webp":
        assert webp_times(path) == [round(1000 * time) for time in [*TIMES, Fraction(1)]]
        return
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        times = [(frame.pts or 0) * stream.time_base for frame in container.decode(stream)]
        assert container.duration
        assert abs(container.duration / 1e6 - 1) < 0.011
    if suffix == ".gif":
        assert webp_times(path) == [round(100 * time) * 10 for time in [*TIMES, Fraction(1)]]
    else:
        assert times == TIMES


def test_times_that_no_millisecond_holds_are_exact_in_an_mp4(tmp_path: Path):
    times = [Fraction(1001 * k, 30000) for k in (0, 1, 3, 4, 9, 10)]
    path = write(tmp_path / "clip.mp4", smooth_frames(6), Fraction(6), times=times)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        found = [(frame.pts or 0) * stream.time_base for frame in container.decode(stream)]
    assert found == times
    alone = write(tmp_path / "one.mp4", smooth_frames(1), Fraction(2), times=[Fraction(0)])
    assert count_frames(alone) == 1


@pytest.mark.parametrize("suffix", [suffix for suffix in SINKS if SINKS[suffix].keeps_aspect])
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, suffix: str):
    path, aspect = tmp_path / f"clip{suffix}", Fraction(11, 8)
    for times in (None, TIMES[:2]):
        frames = smooth_frames(2, depth_of(path, Output()))
        write(path, frames, times=times, aspect=aspect)
        with av.open(str(path)) as container:
            assert container.streams.video[0].sample_aspect_ratio == aspect
        path.unlink()


def test_a_gif_loops_for_ever_and_keeps_frames_that_are_alike(tmp_path: Path):
    path = write(tmp_path / "clip.gif", smooth_frames(1) * 5, Fraction(50))
    with Pillow.open(path) as picture:
        assert len(list(ImageSequence.Iterator(picture))) == 5
        assert picture.info["loop"] == 0
    assert count_frames(write(tmp_path / "clip.webp", smooth_frames(1) * 5)) == 5


def test_sixteen_bits_are_sixteen(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 65536, (48, 64, 3), np.uint16)
    frames = [noise, noise[::-1]]
    write(tmp_path / "f%d.png", frames, codec="png16")
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(read_png(tmp_path / f"f{index}.png"), frame)
    path = write(tmp_path / "clip.mkv", frames, pix_fmt="gbrp16le")
    with av.open(str(path)) as container:
        for frame, seen in zip(frames, container.decode(video=0), strict=True):
            np.testing.assert_array_equal(seen.to_ndarray(), frame)


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv422p10le", "nv12"])
def test_another_pixel_format_is_used(tmp_path: Path, pix_fmt: str):
    path = tmp_path / "clip.mp4"
    depth = depth_of(path, Output(pix_fmt=pix_fmt))
    assert depth == (16 if "10" in pix_fmt else 8)
    write(path, smooth_frames(2, depth), pix_fmt=pix_fmt, preset="ultrafast", crf=30)
    with av.open(str(path)) as container:
        wanted = {"nv12": "yuv420p"}.get(pix_fmt, pix_fmt)  # the same, another order
        assert container.streams.video[0].codec_context.pix_fmt == wanted


def test_a_worse_crf_is_smaller(tmp_path: Path):
    noise = list(np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8))
    sizes = [write(tmp_path / f"{crf}.mp4", noise, crf=crf).stat().st_size for crf in (0, 18, 51)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with long.mp3 (3 s), long.wav (3 s), short.m4a (0.2 s)."""
    folder = tmp_path_factory.mktemp("sounds: 100%d")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "sine=d=3",
    ]
    command += [folder / "long.mp3", folder / "long.wav", "-t", "0.2", folder / "short.m4a"]
    subprocess.run(command, check=True)
    return folder


KEPT = {".mp4": "mp3 aac aac", ".mov": "mp3 pcm_s16le aac", ".mkv": "mp3 pcm_s16le aac",
        ".webm": "opus opus opus"}  # fmt: skip


@pytest.mark.parametrize("suffix", SOUNDING)
def test_sound_is_joined_and_cut(tmp_path: Path, sounds: Path, suffix: str):
    names = ["long.mp3", "long.wav", "short.m4a"]
    for name, codec in zip(names, KEPT[suffix].split(), strict=True):
        path = tmp_path / f"{name}{suffix}"
        write(path, smooth_frames(20, depth_of(path, Output())), Fraction(20), sound=sounds / name)
        assert count_frames(path) == 20
        assert read_settings(path) == SETTINGS
        with av.open(str(path)) as container:
            (stream,) = container.streams.audio
            assert stream.codec_context.codec.canonical_name == codec
            heard = sum(frame.samples for frame in container.decode(stream)) / stream.sample_rate
        assert abs(heard - (1 if "long" in name else 0.2)) < 0.06  # two packets
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("codec", ["hevc", "h264"])
def test_sound_leaves_the_pictures_as_they_are(tmp_path: Path, sounds: Path, codec: str):
    rate, path = Fraction(24000, 1001), tmp_path / "clip.mp4"
    frames = smooth_frames(9, depth_of(path, Output(codec=codec)))
    write(path, frames, rate, sound=sounds / "long.mp3", codec=codec)
    write(tmp_path / "silent.mp4", frames, rate, codec=codec)
    for found, frame in zip(decoded(path), decoded(tmp_path / "silent.mp4"), strict=True):
        np.testing.assert_array_equal(found, frame)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == rate
        assert stream.codec_context.codec_tag in ("hvc1", "avc1")


REFUSED = [
    ("a.mp4", {"codec": "vp9"}, "unknown codec 'vp9' of .mp4 files. .*h264, hevc, av1"),
    ("a.mp4", {"codec": "h265"}, "Did you mean 'h264'"),
    ("a.mp4", {"crf": 60}, "--crf is 60: with h264 it must be 0 to 51"),
    ("a.mov", {"crf": 5}, "prores has no such scale"),
    ("a.gif", {"preset": "slow"}, "codec gif has none"),
    ("a.mp4", {"preset": "medum"}, "Did you mean 'medium'"),
    ("a.webm", {"preset": "9"}, "unknown preset '9' of vp9. Known: 0, 1"),
    ("a.mp4", {"pix_fmt": "yuv420"}, "Did you mean 'yuv420p'"),
    ("a.mp4", {"codec": "av1", "pix_fmt": "yuv444p"}, "libsvtav1"),
    ("a.gif", {"pix_fmt": "gray"}, "has only one: omit it"),
    ("a.mp4", {"size": Size(65, 49)}, "use 64x48"),
    ("a.mov", {"size": Size(65, 49)}, "use 64x49"),
    ("a.mp4", {"codec": "hevc", "size": Size(64, 16)}, "use 64x32"),
    ("a.webp", {"size": Size(16384, 16)}, "use 16383x16"),
    ("a.gif", {"fps": Fraction(60)}, "60 frames a second .* choose --fps 50 or less"),
    ("a.webp", {"fps": Fraction(100)}, "choose --fps 90 or less"),
    ("a.gif", {"times": (Fraction(0), Fraction(1, 99))}, "follow sooner .* choose --fps 50 or"),
    ("a.gif", {"aspect": Fraction(11, 8)}, "square pixels, not 11/8 as wide"),
    ("a%d.png", {"aspect": Fraction(11, 8)}, "choose another size, or a .mp4"),
    ("a.gif", {"sound": "long.mp3"}, "cannot have sound"),
    ("a.png", {}, "name it as a-%05d.png"),
    ("a%s.png", {}, "name it as as-%05d.png"),
    ("a.mp4", {"sound": "none.mp3"}, "no sound at"),
    ("a.mp4", {"sound": "text.mp3"}, r"text.mp3 cannot be read"),
    ("a.mp4", {"sound": "mute.mp4"}, "holds no sound"),
    ("a.avi", {}, "dreamvid writes .mp4"),
]


@pytest.mark.parametrize(("name", "wishes", "complaint"), REFUSED)
def test_what_cannot_be_is_refused_at_once(
    tmp_path: Path, sounds: Path, name: str, wishes: dict, complaint: str
):
    if not (sounds / "mute.mp4").exists():
        write(sounds / "mute.mp4", smooth_frames(1))
        (sounds / "text.mp3").write_text("hello")
    sound = wishes.pop("sound", None)
    names = [name for name in ("fps", "size", "times", "aspect") if name in wishes]
    shown = {"fps": RATE, "size": SIZE} | {name: wishes.pop(name) for name in names}
    showing = Showing(**shown, sound=sound and sounds / sound)
    with pytest.raises(DreamError, match=complaint) as caught:
        check_output(tmp_path / name, showing, Output(**wishes), False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_ffmpeg_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho Codec is not recognized\n")
    fake.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
    with pytest.raises(MediaError, match="has no encoder libx265: choose another --codec"):
        check_output(tmp_path / "a.mp4", Showing(size=SIZE, fps=RATE), Output(codec="hevc"), False)
    check_output(
        tmp_path / "a.webp", Showing(size=SIZE, fps=RATE), Output(), False
    )  # which does without


@pytest.mark.parametrize(("suffix", "codec"), CASES)
def test_the_line_for_a_shell_works(tmp_path: Path, suffix: str, codec: str):
    path = named(tmp_path, suffix)
    line = ffmpeg_line(path, Showing(size=SIZE, fps=RATE), Output(codec=codec))
    if suffix in (".webp", ".png"):
        assert line is None
        return
    assert line
    assert line.split(" | ")[-1].startswith("ffmpeg ")
    assert shlex.split(line)[-1] == str(path)
    if suffix == ".mp4":
        frames = smooth_frames(3, depth_of(path, Output(codec=codec)))
        real = shlex.quote(imageio_ffmpeg.get_ffmpeg_exe())
        subprocess.run(
            line.replace("ffmpeg", real, 1),
            shell=True,
            input=np.stack(frames).tobytes(),
            check=True,
        )
        assert count_frames(path) == 3


def test_the_line_with_sound_is_two(sounds: Path):
    line = ffmpeg_line(
        Path("a.mp4"), Showing(size=SIZE, fps=RATE, sound=sounds / "long.mp3"), Output()
    )
    assert line
    assert line.count(" && ffmpeg ") == 1
    assert "-c:a copy" in line
