"""Pictures and clips dreamed at once are those dreamed one by one."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import Run

from dreamvid import room
from dreamvid.ascent import dream, network_layers
from dreamvid.cli.work import read_seeds
from dreamvid.errors import OptionError
from dreamvid.models import Model
from dreamvid.objectives import Layer
from dreamvid.options import Ascent
from dreamvid.tiles import side_for
from dreamvid.together import Dreamer, Wish
from films import decoded
from small import counted_compiles, random_picture

ASCENT = Ascent(steps=3, octaves=1, jitter=6)
LOW = Layer("conv2d2")


def wish(seed: int, ascent: Ascent = ASCENT, objective: Layer = LOW) -> Wish:
    return Wish(random_picture(32, 48, seed), objective, ascent, jax.random.key(seed))


def alone(model: Model, asked: Wish) -> jax.Array:
    return dream(model, asked.image, asked.objective, asked.ascent, asked.key)


def test_pictures_dreamed_at_once_are_those_dreamed_alone(model: Model):
    asked = [wish(seed) for seed in range(3)]
    for one, found in zip(asked, Dreamer(model, 3).dream(asked), strict=True):
        np.testing.assert_allclose(found, alone(model, one), atol=1e-4)


def test_what_differs_in_more_than_randomness_is_not_dreamed_at_once(model: Model):
    asked = [
        wish(0),
        wish(1, Ascent(steps=2, octaves=1)),
        wish(2),
        wish(3, objective=Layer("mixed3a")),
    ]
    assert not asked[0].goes_with(asked[1])
    assert not asked[0].goes_with(asked[3])
    for one, found in zip(asked, Dreamer(model, 4).dream(asked), strict=True):
        np.testing.assert_allclose(found, alone(model, one), atol=1e-4)


def test_no_more_are_dreamed_at_once_than_have_room(model: Model, monkeypatch: pytest.MonkeyPatch):
    made = [wish(seed) for seed in range(5)]
    whole = Dreamer(model, 5).dream(made)
    infos = [model.layer(name) for name in network_layers(made[0].objective)]
    height, width, _ = made[0].image.shape
    free = next(
        size
        for size in range(1 << 16, 1 << 30, 1 << 12)
        if side_for(model, infos, size) ** 2 >= 2 * height * width
    )
    monkeypatch.setattr(room, "free_memory", lambda: free)
    dreamer, groups = Dreamer(model, 5), []
    at_once = dreamer._dream_at_once

    def noted(group: list[Wish]) -> list[jax.Array]:
        groups.append(len(group))
        return at_once(group)

    monkeypatch.setattr(dreamer, "_dream_at_once", noted)
    for one, other in zip(dreamer.dream(made), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert groups == [2, 2, 1]
    groups.clear()
    dreamer.dream([replace(one, ascent=replace(one.ascent, tile=64)) for one in made[:2]])
    assert groups == [1, 1]


def test_many_frames_compile_once(model: Model):
    dreamer = Dreamer(model, 2)
    dreamer.dream([wish(0), wish(1)])
    with counted_compiles() as count:
        for rate in (1.0, 2.0):
            dreamer.dream([wish(seed, Ascent(steps=4, octaves=1, rate=rate)) for seed in (2, 3)])
    assert count == []


DEVICES = """
import jax, numpy as np
from dreamvid import room
from dreamvid.ascent import dream, network_layers
from dreamvid.objectives import Layer
from dreamvid.options import Ascent
from dreamvid.tiles import side_for
from dreamvid.together import Dreamer
from test_together import wish
from small import random_picture, tiny_model

model = tiny_model()
for wishes in ([wish(seed) for seed in range(4)], [wish(seed) for seed in range(3)]):
    found = Dreamer(model, len(wishes)).dream(wishes)
    np.save(f"seeds{len(wishes)}.npy", np.stack(found))
ascent = Ascent(steps=2, octaves=1, tile=150)
tiled = dream(model, random_picture(170, 201), Layer("mixed3a"), ascent, jax.random.key(1))
np.save("tiled.npy", tiled)
print(jax.local_device_count())
"""


def test_on_several_devices_the_pictures_are_the_same(tmp_path: Path):
    found = {}
    for devices in (1, 4):
        folder = tmp_path / str(devices)
        folder.mkdir()
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        paths = {"PYTHONPATH": str(Path(__file__).parent), "JAX_PLATFORMS": "cpu"}
        environment = {**os.environ, **flags, **paths}
        done = subprocess.run(
            [sys.executable, "-c", DEVICES],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [str(devices)]
        found[devices] = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    assert found[1].keys() == {"seeds3", "seeds4", "tiled"}
    for name, expected in found[1].items():
        np.testing.assert_allclose(found[4][name], expected, atol=1e-4)


def test_seeds_are_read():
    assert read_seeds("1..3") == [1, 2, 3]
    assert read_seeds("7, 3,4..5,4") == [7, 3, 4, 5]


@pytest.mark.parametrize(
    "text", ["", "..", "1..", "..4", "x", "-1", "5..1", "1..1000", "4294967296"]
)
def test_what_are_no_seeds_is_refused(text: str):
    with pytest.raises(OptionError, match=r"^--seeds is "):
        read_seeds(text)


WORDS = ("--frames", "3", "--size", "48x32", "--layer", "conv2d2", "--octaves", "1", "--steps", "2")


def test_each_seed_makes_a_clip_of_its_own(run: Run, tmp_path: Path):
    words = ("zoom", *WORDS, "--model", "builtin", "-o", str(tmp_path / "a.mkv"))
    assert run(*words, "--seeds", "4,6")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-seed4.mkv", "a-seed6.mkv"]
    assert run(*words, "--seed", "6")[0] == 0
    clips = [
        decoded(tmp_path / name, 32, 48).astype(float)
        for name in ("a.mkv", "a-seed6.mkv", "a-seed4.mkv")
    ]
    assert clips[0].shape == (3, 32, 48, 3)
    assert abs(clips[0] - clips[1]).mean() < 1
    assert abs(clips[0] - clips[2]).mean() > 1
    code, printed, _ = run("settings", str(tmp_path / "a-seed4.mkv"))
    assert code == 0
    assert "seed = 4" in printed
    code, _, errors = run(*words, "--seeds", "6..7")
    assert code == 2
    assert "a-seed6.mkv exists" in errors
    assert not (tmp_path / "a-seed7.mkv").exists()


def test_each_seed_makes_a_still_of_its_own(run: Run, tmp_path: Path):
    picture = tmp_path / "in.png"
    iio.imwrite(picture, np.asarray(jnp.round(random_picture(32, 48) * 255)).astype(np.uint8))
    words = ("image", str(picture), *WORDS[4:], "--model", "builtin", "-o", str(tmp_path / "a.png"))
    assert run(*words, "--seeds", "1..2")[0] == 0
    assert run(*words, "--seed", "2")[0] == 0
    stills = [
        iio.imread(tmp_path / f"a{end}.png").astype(float) for end in ("", "-seed2", "-seed1")
    ]
    assert abs(stills[0] - stills[1]).mean() < 1
    assert abs(stills[0] - stills[2]).mean() > 1


def test_endless_clips_have_one_seed(run: Run, tmp_path: Path):
    code, _, errors = run(
        "zoom", "-o", str(tmp_path / "a.mp4"), "--frames", "endless", "--seeds", "1,2"
    )
    assert code == 2
    assert errors.startswith("dreamvid: --seeds is for stills and for zooms that end")
