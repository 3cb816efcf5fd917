"""What the benchmark tells fits together, whatever the speed of the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest
from conftest import Run

from dreamvid.ascent import octave_sizes
from dreamvid.bench import draw_film, render, stages
from dreamvid.checkpoints import safetensors
from dreamvid.fields import Size
from dreamvid.media.clips import read_frames
from dreamvid.media.film import survey
from dreamvid.models import Model
from dreamvid.objectives import Layer
from dreamvid.options import Ascent, Clip, Footage, General
from dreamvid.plan import plan_clip
from dreamvid.recipe import Recipe
from dreamvid.reel import Reel
from dreamvid.speed import Dream, batched, memory, octaves, seconds_of
from small import counted_compiles, random_picture, tiny_spec, tiny_tensors


def dream_of(model: Model, **options: Any) -> Dream:
    return Dream(model, random_picture(48, 64), Layer("conv2d0"), Ascent(steps=2, **options))


def test_octaves_are_those_of_a_dream_and_count_their_work(model: Model):
    work = dream_of(model, octaves=2)
    rows = octaves(work)
    sizes = octave_sizes(48, 64, work.ascent, 16)
    assert [row["size"] for row in rows] == [f"{w}x{h}" for h, w in sizes]
    for row, (height, width) in zip(rows, sizes, strict=True):
        assert row["steps"] == 2
        assert row["milliseconds_per_step"] > 0
        forwards = model.layer("conv2d0").flops * height * width
        assert row["flops_per_step"]["network"] == pytest.approx(2 * forwards)
        seconds = row["milliseconds_per_step"] / 1e3
        assert row["flops_per_second"] * seconds == pytest.approx(2 * forwards)
    compiled = [row["flops_per_step"]["compiled"] for row in rows]
    assert compiled[0] > compiled[1] > 0


def test_what_is_dreamed_in_tiles_has_no_one_program(model: Model):
    (row,) = octaves(dream_of(model, octaves=1, tile=32))
    assert row["flops_per_step"]["compiled"] is None
    assert row["flops_per_second"] > 0


def test_a_batch_is_so_many_times_the_work(model: Model):
    work = dream_of(model)
    found = batched(work, 3)
    assert work.flops
    assert (found["pictures"], found["size"]) == (3, "64x48")
    assert found["flops_per_step"]["network"] == pytest.approx(3 * work.flops)
    seconds = found["milliseconds_per_step"] / 1e3
    assert found["picture_steps_per_second"] * seconds == pytest.approx(3)


def test_work_is_done_once_more_than_it_is_timed():
    calls: list[int] = []
    tries = seconds_of(lambda: calls.append(1), 5)
    assert (len(tries), len(calls)) == (5, 6)
    assert min(tries) > 0


def test_a_process_has_memory():
    used = memory()
    assert used["device"] is None  # a CPU has none of its own
    if sys.platform != "win32":
        assert used["host"]
        assert 1e8 < used["host"] < 1e12


def test_the_drawn_film_moves_in_one_shot_and_can_be_followed(tmp_path: Path):
    path = tmp_path / "film.mp4"
    draw_film(path, Size(96, 64), 6)
    film = survey(path, Footage())
    assert (film.count, film.size, film.cuts) == (6, Size(96, 64), ())
    view = list(Reel(film).views())[-1]
    assert view.known > 0.5
    lengths = abs(view.matches[0].flow).max(-1)
    assert lengths.mean() > 0.5  # of a pixel


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    return "tiny.safetensors"


def test_what_cannot_be_is_refused_before_anything_compiles(tiny: str, run: Run):
    jax.devices()
    with counted_compiles() as compiled:
        for words, told in (
            (("--layer", "conv2dd2"), "Did you mean 'conv2d2'"),
            (("--film", "--layer", "conv2dd2"), "Did you mean 'conv2d2'"),
            (("--size", "8x8"), "--size is 8x8: it must be a size such as 640x360, each side from"),
            (("--size", "47x32"), "size 47x32 has an odd side"),
            (("--size", "20x"), "it must be a size such as 640x360"),
            (("--steps", "0"), "--steps is 0, of which there is nothing to measure"),
            (("--frames", "2"), "--frames is 2: the first ones compile, give at least 5"),
            (("--frames", "0"), "--frames is 0: it must be a whole number"),
            (("--octaves", "0"), "--octaves is 0: it must be a whole number"),
            (("--batch", "0"), "--batch"),
            (("--model", "nix"), "unknown network 'nix'"),
        ):
            code, out, errors = run("bench", "--model", tiny, "--size", "48x32", *words)
            assert (code, out) == (2, "")
            assert told in errors
            assert len(errors.splitlines()) == 1
    assert not compiled


STAGES = ["warp", "dream", "fetch", "journal", "encode"]


def test_a_zoom_is_rendered_and_taken_apart(tiny: str):
    general, clip = General(model=tiny), Clip(size=Size(48, 32), frames=5)
    recipe = Recipe(general, Ascent(layer="conv2d0", octaves=1, steps=1), clip=clip)
    plan = plan_clip(recipe, Path("out.mp4"))
    whole = render(plan)
    assert whole["warm_frames"] + whole["compiling_frames"] == 4
    assert whole["seconds"] > 0
    found = stages(plan, Dream.of(plan))
    assert list(found) == STAGES
    assert min(found.values()) > 0
    assert sorted(path.name for path in Path().iterdir()) == ["again.mp4", "out.mp4", tiny]
    assert len(list(read_frames(Path("again.mp4")))) == 5


def test_the_command_prints_json_and_leaves_nothing_behind(tiny: str, tmp_path: Path):
    # In a process of its own, since it has JAX forget all that other tests have compiled.
    own = tmp_path / "temporary"
    own.mkdir()
    words = "--film --layer conv2d0 --size 48x32 --frames 5 --octaves 1 --steps 2"
    done = subprocess.run(
        [sys.executable, "-m", "dreamvid", "bench", "--model", tiny, *words.split()],
        env=os.environ | {"TMPDIR": str(own), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not list(own.iterdir())
    assert done.stderr.splitlines()[0] == "compiling, twice"
    found = json.loads(done.stdout)
    clip = {"kind": "video", "size": "48x32", "frames": 5, "model": tiny, "layers": ["conv2d0"]}
    assert found["clip"] == {**clip, "octaves": 1, "steps": 2}
    whole = found["whole"]
    assert whole["warm_frames"] >= 1
    taken = sum(whole["seconds_per_frame"].values())
    assert whole["frames_per_second"] * taken == pytest.approx(1, rel=2e-3)
    assert list(found["stages"]) == ["decode", "flow", *STAGES]
    assert min(found["stages"].values()) > 0
    assert found["compile_seconds"]["cold"] > 0
    assert found["compile_seconds"]["cached"] >= 0
    (octave,) = found["octaves"]
    assert found["dream"]["steps"] == octave["steps"] == 2
    a_second = 1e3 / octave["milliseconds_per_step"]
    assert found["dream"]["steps_per_second"] == pytest.approx(a_second, rel=2e-3)
    share = octave["flops_per_second"] / found["peak_flops"]["float32"]
    assert octave["share_of_peak"] == pytest.approx(share, rel=2e-3)
    assert 0 < share < 1.5
    assert found["batch"] is None
    assert found["memory_bytes"].keys() == {"host", "device"}
    assert found["versions"]["jax"] == jax.__version__
    assert found["versions"].keys() >= {"dreamvid", "jaxlib", "numpy", "opencv", "ffmpeg"}
    assert (found["device"]["platform"], found["device"]["kind"]) == ("cpu", "cpu")
    assert found["device"]["cores"] >= 1
