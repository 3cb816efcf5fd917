"""Sound, subtitles, chapters and tags arrive as they were, in time with the pictures."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from waves import SIZE, depth_of, smooth_frames

from dreamvid.errors import MediaError
from dreamvid.media.codecs import Showing
from dreamvid.media.probe import count_frames, read_settings
from dreamvid.media.sinks import SINKS, check_output, ffmpeg_line, open_sink, track_notes
from dreamvid.media.tracks import MKV, MP4, Track, Tracks
from dreamvid.options import Output

SETTINGS = "# dreamvid 0.1\n[source]\n"
RATE = Fraction(25)
CHIRP = "aevalsrc=sin(2*PI*(200+400*t)*t)"
"""A sound that is like itself nowhere else."""
SUBTITLES = """1
00:00:00,400 --> 00:00:00,900
One

2
00:00:01,200 --> 00:00:01,600
Two
"""
FACTS = """;FFMETADATA1
title=A film
comment=of another program
[CHAPTER]
TIMEBASE=1/1000
START=0
END=500
title=First
[CHAPTER]
TIMEBASE=1/1000
START=500
END=2000
title=Second
"""


def ffmpeg(*words: object) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of films of 2 s at 25 a second."""
    folder = tmp_path_factory.mktemp("films: 100%d")
    (folder / "a.srt").write_text(SUBTITLES)
    (folder / "facts.txt").write_text(FACTS)
    pictures = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=2"]
    small = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"]
    chirp = ["-f", "lavfi", "-i", f"{CHIRP}:d=2:s=44100"]
    tone = ["-f", "lavfi", "-i", "sine=880:d=2:r=48000"]
    tags = [*("-metadata:s:a:0", "language=eng"), *("-metadata:s:a:1", "language=deu")]
    named = ["-metadata", "title=A film", "-metadata", "comment=of another program"]
    both = ["-map", "0", "-map", "1", "-map", "2"]
    ffmpeg(*pictures, *chirp, *tone, *both, *small, "-c:a", "aac", *tags, *named,
           "-disposition:a:0", "0", "-disposition:a:1", "default", folder / "two.mp4")  # fmt: skip
    ffmpeg(*pictures, *chirp, *tone, "-i", folder / "a.srt", "-i", folder / "facts.txt",
           *both, "-map", "3", "-map_metadata", "4", *small, "-c:a:0", "libopus", "-c:a:1", "flac",
           "-c:s", "srt", *tags, "-metadata:s:s:0", "language=fra",
           "-metadata:s:a:0", "BPS=123", "-attach", folder / "facts.txt",
           "-metadata:s:t", "mimetype=font/ttf", folder / "rich.mkv")  # fmt: skip
    ffmpeg(*pictures, *small, folder / "silent.mp4")
    ffmpeg(*pictures, *chirp, *small, "-c:a", "pcm_s16le", folder / "pcm.mov")
    ffmpeg(*pictures, *chirp, *small, "-c:a", "aac", "-t", "1.1", folder / "short.mp4")
    ffmpeg(*pictures, "-itsoffset", "0.5", *chirp, *small, "-c:a", "aac", folder / "late.mp4")
    ffmpeg(*pictures, *chirp, *small, "-c:a", "mp2", "-muxdelay", "0.7", folder / "stream.ts")
    return folder


def carry(
    path: Path,
    film: Path,
    start: Fraction = Fraction(0),
    end: Fraction | None = None,
    count: int | None = None,
) -> Path:
    """Writes pictures, and along with them what a film has between two moments."""
    tracks = Tracks(film, start, end)
    count = count or (50 if end is None else round((end - start) * RATE))
    showing = Showing(size=SIZE, fps=RATE, tracks=tracks)
    check_output(path, showing, Output(), False)
    with open_sink(path, showing, SETTINGS, Output(), False) as sink:
        for frame in smooth_frames(count, depth_of(path, Output())):
            sink.write(frame)
    assert count_frames(path) == count
    assert read_settings(path) == SETTINGS
    assert sorted(path.parent.iterdir()) == [path]
    return path


def packets(path: Path, kind: str = "audio") -> list[list[bytes]]:
    """The content of all packets of each track of a kind."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        found = {stream.index: [] for stream in streams}
        for packet in container.demux(*streams) if streams else ():
            if packet.size:
                found[packet.stream.index].append(bytes(packet))
    return list(found.values())


def facts(path: Path, kind: str = "audio") -> list[tuple[str, str, bool]]:
    """Of each track of a kind: codec, language, whether it is the default."""
    with av.open(str(path)) as container:
        return [
            (s.codec_context.codec.canonical_name, s.language or "", bool(int(s.disposition) & 1))
            for s in container.streams
            if s.type == kind
        ]


def titles(path: Path) -> dict[str, tuple[float, float]]:
    """When each chapter begins and ends, in seconds, as ffmpeg sees it."""
    lines = ffmpeg("-i", path, "-f", "ffmetadata", "-").decode().split("[CHAPTER]")[1:]
    chapters = [dict(line.split("=") for line in text.split("\n") if "=" in line) for text in lines]
    return {
        c["title"]: (float(int(c["START"]) * Fraction(c["TIMEBASE"])),
                     float(int(c["END"]) * Fraction(c["TIMEBASE"])))
        for c in chapters
    }  # fmt: skip


def spoken(path: Path) -> list[tuple[str, float, float]]:
    """The subtitles of a file's first track, and when they are shown, in seconds, by ffmpeg."""
    found = []
    for entry in ffmpeg("-i", path, "-map", "0:s:0", "-f", "srt", "-").decode().split("\n\n"):
        lines = entry.strip().split("\n")
        if len(lines) > 2:
            begins, ends = (float(time[6:].replace(",", ".")) for time in lines[1].split(" --> "))
            found.append((lines[2], begins, ends))
    return found


def heard(path: Path, track: int = 0) -> np.ndarray:
    """A track as another program plays it: float32 at 48,000 Hz, from the file's beginning on."""
    whole = ["-map", f"0:a:{track}", "-af", "aresample=48000:async=1:first_pts=0", "-ac", "1"]
    return np.frombuffer(ffmpeg("-copyts", "-i", path, *whole, "-f", "f32le", "-"), np.float32)


def lag(found: np.ndarray, wanted: np.ndarray) -> float:
    """Seconds by which one sound comes later than another, by their correlation."""
    size = len(found) + len(wanted)
    spectra = np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size))
    peak = int(np.argmax(np.fft.irfft(spectra, size)))
    return (peak if peak < size // 2 else peak - size) / 48000


COPIES = [(name, suffix) for name in ("two.mp4", "rich.mkv") for suffix in (".mp4", ".mkv")]


@pytest.mark.parametrize(("name", "suffix"), COPIES)
def test_a_whole_film_keeps_all_that_goes_along(
    tmp_path: Path, films: Path, name: str, suffix: str
):
    path = carry(tmp_path / f"-cl: ip{suffix}", films / name)
    assert packets(path) == packets(films / name)
    assert facts(path) == facts(films / name)
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "A film"
        assert not {"MAJOR_BRAND", "COMPATIBLE_BRANDS"} & set(container.metadata)
        assert container.duration
        assert abs(container.duration / 1e6 - 2) < 1 / 25
        assert "BPS" not in container.streams.audio[0].metadata
        fonts = sum(stream.type == "attachment" for stream in container.streams)
        assert fonts == (name == "rich.mkv" and suffix == ".mkv")
    assert abs(lag(heard(path), heard(films / name))) < 0.0011  # the clock of a .mkv
    if name == "rich.mkv":
        assert titles(path) == {"First": (0, 0.5), "Second": (0.5, 2)}
        assert spoken(path) == [("One", 0.4, 0.9), ("Two", 1.2, 1.6)]
        codec = "mov_text" if suffix == ".mp4" else "subrip"
        assert [fact[:2] for fact in facts(path, "subtitle")] == [(codec, "fra")]


@pytest.mark.parametrize(("name", "suffix"), [*COPIES, ("two.mp4", ".webm")])
def test_a_cut_cuts_all_alike(tmp_path: Path, films: Path, name: str, suffix: str):
    start, end = Fraction("0.5"), Fraction("1.48")
    path = carry(tmp_path / f"clip{suffix}", films / name, start, end)
    if suffix != ".webm":
        for kept, whole in zip(packets(path), packets(films / name), strict=True):
            first = whole.index(kept[0])
            assert kept == whole[first : first + len(kept)]
            # All that are heard, and one that warms up the decoder where the file can hide it.
            assert -1 < len(kept) - len(whole) * (end - start) / 2 < 3
    found, wanted = heard(path), heard(films / name)[24000 : 24000 + 47040]
    assert -0.03 < (len(found) - 47040) / 48000 < 0.03  # a packet
    assert abs(lag(found, wanted)) < 0.0011
    for third in (slice(4800, 16000), slice(16000, 32000), slice(32000, 45000)):
        assert np.std(found[third]) == pytest.approx(np.std(wanted[third]), rel=0.1)
    if name == "rich.mkv":
        ((title, (begins, ends)),) = titles(path).items()
        assert title == "Second"
        assert (begins, ends) == pytest.approx((0, 0.98), abs=1e-5)
        first, second = spoken(path)
        assert (*first, *second) == ("One", 0, 0.4, "Two", 0.7, 0.98)


def test_what_a_file_cannot_hold_is_converted_and_told(tmp_path: Path, films: Path):
    cases = {
        "two.mp4": (".webm", ["opus", "opus"]),
        "pcm.mov": (".mp4", ["aac"]),
        "rich.mkv": (".mov", ["pcm_s16le", "pcm_s16le"]),
    }
    for name, (suffix, codecs) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        path = carry(folder / f"clip{suffix}", films / name)
        assert [fact[0] for fact in facts(path)] == codecs
        if name == "two.mp4":
            assert [fact[1:] for fact in facts(path)] == [("eng", False), ("deu", True)]
        assert abs(lag(heard(path), heard(films / name))) < 0.0011
        told = track_notes(path, Tracks(films / name))
        assert f"cannot be in {suffix}: converted to {codecs[0]}; .mkv keeps it" in told[0]
        assert len(told) == len(codecs) + (name == "rich.mkv")
    assert titles(tmp_path / "rich.mkv" / "clip.mov") == {"First": (0, 0.5), "Second": (0.5, 2)}


def test_what_cannot_be_at_all_is_left_out_and_told(tmp_path: Path, films: Path):
    pictures = Track("subtitle", 2, 4, "hdmv_pgs_subtitle", ())
    assert pictures.coding(MP4) == ()
    assert pictures.note(MP4, ".mp4") == (
        "subtitle track 2 (hdmv_pgs_subtitle) cannot be in .mp4: left out; .mkv keeps it"
    )
    assert pictures.coding(MKV) == ("copy",)
    strange = Track("audio", 1, 1, "", ())
    assert strange.note(MKV, ".mkv") == (
        "audio track 1 (of an unknown kind) cannot be in .mkv: left out"
    )
    for suffix in (".gif", ".webp", ".png"):
        assert track_notes(tmp_path / f"a{suffix}", Tracks(films / "silent.mp4")) == []
        assert track_notes(tmp_path / f"a{suffix}", Tracks(films / "rich.mkv")) == [
            f"{suffix} has pictures only: 2 audio tracks and 1 subtitle track left out; "
            ".mkv keeps them"
        ]
    carry(tmp_path / "clip.gif", films / "rich.mkv", count=3)


def test_sound_shorter_than_the_pictures_or_later(tmp_path: Path, films: Path):
    for name, begins, ends in (("short.mp4", 0, 1.1), ("late.mp4", 0.5, 2.5)):
        for suffix in (".mp4", ".mkv", ".webm"):
            folder = tmp_path / f"{name}{suffix}"
            folder.mkdir()
            found = heard(carry(folder / f"clip{suffix}", films / name))
            assert np.argmax(np.abs(found) > 0.05) / 48000 == pytest.approx(begins, abs=0.025)
            assert len(found) / 48000 == pytest.approx(ends, abs=0.025)
            assert abs(lag(found, heard(films / name))) < 0.0011
    # Ended before it begins: the file may have no such track then.
    (tmp_path / "none").mkdir()
    path = carry(tmp_path / "none" / "a.mp4", films / "late.mp4", Fraction(0), Fraction("0.4"))
    assert packets(path) == []


def test_a_film_whose_clock_begins_later(tmp_path: Path, films: Path):
    with av.open(str(films / "stream.ts")) as container:
        stream = container.streams.video[0]
        assert stream.start_time
        assert stream.time_base
        start = stream.start_time * stream.time_base
    assert start > 0.5
    path = carry(tmp_path / "clip.mkv", films / "stream.ts", start)
    wanted = heard(films / "stream.ts")[round(start * 48000) :]
    assert abs(lag(heard(path), wanted)) < 0.0011


def test_a_film_without_sound_keeps_its_rate(tmp_path: Path, films: Path):
    rate, path = Fraction(45000, 1499), tmp_path / "clip.mp4"
    tracks = Tracks(films / "silent.mp4")
    assert track_notes(path, tracks) == []
    showing = Showing(size=SIZE, fps=rate, tracks=tracks)
    with open_sink(path, showing, SETTINGS, Output(), False) as sink:
        for frame in smooth_frames(20):
            sink.write(frame)
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert stream.average_rate == rate
        assert stream.time_base
        shown = [(frame.pts or 0) * stream.time_base for frame in container.decode(stream)]
    assert shown == [k / rate for k in range(20)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_pictures_keep_their_own_times_beside_sound(tmp_path: Path, films: Path, suffix: str):
    times = [Fraction(ms, 1000) for ms in (0, 40, 120, 150, 333, 400, 480, 500, 700, 731)]
    path, depth = tmp_path / f"clip{suffix}", depth_of(Path(f"a{suffix}"), Output())
    tracks = Tracks(films / "two.mp4", Fraction("0.2"), Fraction("1.2"))
    showing = Showing(size=SIZE, fps=Fraction(10), tracks=tracks, times=tuple(times))
    with open_sink(path, showing, SETTINGS, Output(), False) as sink:
        for frame in smooth_frames(10, depth):
            sink.write(frame)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        assert [(f.pts or 0) * stream.time_base for f in container.decode(stream)] == times
        assert container.duration
        assert 1 <= container.duration / 1e6 < 1.05
    assert abs(lag(heard(path), heard(films / "two.mp4")[9600:57600])) < 0.0011


def test_a_track_that_does_not_arrive_is_an_error(
    tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Tracks, "arguments", lambda *_: ["-map", "1:a:0", "-c", "copy"])
    with pytest.raises(MediaError, match=r"ffmpeg wrote 1 of 2 audio tracks of .*two\.mp4"):
        carry(tmp_path / "clip.mp4", films / "two.mp4")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_refused_at_once(tmp_path: Path, films: Path):
    (tmp_path / "text.mp4").write_text("hello")
    cases = {
        Tracks(tmp_path / "none.mp4"): "no film at",
        Tracks(tmp_path): "is a folder, not a film",
        Tracks(tmp_path / "text.mp4"): "text.mp4 cannot be read",
        Tracks(films / "two.mp4", Fraction(2), Fraction(2)): "from 2 to 2 s: choose another --end",
    }
    for tracks, complaint in cases.items():
        showing = Showing(size=SIZE, fps=RATE, tracks=tracks)
        with pytest.raises(MediaError, match=complaint) as caught:
            check_output(tmp_path / "a.mp4", showing, Output(), False)
        assert "\n" not in str(caught.value)


def test_the_line_for_a_shell_has_two_commands(films: Path):
    showing = Showing(size=SIZE, fps=RATE, tracks=Tracks(films / "rich.mkv"))
    line = ffmpeg_line(Path("a.mkv"), showing, Output())
    assert line
    assert line.count(" && ffmpeg ") == 1
    assert line.count(" -c:a:") == 2
    assert SINKS[".mkv"].sound is MKV
