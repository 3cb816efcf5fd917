"""A journal gives back every frame bit for bit, wherever a kill has met it."""

import contextlib
import itertools
import json
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid import journal
from dreamvid.errors import DreamError, MediaError
from dreamvid.fields import Size
from dreamvid.journal import Journal, Run, open_journal, read_run, run_folder
from dreamvid.media.segments import SegmentWriter
from dreamvid.types import Carry, ZoomCarry

SIZE = Size(16, 12)
RUN = Run("# a recipe", "/here", "/here/out.mp4", False, False, {"general.seed": "0", "bits": "8"})
TONE = np.ones((2, 3), np.float32)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every frame, and no waiting for the disk."""
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(journal, "_MOST_SPENT", math.inf)
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "out.mp4")


def begin(first: int = 0) -> ZoomCarry:
    """The carry before the first frame."""
    generator = np.random.default_rng(0)
    image = generator.random((5, 7, 3), np.float32)
    return ZoomCarry(first - 1, jnp.asarray(image), jnp.asarray(TONE), jnp.float32(0.25))


def step(carry: Carry, depth: int = 8) -> tuple[ZoomCarry, np.ndarray | None]:
    """A chaotic chain: a wrong bit in a carry changes all frames that follow."""
    assert isinstance(carry, ZoomCarry)
    old = np.asarray(carry.image, np.float32)
    image = np.float32(3.99) * old * (1 - np.roll(old, 1, axis=1))
    image = np.clip(image, 0.01, 0.99)
    index = carry.index + 1
    entered = (*carry.entered, jnp.asarray(image)) if index < 0 else carry.entered
    carry = replace(carry, index=index, image=jnp.asarray(image), entered=entered, key=index)
    if index < 0:
        return carry, None
    tiled = np.tile(image, (3, 3, 1))[: SIZE.height, : SIZE.width]
    levels = np.round(tiled * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)
    return carry, levels


def opened(
    folder: Path, run: Run = RUN, restart: bool = False, depth: int = 8
) -> contextlib.AbstractContextManager[Journal]:
    return open_journal(folder, run, SIZE, Fraction(30), depth, restart)


def render(folder: Path, stop: int, first: int = 0, depth: int = 8) -> list[np.ndarray]:
    """Makes the frames that are missing, as a render does."""
    with opened(folder, depth=depth) as book:
        carry = book.carry or begin(first)
        while carry.index < stop - 1:
            carry, picture = step(carry, depth)
            book.write(carry, picture)
        book.checkpoint()
        return list(book.pictures(0, stop))


def expected(stop: int, first: int = 0, depth: int = 8) -> list[np.ndarray]:
    carry, frames = begin(first), []
    while carry.index < stop - 1:
        carry, picture = step(carry, depth)
        frames += [] if picture is None else [picture]
    return frames


def same(frames: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(frames) == len(others) and all(map(np.array_equal, frames, others))


# --- kills


class Killed(BaseException):
    """The process has ended; nothing it would have done after this is done."""


class Reaper:
    """Kills before one of all the calls that change the disk, which is after the one before."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.calls = 0
        self.at: float = math.inf
        self.dead = False
        for owner, name in (
            *((Path, name) for name in ("mkdir", "open", "replace", "unlink", "rmdir")),
            *((SegmentWriter, name) for name in ("__init__", "write", "close")),
            (os, "fsync"),
            (np, "savez"),
        ):
            patch.setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, call: Callable) -> Callable:
        def around(*values: Any, **more: Any) -> Any:
            self.dead |= self.calls >= self.at
            if self.dead:
                raise Killed
            self.calls += 1
            return call(*values, **more)

        return around

    def kill_at(self, moment: float) -> None:
        self.calls, self.at, self.dead = 0, moment, False


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    with pytest.MonkeyPatch.context() as patch:
        yield Reaper(patch)


@pytest.fixture(params=["every frame", "some frames"])
def _moments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "some frames":
        clock = itertools.count()
        monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 3.0)
        monkeypatch.setattr(journal.time, "monotonic", lambda: next(clock))


def clip(folder: Path) -> list[np.ndarray]:
    """A clip with a warm-up, whose file is then made."""
    frames = render(folder, 5, -1)
    with opened(folder) as book:
        book.remove()
    return frames


class Parts:
    """An endless clip in parts of 2 frames, until there are three of them."""

    def __init__(self) -> None:
        self.files: dict[int, list[np.ndarray]] = {}
        """What was published."""

    def __call__(self, folder: Path) -> list[np.ndarray]:
        with opened(folder) as book:
            carry = book.carry or begin()
            if carry.index >= book.start:
                self._publish(book, carry)
            while carry.index < 5:
                carry, picture = step(carry)
                book.write(carry, picture)
                self._publish(book, carry)
            book.remove()
        return [frame for number in sorted(self.files) for frame in self.files[number]]

    def _publish(self, book: Journal, carry: Carry) -> None:
        number, rest = divmod(carry.index + 1, 2)
        if not rest:
            book.checkpoint()
            frames = list(book.pictures(2 * number - 2, 2 * number))
            assert same(self.files.setdefault(number, frames), frames)
            book.drop(2 * number)


RENDERS: dict[str, tuple[Callable[[], Callable[[Path], list[np.ndarray]]], list[np.ndarray]]] = {
    "clip": (lambda: clip, expected(5, -1)),
    "parts": (Parts, expected(6)),
}


@pytest.mark.usefixtures("_moments")
@pytest.mark.parametrize("kind", RENDERS)
def test_killed_anywhere_it_ends_as_if_it_had_not_been(tmp_path: Path, reaper: Reaper, kind: str):
    make, frames = RENDERS[kind]
    reaper.kill_at(math.inf)
    assert same(make()(tmp_path / "whole.run"), frames)
    assert not list(tmp_path.iterdir())
    total = reaper.calls
    assert total > 50
    for moment in range(total):
        render, folder = make(), tmp_path / f"{moment}.run"
        reaper.kill_at(moment)
        with pytest.raises(Killed):
            render(folder)
        reaper.kill_at(math.inf)
        if kind == "clip" and not folder.exists():  # it was just finished
            continue
        assert same(render(folder), frames), moment
        assert not list(tmp_path.iterdir()), moment


@pytest.mark.usefixtures("_moments")
@pytest.mark.parametrize("kind", RENDERS)
def test_killed_again_and_again_it_comes_to_its_end(tmp_path: Path, reaper: Reaper, kind: str):
    make, frames = RENDERS[kind]
    ended = 0
    for life in range(16, 100, 4):
        render, folder = make(), tmp_path / f"{life}.run"
        for _ in range(30):
            reaper.kill_at(life)
            with contextlib.suppress(Killed):
                assert same(render(folder), frames), life
                ended += 1
                break
    assert ended > 10


def test_what_is_published_is_on_the_disk_before(
    folder: Path, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
):
    synced: set[int] = set()
    put = Path.replace

    def check(part: Path, path: Path) -> Path:
        assert part.name == "journal.json" or part.stat().st_ino in synced, part
        return put(part, path)

    monkeypatch.setattr(os, "fsync", lambda number: synced.add(os.fstat(number).st_ino))
    monkeypatch.setattr(Path, "replace", check)
    clip(folder)
    assert not folder.exists()


@pytest.mark.parametrize("depth", [8, 16])
def test_frames_and_carry_come_back_bit_for_bit(folder: Path, depth: int):
    frames = expected(9, -3, depth)
    render(folder, 4, -3, depth)
    assert same(render(folder, 9, -3, depth), frames)
    with opened(folder, depth=depth) as book:
        assert same(list(book.pictures(2, 7)), frames[2:7])
        assert same(list(book.pictures(2, 7, reverse=True)), frames[6:1:-1])
        assert isinstance(book.carry, ZoomCarry)
        assert len(book.carry.entered) == 3


def test_a_stop_in_the_warm_up_is_gone_on_from(folder: Path):
    with opened(folder) as book:
        carry = begin(-4)
        for _ in range(2):
            carry, picture = step(carry)
            book.write(carry, picture)
    with opened(folder) as book:
        assert book.carry is not None
        assert (book.carry.index, book.start) == (-3, 0)
    assert same(render(folder, 3, -4), expected(3, -4))


def test_what_was_not_made_safe_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    render(folder, 2)
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 1e9)
    with opened(folder) as book:
        assert book.carry is not None
        book.write(*step(book.carry))
    assert not list(folder.glob("*.part*"))
    assert same(render(folder, 4), expected(4))


def test_segments_are_of_a_bounded_length(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 1e9)
    monkeypatch.setattr(journal, "_LONGEST_SEGMENT", 4)
    render(folder, 10)
    names = sorted(path.name for path in folder.glob("*.nut"))
    assert names == ["00000000-00000003.nut", "00000004-00000007.nut", "00000008-00000009.nut"]


def test_slow_checkpoints_are_rare(folder: Path, monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    save = np.savez

    def slow(*values: Any, **more: Any) -> None:
        now[0] += 3.0
        save(*values, **more)

    monkeypatch.setattr(np, "savez", slow)
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 5.0)
    monkeypatch.setattr(journal, "_MOST_SPENT", 0.03)
    monkeypatch.setattr(journal.time, "monotonic", lambda: now[0])
    with opened(folder) as book:
        carry, saved = begin(), 0
        for _ in range(1000):
            now[0] += 1.0
            carry, picture = step(carry)
            book.write(carry, picture)
        saved = len(list(folder.glob("*-*.nut")))
    assert 3 * saved <= 0.035 * now[0]
    assert saved >= 5


# --- trouble with the disk


def test_a_full_disk_stops_it_and_space_lets_it_go_on(small_disk: Path):
    folder, ballast = run_folder(small_disk / "out.mp4"), small_disk / "ballast"
    frames = expected(12)
    for room in range(0, 200_000, 4096):
        ballast.write_bytes(bytes(200_000 - 4096 - room))
        with contextlib.suppress(MediaError):
            found = render(folder, 12)
            assert same(found, frames)
            break
        with pytest.raises(MediaError, match="No space left on device") as stop:
            render(folder, 12)
        assert str(folder) in str(stop.value)
        assert "\n" not in str(stop.value)
        assert not list(folder.glob("*.part*"))
    else:
        pytest.fail("it never went on")


@pytest.mark.parametrize("number", range(0, 40, 3))
def test_any_failing_write_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    calls = itertools.count()

    def fail(*_: Any) -> None:
        if next(calls) == number:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with contextlib.suppress(MediaError):
        assert same(render(folder, 5), expected(5))  # the failure made no difference
    assert not list(folder.parent.glob("*/*.part*"))
    assert same(render(folder, 5), expected(5))


def test_a_folder_that_cannot_be_written_is_one_line(small_disk: Path):
    folder = run_folder(small_disk / "out.mp4")
    render(folder, 2)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for place in (folder, run_folder(small_disk / "new.mp4")):
        with pytest.raises(MediaError, match="cannot be written: Read-only") as stop:
            render(place, 3)
        assert str(place) in str(stop.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# --- whose folder it is


def test_another_render_is_refused_by_what_differs(folder: Path):
    render(folder, 3)
    other = replace(RUN, fingerprint={**RUN.fingerprint, "general.seed": "7", "clip.fps": "24"})
    before = sorted(folder.iterdir())
    with (
        pytest.raises(DreamError, match=r"general.seed 0, now 7; clip.fps unset, now 24: give"),
        opened(folder, other),
    ):
        pass
    assert sorted(folder.iterdir()) == before
    with opened(folder, other, restart=True) as book:
        assert book.carry is None
        book.write(*step(begin()))
    assert read_run(folder) == other


def test_a_run_without_a_frame_gives_way(folder: Path):
    folder.mkdir()
    journal._put_run(folder, RUN)
    other = replace(RUN, fingerprint={"general.seed": "7"})
    with opened(folder, other) as book:
        book.write(*step(begin()))
    assert read_run(folder) == other


def test_another_encoding_is_remembered(folder: Path):
    render(folder, 2)
    other = replace(RUN, recipe="# of another quality", overwrite=True)
    with opened(folder, other) as book:
        assert book.carry is not None
    assert read_run(folder) == other


def test_a_second_process_is_refused(folder: Path):
    words = "is in use by another dreamvid: wait for it"
    with opened(folder) as book:
        with pytest.raises(DreamError, match=words), opened(folder):
            pass
        book.write(*step(begin()))
        assert (folder / "00000000-00000000.nut").exists()
    assert same(render(folder, 3), expected(3))


@pytest.mark.parametrize(
    "name", ["notes.txt", "latest.png", "carry.npz", "lock", "00000000-00000003.nut", "a/b"]
)
def test_a_folder_of_anothers_is_left_alone(folder: Path, name: str):
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("precious")
    for restart in (False, True):
        with (
            pytest.raises(DreamError, match="is no run folder of dreamvid's"),
            opened(folder, restart=restart),
        ):
            pass
    assert [path.read_text() for path in folder.rglob("*") if path.is_file()] == ["precious"]


def test_a_file_in_its_place_is_left_alone(folder: Path):
    folder.write_text("precious")
    with pytest.raises(MediaError, match="cannot be written: File exists"), opened(folder):
        pass
    assert folder.read_text() == "precious"


def test_the_users_files_stay(folder: Path):
    names = ["2024-12.nut", "my.party.png", "0-3.nut", "latest.png.part", "00000001-2.nut"]
    render(folder, 2)
    for name in names:
        (folder / name).write_text(name)
    assert same(render(folder, 4), expected(4))
    with opened(folder, replace(RUN, fingerprint={}), restart=True) as book:
        book.write(*step(begin()))
        book.remove()
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert all(path.read_text() == path.name for path in folder.iterdir())


def test_nothing_is_left_of_a_run_without_a_frame(folder: Path):
    with pytest.raises(ZeroDivisionError), opened(folder):
        raise ZeroDivisionError
    assert not folder.exists()


def test_a_run_that_was_there_stays_without_a_frame(folder: Path):
    folder.mkdir()
    journal._put_run(folder, RUN)
    with opened(folder):
        pass
    assert read_run(folder) == RUN


# --- damage

TEXTS = ("", "{", "[]", "null", '{"recipe": 1}', "\x00\xff", "[" * 10**5)


def damages(folder: Path) -> Iterator[str]:
    """Does one damage after another."""
    for text in (*TEXTS, json.dumps({**vars(RUN), "fingerprint": "0"})):
        (folder / "journal.json").write_text(text)
        yield f"journal.json {text[:20]}"
    carry = (folder / "carry.npz").read_bytes()
    for length in range(0, len(carry), 97):
        (folder / "carry.npz").write_bytes(carry[:length])
        yield f"carry.npz of {length} bytes"
    (folder / "carry.npz").unlink()
    yield "no carry.npz"
    for path in sorted(folder.glob("*.nut")):
        path.unlink()
        yield f"no {path.name}"
    for path in sorted(folder.glob("*.nut")):
        path.unlink()
    yield "no segment"
    (folder / "start.txt").write_text("three")
    yield "start.txt"


def test_damage_is_one_line_and_nothing_goes(folder: Path):
    render(folder, 5)
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(content) == 9
    cases = 0
    for what in damages(folder):
        damaged = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(DreamError) as error, opened(folder):
            pytest.fail(f"{what} passed")
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == damaged, what
        for name, data in content.items():
            if what != "no segment":
                (folder / name).write_bytes(data)
        cases += 1
    assert cases > 20


def test_a_flipped_bit_in_the_carry_never_passes_for_it(folder: Path):
    render(folder, 1, -2)
    path = folder / "carry.npz"
    data = path.read_bytes()
    with opened(folder) as book:
        assert book.carry is not None
        whole = book.carry.arrays()
    generator = np.random.default_rng(0)
    for place, bit in zip(
        generator.integers(0, len(data), 600), generator.integers(0, 8, 600), strict=True
    ):
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        with contextlib.suppress(MediaError):
            carry = journal._read_carry(path)
            assert carry is not None
            arrays = carry.arrays()
            assert arrays.keys() == whole.keys()
            assert all(np.array_equal(arrays[name], whole[name]) for name in whole), (place, bit)


def test_a_damaged_segment_is_told_when_it_is_read(folder: Path):
    render(folder, 3)
    path = folder / "00000001-00000001.nut"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with opened(folder) as book, pytest.raises(MediaError, match="is damaged or was never closed"):
        list(book.pictures(0, 3))
    (folder / "00000002-00000002.nut").replace(path)
    (folder / "00000000-00000000.nut").replace(folder / "00000002-00000002.nut")
    path.replace(folder / "00000000-00000001.nut")
    with opened(folder) as book, pytest.raises(MediaError, match="lacks frame 1"):
        list(book.pictures(0, 3))


# --- what it costs


def test_nothing_grows_and_no_file_stays_open(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "_LONGEST_SEGMENT", 8)
    files = Path("/proc/self/fd")
    if not files.exists():
        pytest.skip("open files cannot be counted here")
    counts = []
    with opened(folder) as book:
        carry = begin()
        for _ in range(40):
            carry, picture = step(carry)
            book.write(carry, picture)
            if carry.index % 8 == 7:
                list(itertools.islice(book.pictures(carry.index - 7, carry.index + 1), 3))
                book.drop(carry.index + 1)
                counts.append((len(list(files.iterdir())), len(list(folder.iterdir()))))
    assert len(set(counts)) == 1
