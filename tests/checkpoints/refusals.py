"""What every refusal of a file must be."""

import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from dreamvid.errors import WeightsError
from small import least_seconds


def assert_file_refused(path: Path, match: str, act: Callable[[Path], object]) -> None:
    """`act` refuses a file at once, in one line that names it, with little memory."""
    with pytest.raises(WeightsError, match=match) as refusal:
        act(path)
    text = str(refusal.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 300 + len(str(path))

    def refused() -> None:
        with pytest.raises(WeightsError, match=match):
            act(path)

    assert least_seconds(refused) < 1
    tracemalloc.start()
    refused()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32 << 20


def assert_cuts_refused(
    path: Path, whole: bytes, cuts: Iterable[int], match: str, act: Callable[[Path], object]
) -> None:
    """`act` refuses a file that ends after so many of its bytes."""
    for kept in cuts:
        path.write_bytes(whole[:kept])
        assert_file_refused(path, match, act)


def assert_no_damage_surprises(path: Path, read: Callable[[Path], object], tries: int) -> None:
    """Whatever bytes of a file are changed or cut off, it is read or refused, and nothing else."""
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refusals = []
    for _ in range(tries):
        changed = whole.copy()
        places = rng.integers(len(whole), size=rng.integers(1, 6))
        changed[places] = rng.integers(256, size=len(places))
        kept = len(whole) if rng.random() < 0.7 else rng.integers(len(whole))
        path.write_bytes(changed[:kept].tobytes())
        try:
            read(path)
        except WeightsError as refusal:
            refusals.append(str(refusal))
    assert not any("\n" in refusal for refusal in refusals)
    assert len(refusals) > tries / 10  # or the changes did not reach what is read
