"""Signals hear what is in their band, when it is there, at any loudness."""

import math
import os
import wave
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from dreamvid.errors import MediaError
from dreamvid.media.audio import BANDS, SIGNALS, read_signals

FPS = 30.0
RATE = 48000  # of compressed sounds; Opus has few others


def tone(hertz: float, seconds: float = 2.0, rate: int = 22050) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def clicks(times: np.ndarray, seconds: float, rate: int = 22050) -> np.ndarray:
    samples = np.zeros(round(seconds * rate))
    for time in times:
        at = round(time * rate)
        samples[at : at + 200] = 0.8 * np.random.default_rng(0).uniform(-1, 1, 200)
    return samples


def saved(path: Path, samples: np.ndarray, rate: int = 22050, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        pcm = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
        file.writeframes(pcm.repeat(channels).tobytes())
    return path


def encoded(path: Path, samples: np.ndarray, codec: str, begin: float = 0.0) -> Path:
    """Any format of ffmpeg's; `begin` in seconds, behind a black picture, makes a video of it."""
    with av.open(str(path), "w") as container:
        stream = cast(AudioStream, container.add_stream(codec, rate=RATE))
        if begin:
            video = container.add_stream("mpeg4", rate=30, width=32, height=32)
            for packet in [*video.encode(av.VideoFrame(32, 32, "yuv420p")), *video.encode(None)]:
                container.mux(packet)
        planes = np.ascontiguousarray(samples[None].astype(np.float32))
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        resampler = av.AudioResampler(stream.format, stream.layout, RATE, stream.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts = (part.pts or 0) + round(begin * RATE)
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("hertz", "band"), [(100, "low"), (1000, "mid"), (7000, "high")])
def test_a_tone_is_heard_in_its_band_alone(tmp_path: Path, hertz: float, band: str):
    signals = read_signals(saved(tmp_path / "tone.wav", tone(hertz)), FPS)
    assert tuple(signals) == SIGNALS
    inner = slice(3, -3)  # the first and last windows hold an edge, which is in all bands
    for name in BANDS:
        expected = 1.0 if name in (band, "all") else 0.0
        np.testing.assert_allclose(signals[name][inner], expected, atol=0.03, err_msg=name)
    assert signals["onset"][inner].max() < 0.1


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0, 23.976])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_clicks_are_peaks_of_the_onset_at_their_times(tmp_path: Path, fps: float, rate: int):
    times = np.arange(0.25, 4.0, 0.5)
    path = saved(tmp_path / "clicks.wav", clicks(times, 4.0, rate), rate, channels=2)
    onset = read_signals(path, fps)["onset"]
    for time in times:
        tick = time * fps
        near = np.arange(max(round(tick - fps / 4), 0), min(round(tick + fps / 4), len(onset)))
        peak = near[np.argmax(onset[near])]
        assert abs(peak - tick) <= 1.0
        assert onset[peak] > 0.3
    quiet = np.abs(np.arange(len(onset))[:, None] - times * fps).min(axis=1) > 3
    assert onset[quiet].max() < 0.05


@pytest.mark.parametrize("seconds", [0.01, 1.0, 1.01, 2.5, 7.3])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_there_is_a_value_a_tick_in_range(tmp_path: Path, seconds: float, rate: int):
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * rate))
    path = saved(tmp_path / "noise.wav", noise, rate)
    for name, signal in read_signals(path, FPS).items():
        assert signal.dtype == np.float64
        assert signal.shape == (math.ceil(Fraction(len(noise), rate) * 30),), name
        assert signal.min() >= 0
        assert signal.max() == 1


def test_loudness_does_not_matter_and_its_course_does(tmp_path: Path):
    swell = tone(440) * np.linspace(0, 1, 44100)
    loud, soft = (
        read_signals(saved(tmp_path / f"{gain}.wav", swell * gain), FPS) for gain in (1.0, 0.1)
    )
    np.testing.assert_allclose(loud["all"], soft["all"], atol=0.01)
    np.testing.assert_allclose(loud["all"][:-2], np.linspace(0, 1, 60)[:-2], atol=0.05)


def test_a_single_beat_in_a_long_silence_is_heard(tmp_path: Path):
    onset = read_signals(saved(tmp_path / "one.wav", clicks(np.array([20.0]), 30.0)), FPS)["onset"]
    assert abs(int(np.argmax(onset)) - 600) <= 1
    assert onset.max() == 1


@pytest.mark.parametrize("noise", [0.0, 1 / 32767])
def test_silence_is_all_zeros(tmp_path: Path, noise: float):
    samples = noise * np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 44100)
    for signal in read_signals(saved(tmp_path / "silence.wav", samples), FPS).values():
        np.testing.assert_array_equal(signal, np.zeros(60))


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.flac", "flac"), ("a.opus", "libopus")],
)
def test_compressed_sounds_are_timed_like_plain_ones(tmp_path: Path, name: str, codec: str):
    times = np.array([0.5, 1.0, 1.5])
    path = encoded(tmp_path / name, clicks(times, 2.0, RATE), codec)
    onset = read_signals(path, FPS)["onset"]
    assert len(onset) == pytest.approx(60, abs=3)
    for tick in times * FPS:
        near = np.arange(int(tick) - 5, int(tick) + 6)
        assert abs(near[np.argmax(onset[near])] - tick) <= 1


def test_a_sound_that_begins_late_in_its_video_stays_late(tmp_path: Path):
    path = encoded(tmp_path / "late.mkv", tone(440, 1.0, RATE), "flac", begin=4.0)
    heard = np.flatnonzero(read_signals(path, FPS)["all"] > 0.5)
    assert abs(heard[0] - 120) <= 1
    assert abs(heard[-1] - 150) <= 1


def test_what_has_no_sound_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("hello " * 100)
    with av.open(str(tmp_path / "mute.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=30, width=32, height=32)
        for packet in [*video.encode(av.VideoFrame(32, 32, "yuv420p")), *video.encode(None)]:
            container.mux(packet)
    os.mkfifo(tmp_path / "pipe")
    for name, complaint in {
        "none.wav": "no sound at",
        ".": "is a folder",
        "pipe": "is a device",
        "empty.wav": "is empty",
        "text.mp3": "is not a sound|has no sound",
        "mute.mkv": "has no sound",
    }.items():
        with pytest.raises(MediaError, match=complaint) as caught:
            read_signals(tmp_path / name, FPS)
        assert "\n" not in str(caught.value)


def test_a_header_without_samples_is_refused(tmp_path: Path):
    with pytest.raises(MediaError, match=r"holds no sound|is not a sound"):
        read_signals(saved(tmp_path / "header.wav", np.zeros(0)), FPS)


@pytest.mark.parametrize("name", ["-i.wav", "http:x.wav", "concat:a|b.wav", "pipe:0", "ünï.wav"])
def test_odd_names_are_plain_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    saved(tmp_path / name, tone(440, 0.1))
    monkeypatch.chdir(tmp_path)
    assert len(read_signals(Path(name), FPS)["all"]) == 3
    for odd in ("http://localhost/a.wav", "-"):
        with pytest.raises(MediaError, match="no sound at"):
            read_signals(Path(odd), FPS)


def test_a_playlist_leads_to_no_network(tmp_path: Path):
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(text)
    with pytest.raises(MediaError):
        read_signals(tmp_path / "list.m3u8", FPS)
