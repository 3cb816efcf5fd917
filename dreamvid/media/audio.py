"""How loud a sound is, a number a tick, for schedules that move with music."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from dreamvid.errors import MediaError
from dreamvid.paths import check_is_file

RATE = 22050
"""Samples a second that sounds are measured at: what lies above 11 kHz is left out."""
BANDS = {"low": (20, 250), "mid": (250, 4000), "high": (4000, RATE // 2 + 1), "all": (20, RATE)}
"""Signal -> the frequencies it hears, in Hz, the lower one among them."""
SIGNALS = (*BANDS, "onset")
"""All that `read_signals` returns."""

_SILENCE = 1e-4  # -80 dB of full scale: below lies only the noise of recording
_FAINT = 1e-3  # -60 dB of the whole: a band below it holds only what leaks from the others
_STEADY = 1e-2  # of the whole spectrum: less growth than this is no beat
_BLOCK = 2**16  # samples, or values of a transform, handled at once: memory stays bounded
_LONGEST = 24 * 3600  # seconds


def read_signals(path: Path, fps: float) -> dict[str, np.ndarray]:
    """Measures a sound around every tick.

    The mono sound at 22,050 Hz is cut into windows centred at each tick (Hann, the power of two
    that spans two ticks, at least 1024 samples), with magnitudes X(n, k) at tick n, frequency k.
    "low", "mid", "high" and "all" are the root mean square of what lies in the band. "onset" is
    the spectral flux, sum over k of max(0, |X(n, k)| - |X(n-1, k)|): it peaks at each beat.
    Each is divided by its own 99th percentile and clipped at 1, so that rare peaks do not
    flatten the rest; silence is all zeros.

    Args:
      path: Anything with sound: WAV, MP3, FLAC, a video ...
      fps: Ticks a second.

    Returns:
      For each of SIGNALS float64 (ticks,) in [0, 1], where ticks is ceil(seconds * fps).

    Raises:
      MediaError: There is no such file, it has no sound, or it cannot be read.

    Source: Dixon 2006, "Onset Detection Revisited", eq. 2; Bello et al. 2005, "A Tutorial on
    Onset Detection in Music Signals".
    """
    meter = _Meter(RATE / fps)
    seconds = Fraction(0)
    for samples, so_far in _decode(path):
        meter.hear(samples)
        seconds = so_far
    rows = meter.finish(math.ceil(seconds * Fraction(fps)))
    loudness = _percentile(rows[:, list(BANDS).index("all")])
    least = [_FAINT * loudness] * len(BANDS) + [_STEADY * _percentile(rows[:, -1])]
    if loudness < _SILENCE:
        rows[:] = 0.0
    return {
        name: np.clip(rows[:, k] / max(_percentile(rows[:, k]), least[k], 1e-12), 0.0, 1.0)
        for k, name in enumerate(SIGNALS)
    }


def beginning(path: Path) -> Fraction:
    """The second of a file's own clock from which `read_signals` counts its ticks.

    Raises:
      MediaError: As there.
    """
    with _Opened(path) as container:
        return _start(container)


class _Opened:
    """An open container that has a sound; what FFmpeg says of it becomes one line of ours."""

    def __init__(self, path: Path):
        self._path = path
        check_is_file(path, "sound", MediaError)
        try:
            if path.stat().st_size == 0:
                raise MediaError(f"{path} is empty: it holds no sound")
            # Absolute, since FFmpeg would take "http:..." and "-" for other things than files;
            # for the same reason playlists may lead to files only.
            self._container = av.open(
                str(path.absolute()),
                metadata_errors="replace",
                options={"protocol_whitelist": "file"},
            )
        except (FFmpegError, OSError) as error:
            raise self._refusal(error) from None

    def __enter__(self) -> InputContainer:
        if not self._container.streams.audio:
            self._container.close()
            raise MediaError(f"{self._path} has no sound: name a file with an audio stream")
        return self._container

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._container.close()
        if isinstance(error, FFmpegError):
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> MediaError:
        reason = str(getattr(error, "strerror", None) or error).split("\n")[0]
        return MediaError(f"{self._path} is not a sound that can be read: {reason}. Try a WAV file")


def _start(container: InputContainer) -> Fraction:
    return Fraction(container.start_time or 0, 1_000_000)


def _decode(path: Path) -> Iterator[tuple[np.ndarray, Fraction]]:
    """Blocks of mono float32 samples at RATE, and the seconds of sound up to each block's end."""
    with _Opened(path) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        seconds, blocks, held = Fraction(0), [], 0
        for count, frame in enumerate(container.decode(stream)):
            if count == 0 and frame.pts is not None and frame.time_base is not None:
                # In a video the sound may begin later than the pictures.
                seconds = max(frame.pts * frame.time_base - _start(container), Fraction(0))
                if seconds > _LONGEST:
                    raise MediaError(f"{path} begins after more than a day: it is damaged")
                for _ in range(int(seconds * RATE) // _BLOCK):
                    yield np.zeros(_BLOCK, np.float32), seconds
                blocks.append(np.zeros(int(seconds * RATE) % _BLOCK, np.float32))
            frame.pts = None  # gaps are not filled: the samples are taken as they follow
            seconds += Fraction(frame.samples, frame.sample_rate)
            try:
                blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            except ValueError:
                message = f"{path} changes its sample rate or channels midway: make it a WAV first"
                raise MediaError(message) from None
            held += frame.samples
            if held > _BLOCK and blocks:
                yield np.concatenate(blocks), seconds
                blocks, held = [], 0
        blocks += [part.to_ndarray()[0] for part in resampler.resample(None) if seconds]
        if not seconds:
            raise MediaError(f"{path} holds no sound: its audio stream is empty")
        yield np.concatenate([*blocks, np.zeros(0, np.float32)]), seconds


class _Meter:
    """Measures a sound that comes in blocks, keeping no more of it than a window."""

    def __init__(self, hop: float):
        self._hop = hop
        self._size = 1 << max(10, math.ceil(math.log2(2 * hop)))
        self._window = np.hanning(self._size + 1)[:-1].astype(np.float32)
        frequencies = np.fft.rfftfreq(self._size, 1 / RATE)
        # Parseval's theorem: these weights of |X|^2 add up to the mean square in the window.
        scale = 2 / (self._size * (self._window.astype(np.float64) ** 2).sum())
        inside = [(frequencies >= low) & (frequencies < high) for low, high in BANDS.values()]
        self._weights = np.array(inside).T * scale
        self._held = np.zeros(self._size // 2, np.float32)  # silence before the beginning
        self._first = -len(self._held)
        self._before = np.zeros(self._size // 2 + 1, np.float32)
        self._rows: list[np.ndarray] = []
        self._tick = 0

    def hear(self, samples: np.ndarray) -> None:
        """Measures all ticks whose windows are complete now."""
        self._held = np.concatenate([self._held, samples])
        end = self._first + len(self._held) - self._size // 2
        self._measure(max(math.floor(end / self._hop), self._tick))
        begin = round(self._tick * self._hop) - self._size // 2
        self._held = self._held[max(begin - self._first, 0) :]
        self._first = max(begin, self._first)

    def finish(self, ticks: int) -> np.ndarray:
        """float64 (ticks, 6): the bands, the flux, and the sum of all magnitudes."""
        missing = round(ticks * self._hop) + self._size - self._first - len(self._held)
        self._held = np.pad(self._held, (0, max(missing, 0)))  # silence after the end
        self._measure(ticks)
        return np.concatenate(self._rows)[:ticks]

    def _measure(self, until: int) -> None:
        batch = max(_BLOCK // self._size, 1)
        for tick in range(self._tick, until, batch):
            ticks = np.arange(tick, min(tick + batch, until))
            begins = np.round(ticks * self._hop).astype(int) - self._size // 2 - self._first
            windows = self._held[begins[:, None] + np.arange(self._size)] * self._window
            heights = np.abs(np.fft.rfft(windows)).astype(np.float32)
            growth = np.diff(heights, axis=0, prepend=self._before[None])
            bands = np.sqrt(heights.astype(np.float64) ** 2 @ self._weights)
            flux = np.maximum(growth, 0.0).sum(axis=1, dtype=np.float64)
            total = heights.sum(axis=1, dtype=np.float64)
            self._rows.append(np.column_stack([bands, flux, total]))
            self._before = heights[-1]
        self._tick = until


def _percentile(values: np.ndarray) -> float:
    # Of a sound with very few beats the percentile is nothing; its highest peak will do.
    level = float(np.percentile(values, 99))
    return level if level > 0.01 * values.max() else float(values.max())
