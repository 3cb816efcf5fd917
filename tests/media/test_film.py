"""A film is known to the picture before it is dreamed, and read as a player shows it."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.film import Film, survey
from dreamvid.options import Footage
from dreamvid.paths import sha256_of
from films import decoded, ffmpeg, make, numbers, write_levels

QUICK = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0")
RATES = ["24000/1001", "30000/1001", "50"]


def read(film: Film, first: int = 0) -> list[np.ndarray]:
    """Its pictures, which are as many and such as it says."""
    pictures = list(film.pictures(first))
    assert len(pictures) == film.count - first
    kind = {8: np.uint8, 16: np.uint16}[film.depth]
    shape = (film.size.height, film.size.width, 3)
    assert all(picture.shape == shape and picture.dtype == kind for picture in pictures)
    return pictures


@pytest.mark.parametrize(
    ("suffix", "rate"), [*product((".mp4", ".mkv", ".avi", ".ts"), RATES), (".mov", "45000/1499")]
)
def test_rates_are_exact(tmp_path: Path, suffix: str, rate: str):
    make(tmp_path / f"a{suffix}", f"color=s=64x48:r={rate}", "-frames:v", "40", *QUICK)
    film = survey(tmp_path / f"a{suffix}", Footage())
    assert (film.fps, film.constant, film.count) == (Fraction(rate), True, 40)
    assert film.times == tuple(k / film.fps for k in range(40))
    assert film.duration == 40 / film.fps
    assert film.notes == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_rate_keeps_its_times(tmp_path: Path, suffix: str):
    path, times = tmp_path / f"a{suffix}", (0, 40, 200, 210, 1000, 1040)
    write_levels(path, 6, times, codec="libx264", options={"bf": "2", "qp": "8"})
    film = survey(path, Footage())
    assert film.times == tuple(Fraction(time, 1000) for time in times)
    assert not film.constant
    assert film.duration > film.times[-1]
    assert abs(film.fps * film.duration - 6) < 0.01
    assert numbers(read(film)) == [0, 1, 2, 3, 4, 5]
    even = survey(path, Footage(fps=Fraction(10)))
    assert (even.fps, even.constant) == (10, True)
    assert even.times == tuple(Fraction(k, 10) for k in range(even.count))
    assert numbers(read(even))[:11] == [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 4]
    assert 0 <= even.duration - film.duration < Fraction(1, 10)
    assert numbers(read(even, 9)) == numbers(read(even))[9:]


def test_a_gif_has_times_of_its_own_and_lies_on_white(tmp_path: Path):
    clear = Image.new("RGBA", (64, 48), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 32, 48))
    more = [Image.new("RGB", (64, 48), (n, n, n)) for n in (80, 160)]
    clear.save(tmp_path / "a.gif", save_all=True, append_images=more, duration=[50, 200, 100])
    film = survey(tmp_path / "a.gif", Footage())
    assert film.times == (0, Fraction(1, 20), Fraction(1, 4))
    assert film.duration == Fraction(7, 20)
    first, *others = read(film)
    assert (first[:, :32] == 0).all()
    assert (first[:, 32:] == 255).all()
    assert [picture[0, 0, 0] for picture in others] == [80, 160]
    assert (read(film, 2)[0] == others[1]).all()


def test_a_film_may_be_one_picture(tmp_path: Path):
    write_levels(tmp_path / "a.mp4", 1, codec="libx264", options={"qp": "0"})
    film = survey(tmp_path / "a.mp4", Footage())
    assert (film.count, film.fps, film.duration) == (1, 25, Fraction(1, 25))
    assert (film.times, film.cuts, film.constant) == ((0,), (), True)
    assert numbers(read(film)) == [0]


# Start, end, every, pictures a second -> which of 50 pictures, and the rate.
STRETCHES = {
    "all": ((0.0, None, 1, None), range(50), 25),
    "begun at a picture": ((0.4, None, 1, None), range(10, 50), 25),
    "begun between pictures": ((0.41, 0.5, 1, None), range(11, 13), 25),
    "ended before a picture": ((0.0, 0.4, 1, None), range(10), 25),
    "ended after the end": ((1.9, 9.0, 1, None), range(48, 50), 25),
    "each third": ((0.0, None, 3, None), range(0, 50, 3), Fraction(25, 3)),
    "twice as many": ((1.0, 1.2, 1, 50), sorted([*range(25, 30)] * 2), 50),
    "fewer": ((1.0, 1.4, 1, 10), [25, 27, 30, 32], 10),
    "its own rate": ((0.0, 0.2, 1, 25), range(5), 25),
    "fewer, of each second": ((0.0, 0.8, 2, 5), [0, 4, 10, 14], 5),
}


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 25 pictures a second, in groups that refer forward and back."""
    path = tmp_path_factory.mktemp("films") / "fifty.mkv"
    write_levels(path, 50, codec="libx264", options={"qp": "0", "g": "12", "bf": "3"})
    return path


@pytest.mark.parametrize("case", STRETCHES)
def test_a_stretch_is_chosen_to_the_picture(fifty: Path, case: str):
    (start, end, every, fps), wanted, rate = STRETCHES[case]
    rates = None if fps is None else Fraction(fps)
    film = survey(fifty, Footage(start=start, end=end, every=every, fps=rates))
    assert numbers(read(film)) == list(wanted)
    assert (film.constant, film.fps, film.duration) == (True, rate, film.count / Fraction(rate))
    assert film.start == Fraction(min(wanted), 25)


def test_a_stretch_without_pictures_is_refused(fifty: Path):
    with pytest.raises(MediaError, match=r"is 2.00 seconds long: --start 2 is not in it"):
        survey(fifty, Footage(start=2.0))
    with pytest.raises(MediaError, match=r"shows no picture from second 0.41 to before 0.43"):
        survey(fifty, Footage(start=0.41, end=0.43))


def test_the_clock_begins_with_the_first_picture(tmp_path: Path, fifty: Path):
    ffmpeg("-i", fifty, "-c", "copy", "-output_ts_offset", "7", tmp_path / "late.mkv")
    film = survey(tmp_path / "late.mkv", Footage(start=0.4, end=0.48))
    assert numbers(read(film)) == [10, 11]
    assert (film.times[0], film.start) == (0, Fraction(74, 10))


def test_pictures_are_the_same_wherever_one_begins(tmp_path: Path):
    # Groups that lean on the one before, and longer than the run-up.
    options = {"x264-params": "open-gop=1:keyint=30:min-keyint=30:bframes=3:scenecut=0"}
    write_levels(tmp_path / "a.mp4", 58, codec="libx264", options=options)
    ffmpeg("-stream_loop", "2", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    film = survey(tmp_path / "b.mp4", Footage())
    whole = read(film)
    assert film.count == 174
    for first in (1, 7, 59, 60, 61, 89, 90, 120, 173):
        np.testing.assert_array_equal(read(film, first), whole[first:])
    late = survey(tmp_path / "b.mp4", Footage(start=4.0))
    np.testing.assert_array_equal(read(late), whole[100:])
    assert not list(film.pictures(174))
    # What comes long before is not read again.
    data = bytearray((tmp_path / "b.mp4").read_bytes())
    begin = data.index(b"mdat") + 40
    data[begin : begin + 60] = bytes(60)
    (tmp_path / "b.mp4").write_bytes(data)
    np.testing.assert_array_equal(read(film, 150), whole[150:])


def test_a_film_that_has_changed_is_noticed(tmp_path: Path, fifty: Path):
    path = tmp_path / "a.mkv"
    path.write_bytes(fifty.read_bytes())
    film = survey(path, Footage())
    for count in (49, 0):
        write_levels(path, count, [45 * k for k in range(count)])
        with pytest.raises(MediaError, match=r"changed|no picture|cannot be read"):
            list(film.pictures())


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_pictures_are_upright(tmp_path: Path, angle: int):
    kind = ("-pix_fmt", "yuv444p")  # of which ffmpeg turns no colours between two pixels
    make(tmp_path / "lies.mp4", "testsrc2=s=64x48:r=25:d=0.2,setsar=4/3", *QUICK, *kind)
    words = ("-display_rotation", str(angle), "-i", tmp_path / "lies.mp4", "-c", "copy")
    ffmpeg(*words, tmp_path / "stands.mp4")
    lies, stands = (survey(tmp_path / f"{n}.mp4", Footage()) for n in ("lies", "stands"))
    assert lies.aspect == Fraction(4, 3)
    assert stands.aspect == (Fraction(4, 3) if angle == 180 else Fraction(3, 4))
    np.testing.assert_array_equal(read(stands)[0], np.rot90(read(lies)[0], angle // 90))
    shown = decoded(tmp_path / "stands.mp4", stands.size.height, stands.size.width)
    np.testing.assert_array_equal(np.stack(read(stands)), shown)


# Options -> size, sample aspect ratio. The film has 80x48 pixels, each 3:2.
SHAPES = {
    "as it is": (Footage(), False, "80x48", Fraction(3, 2)),
    "square pixels": (Footage(), True, "120x48", 1),
    "a largest side": (Footage(max_side=60), False, "60x24", 1),
    "a larger side": (Footage(max_side=600), False, "120x48", 1),
    "a size": (Footage(size=Size(50, 40)), False, "50x40", 1),
    "an odd size": (Footage(size=Size(51, 41), fit="pad"), False, "51x41", 1),
}


@pytest.mark.parametrize("case", SHAPES)
def test_pictures_have_the_wanted_shape(tmp_path: Path, case: str):
    make(tmp_path / "a.mp4", "testsrc2=s=80x48:r=25:d=0.08,setsar=3/2", *QUICK)
    wanted, square, size, aspect = SHAPES[case]
    film = survey(tmp_path / "a.mp4", wanted, square)
    assert (str(film.size), film.aspect) == (size, aspect)
    read(film)


def test_what_does_not_fit_is_cut_off_or_lies_on_black(tmp_path: Path):
    picture = np.full((48, 96, 3), 100, np.uint8)
    picture[:, :24], picture[:, -24:] = (250, 0, 0), (0, 0, 250)
    for number in range(2):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    crop, pad = (
        read(survey(tmp_path / "%d.png", Footage(size=Size(48, 48), fit=fit)))[0]
        for fit in ("crop", "pad")
    )
    assert (crop == 100).all()
    assert (pad[:12] == 0).all()
    assert (pad[36:] == 0).all()
    assert (pad[13:35, 1:11] == (250, 0, 0)).all()
    assert (pad[13:35, 37:] == (0, 0, 250)).all()


def test_small_pictures_are_refused(tmp_path: Path, fifty: Path):
    with pytest.raises(MediaError, match=r"would have 20x15 pixels, at least 16"):
        survey(fifty, Footage(max_side=20), even=False)


def test_odd_sides_lose_a_pixel_where_they_must(tmp_path: Path):
    path = tmp_path / "a.mkv"
    make(path, "testsrc=s=321x241:r=25:d=0.12", "-c:v", "ffv1", "-pix_fmt", "yuv444p")
    shown = decoded(path, 241, 321)
    odd, even = survey(path, Footage(), even=False), survey(path, Footage())
    assert (odd.size, even.size) == (Size(321, 241), Size(320, 240))
    assert odd.notes == ()
    assert even.notes == ("321x241 is odd: pictures are cut to 320x240",)
    np.testing.assert_array_equal(np.stack(read(odd)), shown)
    np.testing.assert_array_equal(np.stack(read(even)), shown[:, :240, :320])


# Pixel format, bits, rows and columns to a sample of colour, range, codec.
DEEP = {
    "HEVC of 10 bits": ("yuv420p10le", 10, 2, 2, "tv", "libx265"),
    "10 bits, full range": ("yuv444p10le", 10, 1, 1, "pc", "libx264"),
    "12 bits": ("yuv422p12le", 12, 1, 2, "tv", "ffv1"),
}


@pytest.mark.parametrize("case", DEEP)
def test_deep_pictures_are_exact(tmp_path: Path, case: str):
    kind, bits, down, across, levels, codec = DEEP[case]
    low, luma, colour = (16, 219, 224) if levels == "tv" else (0, 255, 255)
    unit = 2 ** (bits - 8) if levels == "tv" else (2**bits - 1) / 255
    y = np.round(unit * (low + luma * np.tile(np.linspace(0, 1, 256), (32, 1))))
    cb, cr = (np.full((32 // down, 256 // across), 2 ** (bits - 1) + k * unit) for k in (9, -6))
    (tmp_path / "raw").write_bytes(b"".join(p.astype("<u2").tobytes() for p in (y, cb, cr)))
    words = ("-f", "rawvideo", "-pix_fmt", kind, "-s", "256x32", "-i", tmp_path / "raw")
    words += ("-vf", f"setparams=colorspace=bt709:range={levels}", "-c:v", codec)
    exact = {"libx265": ("-x265-params", "lossless=1:log-level=error"), "libx264": ("-qp", "0")}
    ffmpeg(*words, *exact.get(codec, ()), tmp_path / "a.mkv")
    film = survey(tmp_path / "a.mkv", Footage())
    # Source: ITU-T H.273.
    grey = (y / unit - low) / luma
    blue, red = (np.floor(plane[0, 0] - 2 ** (bits - 1)) / unit / colour for plane in (cb, cr))
    rgb = [grey + 1.5748 * red, grey - 0.1873 * blue - 0.4681 * red, grey + 1.8556 * blue]
    assert film.depth == 16
    error = np.clip(np.stack(rgb, -1), 0, 1) - read(film)[0] / 65535
    assert np.abs(error).max() < 0.001


@pytest.mark.parametrize("kind", ["gbrp12le", "rgb48le", "gray16le"])
def test_deep_pictures_without_a_matrix_are_exact(tmp_path: Path, kind: str):
    ramp = np.tile(np.linspace(0, 65535, 256).round().astype("<u2"), (32, 1))
    (tmp_path / "raw").write_bytes(ramp.tobytes())
    words = ("-f", "rawvideo", "-pix_fmt", "gray16le", "-s", "256x32", "-i", tmp_path / "raw")
    ffmpeg(*words, "-pix_fmt", kind, "-c:v", "ffv1", tmp_path / "a.mkv")
    (picture,) = read(survey(tmp_path / "a.mkv", Footage()))
    assert np.abs(picture - ramp[..., None].astype(int)).max() <= 65535 * 0.001


def test_stills_keep_their_depth(tmp_path: Path):
    deep = np.random.default_rng(0).integers(0, 65536, (32, 48, 3), np.uint16)
    for number, pixels in enumerate((np.zeros_like(deep), deep)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels[..., ::-1])
    film = survey(tmp_path / "*.png", Footage())
    assert film.depth == 16
    np.testing.assert_array_equal(read(film)[1], deep)


# Nits -> level in PQ (SMPTE ST 2084) and in HLG (ITU-R BT.2100) of a grey.
NITS = {0: (0.0, 0.0), 10: (0.3, 0.2542), 203: (0.5807, 0.75), 1000: (0.7518, 1.0)}


@pytest.mark.parametrize("curve", ["smpte2084", "arib-std-b67"])
def test_hdr_is_tone_mapped(tmp_path: Path, curve: str):
    column = 1 if curve == "arib-std-b67" else 0
    greys = [levels[column] for levels in NITS.values()]
    row = np.repeat([[g, g, g] for g in greys] + [[0.55, 0.1, 0.1], [0.1, 0.1, 0.55]], 16, axis=0)
    pixels = np.tile(np.round(row * 65535).astype("<u2"), (32, 1, 1))
    (tmp_path / "raw").write_bytes(pixels[..., [1, 2, 0]].transpose(2, 0, 1).tobytes())
    words = ("-f", "rawvideo", "-pix_fmt", "gbrp16le", "-s", "96x32", "-i", tmp_path / "raw")
    tags = f"setparams=color_primaries=bt2020:color_trc={curve}:colorspace=gbr:range=pc"
    ffmpeg(*words, "-vf", tags, "-c:v", "ffv1", tmp_path / "a.mkv")
    film = survey(tmp_path / "a.mkv", Footage())
    assert film.notes == (f"HDR ({'HLG' if column else 'PQ'}) is tone-mapped to BT.709",)
    shown = read(film)[0][0, 8::16] / 65535
    assert np.ptp(shown[:4], axis=1).max() < 0.001
    black, dark, white, peak = shown[:4, 1]
    assert black == 0
    assert abs(dark - (10 / 203) ** (1 / 2.4)) < 0.02  # what is not bright stays as it is
    assert 0.85 < white < 0.95
    assert peak > 0.995
    red, blue = shown[4:]
    assert red[0] > 0.4 > 0.15 > red[1:].max()
    assert blue[2] > 0.4 > 0.15 > blue[:2].max()


def test_interlaced_pictures_are_deinterlaced(tmp_path: Path):
    # Each field of a moving edge at a moment of its own.
    moving = "color=black:s=96x64:r=50:d=2[a];color=white:s=20x64:r=50:d=2[b];"
    moving += "[a][b]overlay=x='mod(6*n,70)':shortest=1,tinterlace=interleave_top,setfield=tff"
    path = tmp_path / "a.mkv"
    make(path, moving, *QUICK, "-pix_fmt", "yuv420p", "-x264-params", "tff=1", "-frames:v", "40")
    film = survey(path, Footage())
    assert (film.count, film.fps) == (40, 25)
    assert film.notes == ("interlaced pictures are deinterlaced",)
    pictures = read(film)

    def comb(picture: np.ndarray) -> float:
        rows = picture[..., 1].astype(float)
        return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())

    woven = decoded(path, 64, 96)
    assert max(map(comb, pictures)) < 0.2 * np.mean([comb(picture) for picture in woven])
    np.testing.assert_array_equal(read(film, 35), pictures[35:])
    make(path, moving.removesuffix(",setfield=tff") + ",setfield=prog", *QUICK, "-frames:v", "5")
    assert survey(path, Footage()).notes == ()


@pytest.mark.parametrize("name", ["frame-%03d.png", "frame-*.png"])
def test_stills_follow_their_numbers(tmp_path: Path, name: str):
    digits = "03d" if "%" in name else "d"
    for number in range(8, 12):
        Image.new("RGB", (64, 48), (4 * number,) * 3).save(
            tmp_path / f"frame-{number:{digits}}.png"
        )
    film = survey(tmp_path / name, Footage(fps=Fraction(24)))
    assert (film.count, film.fps, film.duration) == (4, 24, Fraction(1, 6))
    assert [picture[0, 0, 0] for picture in read(film)] == [32, 36, 40, 44]
    assert [picture[0, 0, 0] for picture in read(film, 2)] == [40, 44]
    assert survey(tmp_path / name, Footage(start=0.05)).count == 2  # at 30 a second
    Image.new("RGB", (32, 48)).save(tmp_path / f"frame-{12:{digits}}.png")
    with pytest.raises(MediaError, match=r"frame-0?12.png has 32x48 pixels, the first 64x48"):
        survey(tmp_path / name, Footage())
    (tmp_path / f"frame-{10:{digits}}.png").unlink()
    with pytest.raises(MediaError, match="no still number 10"):
        survey(tmp_path / name, Footage())


def test_stills_without_usual_numbers_have_no_gaps(tmp_path: Path):
    for name in ("a 10", "a 20", "a 35", "a 100"):
        Image.new("RGB", (64, 48), (int(name[2:]),) * 3).save(tmp_path / f"{name}.png")
    film = survey(tmp_path / "*.png", Footage())
    assert [picture[0, 0, 0] for picture in read(film)] == [10, 20, 35, 100]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds that are hard to compress, with a key frame each second."""
    path = tmp_path_factory.mktemp("films") / "noisy.mp4"
    words = ("-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-movflags", "faststart")
    make(path, "testsrc2=s=96x64:r=25:d=4,noise=alls=40:allf=t", *words, "-pix_fmt", "yuv420p")
    return path


def test_what_can_be_decoded_is(tmp_path: Path, noisy: Path):
    data = bytearray(noisy.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 20] = bytes(len(data) // 20)
    (tmp_path / "a.mp4").write_bytes(data)
    film = survey(tmp_path / "a.mp4", Footage())
    lost = 100 - film.count
    assert 2 <= lost <= 30
    assert f"{lost} of 100 pictures" in film.notes[0]
    assert film.duration == 4
    whole = read(survey(noisy, Footage()))
    np.testing.assert_array_equal(read(film)[:40], whole[:40])
    np.testing.assert_array_equal(read(film)[-20:], whole[-20:])
    np.testing.assert_array_equal(read(film, 60), read(film)[60:])


def test_too_little_is_an_error(tmp_path: Path, noisy: Path):
    data = bytearray(noisy.read_bytes())
    begin = data.index(b"mdat") + len(data) // 4
    data[begin : len(data) * 9 // 10] = bytes(len(data) * 9 // 10 - begin)
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(MediaError, match=r"only \d+ of \d+ pictures of .* can be decoded"):
        survey(tmp_path / "a.mp4", Footage())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_film_that_breaks_off_can_be_read_so_far(tmp_path: Path, noisy: Path, suffix: str):
    ffmpeg("-i", noisy, "-c", "copy", "-movflags", "faststart", tmp_path / f"whole{suffix}")
    data = (tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(
        MediaError, match=r"breaks off at \d\.\d of 4\.0 seconds.*add --end"
    ) as caught:
        survey(path, Footage())
    end = float(str(caught.value).split()[-1])
    assert 1.5 < end < 2.5
    film = survey(path, Footage(end=end))
    assert abs(film.duration - Fraction(str(end))) <= Fraction(1, 25)
    read(film)


def test_cuts_are_those_of_the_chosen_pictures(tmp_path: Path):
    parts = (
        "testsrc2=s=96x64:r=25:d=1",
        "smptebars=s=96x64:r=25:d=0.2",
        "testsrc=s=96x64:r=25:d=1",
    )
    graph = ";".join(f"{part},setsar=1[{k}]" for k, part in enumerate(parts))
    path = tmp_path / "a.mp4"
    make(path, f"{graph};[0][1][2]concat=n=3", *QUICK, "-pix_fmt", "yuv420p")
    assert survey(path, Footage()).cuts == (25, 30)
    assert survey(path, Footage(cuts="none")).cuts == ()
    assert survey(path, Footage(every=4)).cuts == (7, 8)
    assert survey(path, Footage(fps=Fraction(50))).cuts == (50, 60)
    assert survey(path, Footage(start=0.8)).cuts == (5, 10)
    assert survey(path, Footage(start=1.0)).cuts == (5,)


def test_a_film_of_pictures_of_two_sizes_has_one(tmp_path: Path):
    for number, size in enumerate(("96x64", "64x48")):
        make(
            tmp_path / f"{number}.ts",
            f"testsrc2=s={size}:r=25:d=0.2",
            *QUICK,
            "-pix_fmt",
            "yuv420p",
        )
    (tmp_path / "a.ts").write_bytes(b"".join((tmp_path / f"{k}.ts").read_bytes() for k in (0, 1)))
    film = survey(tmp_path / "a.ts", Footage())
    assert film.size == Size(96, 64)
    assert "pictures change their size: all are scaled to the first one's, 96x64" in film.notes
    assert len(read(film)) == 10


def test_a_look_can_be_watched_and_stopped(fifty: Path):
    told: list[int] = []
    survey(fifty, Footage(), watch=told.append)
    assert told == list(range(1, 51))

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(fifty, Footage(), watch=stop)


@pytest.mark.parametrize("name", ["-i.mkv", "http:clip.mkv", "12:30 %d 'ü' [*].mkv"])
def test_odd_names_are_names(monkeypatch: pytest.MonkeyPatch, fifty: Path, name: str):
    monkeypatch.chdir(fifty.parent)
    Path(name).write_bytes(fifty.read_bytes())
    assert survey(name, Footage()).digest() == sha256_of(fifty)
    Path(name).unlink()


# What is asked for -> a part of the answer.
HOSTILE = {
    "none.mp4": "no clip at",
    "-i.mp4": "no clip at",
    "http://127.0.0.1:9/clip.mp4": "no clip at",
    "concat:a.mkv|b.mkv": "no clip at",
    "pipe:0": "no clip at",
    "file:a.mkv": "no clip at",
    "none-%05d.png": "no stills match",
    "none/*.png": "no stills match",
    ".": "is a folder",
    "/dev/zero": "is a device.*record it",
    "empty.mp4": "is empty",
    "text.mp4": "cannot be read",
    "still.png": "is a still: dream it with dreamvid image",
    "still.bmp": "is a still",
    "still.mp4": "is a still",
    "sound.m4a": "no video stream",
    "list.m3u8": "a list of clips",
    "list.txt": "a list of clips",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_film_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.chdir(tmp_path)
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("hello")
    for still in ("still.png", "still.bmp"):
        Image.new("RGB", (64, 48)).save(still)
    Path("still.mp4").write_bytes(Path("still.png").read_bytes())
    if name == "sound.m4a":  # with a cover
        cover = ("-i", "still.png", "-map", "0", "-map", "1", "-disposition:v", "attached_pic")
        make(Path(name), "sine=d=0.1", *cover, "-c:v", "png")
    if name.startswith("list"):
        write_levels(Path("a.mkv"), 2)
        Path("list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.mkv\n")
        Path("list.txt").write_text("ffconcat version 1.0\nfile a.mkv\n")
    with pytest.raises(MediaError, match=HOSTILE[name]) as caught:
        survey(Path(name), Footage())
    assert "\n" not in str(caught.value)
    assert name in str(caught.value) or ":" in name
