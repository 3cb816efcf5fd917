"""A render that was stopped, by whatever, ends with the frames it would have had."""

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dreamvid import journal, pipeline, timeline
from dreamvid.checkpoints import safetensors
from dreamvid.errors import DreamError, MediaError, Stopped
from dreamvid.fields import Size
from dreamvid.journal import run_folder
from dreamvid.media.clips import read_frames
from dreamvid.media.sinks import open_sink
from dreamvid.options import Ascent, Clip, General, Output
from dreamvid.plan import plan_clip, plan_of
from dreamvid.recipe import ZOOM, Recipe
from dreamvid.render import finish_clip, render_clip
from dreamvid.timeline import Timeline
from small import random_picture, tiny_spec, tiny_tensors

OUT = Path("out.mkv")  # FFV1: lossless
RUN = run_folder(OUT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a small picture and a small network in it."""
    monkeypatch.setattr(timeline, "_LOOKED_AT", 30)  # frames; it takes a second for all
    monkeypatch.chdir(tmp_path)
    levels = np.round(np.asarray(random_picture(32, 48)) * 255).astype(np.uint8)
    cv2.imwrite("in.png", levels)
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    return tmp_path


@pytest.fixture(params=[0.0, 1e9], ids=["every frame safe", "the last one safe"])
def _moments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", request.param)


def recipe(**clip: Any) -> Recipe:
    values = {"frames": 6, "size": Size(32, 24), **clip}
    ascent = Ascent(layer="mixed3a", steps=1, octaves=1, jitter=2)
    return replace(
        ZOOM,
        general=General(model="tiny.safetensors"),
        ascent=ascent,
        clip=Clip(**values),
        source="in.png",
        folder=Path.cwd(),
    )


class Watching:
    """Notes what is done, and asks to stop after some frames."""

    def __init__(self, stop_after: int | None = None, then: Callable[[], None] | None = None):
        self.tasks: list[tuple[str, int | None, int]] = []
        self.frames = 0
        self.files: list[str] = []
        self._stop_after, self._then = stop_after, then

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        self.tasks.append((task.split()[0], total, done))

    def advance(self) -> None:
        self.frames += 1
        if self.frames == self._stop_after and self._then:
            self._then()

    def made(self, output: Path) -> None:
        self.files.append(output.name)

    @property
    def stop_asked(self) -> bool:
        return (
            self._stop_after is not None and self._then is None and self.frames >= self._stop_after
        )


def make(made: Recipe, output: Path = OUT, motion_only: bool = True, **more: Any) -> Watching:
    watcher = Watching()
    render_clip(plan_clip(made, output, motion_only=motion_only), watcher, **more)
    return watcher


def stop(made: Recipe, after: int, output: Path = OUT, motion_only: bool = True) -> Watching:
    watcher = Watching(after)
    with pytest.raises(Stopped, match="go on with: dreamvid resume"):
        render_clip(plan_clip(made, output, motion_only=motion_only), watcher)
    return watcher


def frames_of(path: Path) -> list[np.ndarray]:
    return list(read_frames(path))


def same(frames: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(frames) == len(others) and all(map(np.array_equal, frames, others))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# --- going on


CLIPS: dict[str, dict[str, Any]] = {
    "zoom": {},
    "pingpong": {"loop": "pingpong", "frames": 8},
    "closed": {"loop": "closed", "overlap": 3},
    "draft": {"draft": True, "frames": 9},
}


@pytest.mark.usefixtures("folder", "_moments")
@pytest.mark.parametrize("kind", CLIPS)
def test_a_stopped_clip_ends_as_if_it_had_not_been(kind: str):
    made = recipe(**CLIPS[kind])
    whole = Path("whole.mkv")
    watcher = make(made, whole, motion_only=False)
    assert watcher.files == ["whole.mkv"]
    assert not run_folder(whole).exists()
    whole_frames = frames_of(whole)
    assert len(whole_frames) == made.clip.frames
    first = Timeline(made, made.scope(), Size(32, 24)).first
    assert (first < 0) == (kind == "closed")
    dreamed = (made.dreamed_frames or 0) - first
    for after in sorted({1, -first // 2 + 1, 3 - first, dreamed - 1}):
        stop(made, after, motion_only=False)
        assert not OUT.exists()
        watcher = make(made, motion_only=False)
        assert watcher.tasks == [
            ("dreaming", dreamed, after),
            ("encoding", made.clip.frames, 0),
        ]
        assert same(frames_of(OUT), whole_frames), after
        assert not RUN.exists()
        OUT.unlink()


@pytest.mark.usefixtures("folder")
def test_stopped_again_and_again_in_every_stage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 0.0)
    make(recipe(), Path("whole.mkv"))
    for done in range(5):
        assert stop(recipe(), 1).tasks == [("moving", 6, done)]
    assert [task for task, *_ in stop(recipe(), 1).tasks] == ["moving", "encoding"]
    assert [task for task, *_ in stop(recipe(), 3).tasks] == ["encoding"]
    assert not OUT.exists()
    make(recipe())
    assert same(frames_of(OUT), frames_of(Path("whole.mkv")))


@pytest.mark.usefixtures("folder")
def test_deep_colours_come_through(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 0.0)
    deep = replace(recipe(), output=Output(codec="png16"))
    for name in ("whole", "out"):
        pattern = Path(f"{name}-%05d.png")
        if name == "out":
            stop(deep, 3, pattern)
        make(deep, pattern)
    for number in range(6):
        names = (f"{name}-{number:05d}.png" for name in ("whole", "out"))
        whole, out = (np.asarray(cv2.imread(name, cv2.IMREAD_UNCHANGED)) for name in names)
        assert whole.dtype == np.uint16
        assert np.array_equal(whole, out)


def test_a_run_is_gone_on_with_from_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    make(recipe(), Path("whole.mkv"))
    stop(recipe(), 2)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    watcher = Watching()
    render_clip(plan_of(Path("..") / RUN), watcher)
    assert watcher.tasks[0] == ("moving", 6, 2)
    assert same(frames_of(folder / OUT), frames_of(folder / "whole.mkv"))
    assert not (folder / RUN).exists()


def test_a_dream_is_gone_on_with_from_another_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    stop(recipe(), 2, motion_only=False)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    render_clip(plan_of(folder / RUN), Watching())
    assert len(frames_of(folder / OUT)) == 6


@pytest.mark.parametrize("motion_only", [False, True])
def test_a_run_may_be_moved_with_all_it_needs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, motion_only: bool
):
    old, new = folder / "old", folder / "new"
    old.mkdir()
    for name in ("in.png", "tiny.safetensors"):
        shutil.move(folder / name, old / name)
    monkeypatch.chdir(old)
    stop(recipe(), 2, motion_only=motion_only)
    monkeypatch.chdir(folder)
    old.rename(new)
    render_clip(plan_of(new / RUN), Watching())
    assert len(frames_of(new / OUT)) == 6


def test_a_run_may_be_moved_away_from_its_picture(folder: Path):
    (folder / "old").mkdir()
    stop(recipe(), 2, folder / "old" / OUT)
    (folder / "old").rename(folder / "new")
    render_clip(plan_of(folder / "new" / RUN), Watching())
    assert len(frames_of(folder / "new" / OUT)) == 6


@pytest.mark.usefixtures("folder")
def test_a_run_can_be_finished_as_it_is_and_then_gone_on_with():
    make(recipe(), Path("whole.mkv"))
    stop(recipe(), 4)
    before = content(RUN)
    for _ in range(2):
        watcher = Watching()
        finish_clip(plan_of(RUN), watcher)
        assert watcher.tasks == [("encoding", 4, 0)]
        assert same(frames_of(OUT), frames_of(Path("whole.mkv"))[:4])
    assert content(RUN) == before
    make(recipe())
    assert same(frames_of(OUT), frames_of(Path("whole.mkv")))


@pytest.mark.usefixtures("folder")
def test_nothing_to_finish_is_told_and_left():
    stop(recipe(loop="closed", overlap=3), 2)
    before = content(RUN)
    with pytest.raises(DreamError, match="has no finished frame yet: resume it first"):
        finish_clip(plan_of(RUN), Watching())
    assert content(RUN) == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm", ".gif", ".webp"])
def test_keep_keeps_and_the_same_again_encodes_again(suffix: str):
    output = Path(f"out{suffix}")
    make(recipe(), output, keep=True)
    before = content(run_folder(output))
    assert {"journal.json", "carry.npz", "latest.png"} <= before.keys()
    old = output.read_bytes()
    assert make(recipe(), output).tasks == [("encoding", 6, 0)]
    assert len(output.read_bytes()) == len(old)
    assert not run_folder(output).exists()


@pytest.mark.usefixtures("folder")
def test_a_sequence_of_frames_is_kept_and_made_again():
    pattern = Path("out-%05d.png")
    make(recipe(), pattern, keep=True)
    assert make(recipe(), pattern).tasks == [("encoding", 6, 0)]


@pytest.mark.usefixtures("folder")
def test_a_finished_clip_leaves_the_users_files():
    stop(recipe(), 2)
    (RUN / "notes.txt").write_text("mine")
    make(recipe())
    assert content(RUN) == {"notes.txt": b"mine"}


# --- loops


@pytest.mark.usefixtures("folder")
def test_a_pingpong_goes_forth_and_back():
    make(recipe(loop="pingpong", frames=10))
    frames = frames_of(OUT)
    assert len(frames) == 10
    for number in range(1, 10):
        assert np.array_equal(frames[number], frames[10 - number])
    assert not np.array_equal(frames[1], frames[2])


@pytest.mark.usefixtures("folder")
def test_a_closed_loop_has_its_frames_and_no_others():
    watcher = make(recipe(loop="closed", frames=7, overlap=4))
    task, total, _ = watcher.tasks[0]
    assert task == "moving"
    assert total is not None
    assert total >= 11
    assert len(frames_of(OUT)) == 7


# --- endless


def part(number: int) -> Path:
    return Path(f"out-{number:04d}.mkv")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[np.ndarray]]:
    """The first 24 frames of a camera's path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("long"))
        levels = np.round(np.asarray(random_picture(32, 48)) * 255).astype(np.uint8)
        cv2.imwrite("in.png", levels)
        make(recipe(frames=24))
        yield frames_of(OUT)


@pytest.mark.usefixtures("folder")
def test_an_endless_clip_is_made_in_parts(long: list[np.ndarray]):
    endless = recipe(frames=None, part=8)
    # Encoding a part advances as well; the second stop comes while one is encoded.
    stops = {
        3: [("moving", None, 0)],
        5 + 4: [("moving", None, 3), ("encoding", 8, 0)],
        8 + 8 + 8 + 1: [
            ("encoding", 8, 0),
            ("moving", None, 8),
            ("encoding", 8, 0),
            ("moving", None, 16),
        ],
        7 + 8 + 1: [("moving", None, 17), ("encoding", 8, 0), ("moving", None, 24)],
    }
    files = []
    for after, tasks in stops.items():
        watcher = stop(endless, after)
        assert watcher.tasks == tasks
        files += watcher.files
    assert files == [part(number).name for number in (1, 2, 3)]
    for number in (1, 2, 3):
        assert same(frames_of(part(number)), long[8 * number - 8 : 8 * number])
    assert [path.name for path in RUN.glob("*-*.nut")] == ["00000024-00000024.nut"]


@pytest.mark.usefixtures("folder")
def test_a_part_that_was_published_is_not_made_twice(
    long: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    endless = recipe(frames=None, part=8)
    drop = journal.Journal.drop

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(journal.Journal, "drop", die)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            make(endless)
        assert same(frames_of(part(1)), long[:8])
    monkeypatch.setattr(journal.Journal, "drop", drop)
    stop(endless, 8 + 10 + 8 + 3)
    assert same(frames_of(part(1)), long[:8])
    assert same(frames_of(part(2)), long[8:16])
    assert len(list(RUN.glob("*-*.nut"))) <= 1
    watcher = Watching()
    finish_clip(plan_of(RUN), watcher)
    assert watcher.files == ["out-0003.mkv"]
    rest = frames_of(part(3))
    assert same(rest, long[16 : 16 + len(rest)])


@pytest.mark.usefixtures("folder")
def test_a_part_of_anothers_is_not_replaced():
    endless = recipe(frames=None, part=8)
    part(2).write_text("precious")
    with pytest.raises(MediaError, match=r"out-0002.mkv exists"):
        make(endless)
    assert not RUN.exists()
    part(2).unlink()
    stop(endless, 3)
    part(2).write_text("precious")
    with pytest.raises(MediaError, match=r"out-0002.mkv exists"):
        make(endless)
    assert part(2).read_text() == "precious"
    assert RUN.exists()


# --- refusals


@pytest.mark.usefixtures("folder")
def test_what_changed_is_named_and_overwrite_gives_the_old_run_up():
    stop(recipe(), 3)
    before = content(RUN)
    for changed, words in {
        "recipe": r"holds an unfinished render with general.seed 0, now 9",
        "picture": "holds an unfinished render with another picture: give those",
    }.items():
        made = recipe()
        if changed == "recipe":
            made = replace(made, general=replace(made.general, seed=9))
        else:
            cv2.imwrite("in.png", np.zeros((32, 48, 3), np.uint8))
            with pytest.raises(DreamError, match="cannot go on, it was begun with another picture"):
                plan_of(RUN)
        with pytest.raises(DreamError, match=words):
            make(made)
        assert content(RUN) == before
    watcher = Watching()
    render_clip(plan_clip(recipe(), OUT, overwrite=True, motion_only=True), watcher)
    assert watcher.tasks[0] == ("moving", 6, 0)


@pytest.mark.usefixtures("folder")
def test_a_changed_network_is_named():
    stop(recipe(), 2, motion_only=False)
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors(1))
    with pytest.raises(DreamError, match="unfinished render with another network"):
        make(recipe(), motion_only=False)


@pytest.mark.usefixtures("folder")
def test_a_damaged_run_folder_is_one_line():
    stop(recipe(), 3)
    whole = content(RUN)
    damages = {
        "carry.npz": whole["carry.npz"][:100],
        "journal.json": b"{",
        next(name for name in whole if name.endswith(".nut")): None,
    }
    for name, data in damages.items():
        (RUN / name).unlink()
        if data is not None:
            (RUN / name).write_bytes(data)
        before = content(RUN)
        for again in (lambda: make(recipe()), lambda: render_clip(plan_of(RUN), Watching())):
            with pytest.raises(DreamError, match="damaged") as error:
                again()
            assert "\n" not in str(error.value)
        assert content(RUN) == before
        (RUN / name).write_bytes(whole[name])
    make(recipe())


def test_a_folder_of_anothers_is_not_touched(folder: Path):
    RUN.mkdir()
    (RUN / "carry.npz").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(DreamError, match="is no run folder of dreamvid's"):
            render_clip(plan_clip(recipe(), OUT, overwrite, motion_only=True), Watching())
    assert content(RUN) == {"carry.npz": b"precious"}
    with pytest.raises(DreamError, match="is no run folder"):
        plan_of(RUN)
    with pytest.raises(DreamError, match="no run folder at"):
        plan_of(folder / "none.run")


@pytest.mark.usefixtures("folder")
def test_the_longest_name_there_is():
    with contextlib.suppress(MediaError):  # its run folder's would be too long
        make(recipe(), Path("n" * 251 + ".mkv"))


# --- failures after the frames


def wait_until(ready: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.01)


def fail_encoding(monkeypatch: pytest.MonkeyPatch, how: str) -> Callable[[], None]:
    def lose_ffmpeg() -> None:
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nonexistent")

    def raise_it(*_: Any, **__: Any) -> None:
        raise MediaError("no")

    def lose_sink() -> None:
        monkeypatch.setattr("dreamvid.encoding.open_sink", raise_it)

    def be_late() -> None:
        OUT.write_text("precious")

    return {"ffmpeg": lose_ffmpeg, "sink": lose_sink, "late": be_late}[how]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("how", ["ffmpeg", "sink", "late"])
def test_a_failed_encoding_loses_nothing(how: str, caplog: pytest.LogCaptureFixture):
    make(recipe(), Path("whole.mkv"))
    with pytest.MonkeyPatch.context() as patch:
        plan, fail = plan_clip(recipe(), OUT, motion_only=True), fail_encoding(patch, how)
        assert plan.depth == 8  # for which it asks ffmpeg
        if how != "late":  # the encoder starts before the first frame is made
            fail()
            fail = partial(wait_until, lambda: caplog.messages)
        watcher = Watching(6, fail)
        with pytest.raises(MediaError) as failed:
            render_clip(plan, watcher)
        assert watcher.frames in (6, 12)
        if how != "late":  # it was told while the others were made, which may take hours
            (line,) = caplog.messages
            assert line.startswith(str(failed.value).rstrip("."))
            assert line.endswith("What is dreamed is kept, and can be encoded by the same command")
        if how == "late":
            assert OUT.read_text() == "precious"
            with pytest.raises(MediaError, match="exists"):
                make(recipe())
            OUT.unlink()
    assert not OUT.exists()
    watcher = Watching()
    render_clip(plan_of(RUN), watcher)
    assert watcher.tasks == [("encoding", 6, 0)]
    assert same(frames_of(OUT), frames_of(Path("whole.mkv")))


@pytest.mark.usefixtures("folder")
def test_frames_are_encoded_while_others_are_made(monkeypatch: pytest.MonkeyPatch):
    """Whether they come from memory or, where there is no room, from the journal."""
    make(recipe(frames=20), Path("whole.mkv"))
    for checkpoint, near in ((1e9, 1 << 27), (0.0, 0)):
        monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", checkpoint)
        monkeypatch.setattr(journal, "_MOST_SPENT", 1e9)
        monkeypatch.setattr("dreamvid.encoding.NEAR", near)
        written, sinks = [], []

        class Counting:
            def __init__(self, sink: Any):
                self._sink = sink

            def __getattr__(self, name: str) -> Any:
                return getattr(self._sink, name)

            def write(self, frame: np.ndarray) -> None:
                self._sink.write(frame)
                written.append(frame)  # noqa: B023

        @contextlib.contextmanager
        def counted(*words: Any, **more: Any) -> Iterator[Counting]:
            with open_sink(*words, **more) as sink:
                sinks.append(words[0])  # noqa: B023
                yield Counting(sink)

        wait = partial(wait_until, lambda: len(written) >= 10)  # noqa: B023
        monkeypatch.setattr("dreamvid.encoding.open_sink", counted)
        plan = plan_clip(recipe(frames=20), OUT, motion_only=True, overwrite=True)
        render_clip(plan, Watching(15, wait))
        assert sinks == [OUT]
        assert same(frames_of(OUT), frames_of(Path("whole.mkv")))


@pytest.mark.usefixtures("folder")
def test_frames_that_are_never_made_are_not_waited_for():
    def breaking_off(*words: Any) -> Iterator[Any]:
        yield from itertools.islice(pipeline.frames(*words), 4)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dreamvid.render.frames", breaking_off)
        with pytest.raises(MediaError, match="lacks frame 4"):
            make(recipe())
    assert not OUT.exists()
    assert make(recipe()).tasks == [("moving", 6, 4), ("encoding", 6, 0)]


@pytest.mark.usefixtures("folder")
def test_a_full_disk_is_told_and_gone_on_from(small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 0.0)
    make(recipe(), Path("whole.mkv"))
    ballast, output = small_disk / "ballast", small_disk / OUT
    told = []
    for room in range(8192, 200_000, 8192):
        ballast.write_bytes(bytes(200_000 - room))
        with contextlib.suppress(MediaError):
            make(recipe(), output)
            break
        with pytest.raises(MediaError, match="No space left on device") as error:
            make(recipe(), output)
        told.append(str(error.value))
        assert "\n" not in told[-1]
        assert [path.name for path in small_disk.iterdir() if path.is_file()] == ["ballast"]
    assert any(str(run_folder(output)) in line for line in told)
    assert same(frames_of(output), frames_of(Path("whole.mkv")))


# --- the program

WORDS = ("zoom", "in.png", "-o", str(OUT), "--size", "32x24", "--model", "tiny.safetensors")
DREAM = ("--steps", "1", "--octaves", "1", "--layer", "mixed3a", "--jitter", "2")


def program(*words: str, folder: Path | None = None) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dreamvid", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_for(process: subprocess.Popen, words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"it never said {words!r}")


@pytest.mark.usefixtures("folder")
def test_a_second_program_is_refused():
    answers = []

    def start_another() -> None:
        with program(*WORDS, "--motion-only", "--frames", "6") as process:
            answers.append((*process.communicate(), process.returncode))

    watcher = Watching(3, start_another)
    render_clip(plan_clip(recipe(), OUT, motion_only=True), watcher)
    ((out, errors, code),) = answers
    assert (code, out) == (2, "")
    assert errors.count("\n") == 1
    assert f"{RUN} is in use by another dreamvid" in errors
    assert len(frames_of(OUT)) == 6


@pytest.mark.usefixtures("folder")
def test_the_first_signal_ends_the_frame_and_the_second_everything():
    with program(*WORDS, "--motion-only", "--frames", "1000000") as process:
        wait_for(process, "1 of 1000000 frames")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        *_, asked, farewell = process.stderr.read().splitlines()
    assert process.returncode == 3
    assert asked == "stopping after this frame; once more to stop at once"
    assert farewell.startswith("dreamvid: stopped after ")
    assert farewell.endswith(f"go on with: dreamvid resume {RUN}")
    safe = int(farewell.split()[3])
    with program("resume", str(RUN)) as process:
        wait_for(process, f"from frame {safe} on")
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        *_, farewell = process.stderr.read().splitlines()
    assert process.returncode == 3
    assert farewell.startswith(("dreamvid: interrupted at once", "dreamvid: stopped after"))
    with program("resume", str(RUN), "--finish") as process:
        out, errors = process.communicate()
    assert (process.returncode, out) == (0, f"{OUT}\n"), errors
    assert len(frames_of(OUT)) >= safe


@pytest.mark.parametrize("seed", range(2))
def test_killed_and_gone_on_with(folder: Path, seed: int):
    words = (*WORDS, *DREAM, "--frames", "40")
    make_it = replace(recipe(frames=40), folder=folder)
    make(make_it, Path("whole.mkv"), motion_only=False)
    with program(*words) as process:
        if seed:
            wait_for(process, "1 of 40 frames")
        time.sleep(random.Random(seed).uniform(0, 0.5 if seed else 4))
        process.kill()
    for _ in range(2):
        with program(*words) as process:
            _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert "exists" in errors, errors  # it was quicker than the kill
    assert same(frames_of(OUT), frames_of(Path("whole.mkv")))
    assert not RUN.exists()
