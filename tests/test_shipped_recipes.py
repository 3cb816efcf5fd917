"""Each recipe that ships with dreamvid, rendered small: it is tested by being there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from dreamvid import load
from dreamvid.checkpoints import safetensors
from dreamvid.fields import Size
from dreamvid.media.clips import read_frames
from dreamvid.plan import plan_clip
from dreamvid.recipe import find_recipe, read_recipe, shipped_recipes
from dreamvid.render import render_clip
from small import SilentWatcher, random_tensors, tiny_spec


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    spec = replace(tiny_spec(), labels=load("builtin").labels)  # for recipes that dream of classes
    safetensors.write(path, spec, random_tensors(spec))
    return path


@pytest.fixture(autouse=True)
def quick_to_compile() -> Iterator[None]:
    """Two frames are made of each program: the optimizer would take longer than it saves."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_it_renders_two_frames_of_64_pixels(name: str, network: Path, tmp_path: Path):
    recipe = read_recipe(find_recipe(name))
    assert recipe.picture.exists()
    recipe.check(recipe.scope())
    # Two frames of it: neither a loop nor a draft is left to be made.
    clip = replace(recipe.clip, frames=2, size=Size(64, 36), loop="none", draft=False)
    short = replace(recipe, clip=clip).change({"general.model": str(network)})
    output = tmp_path / "out.mkv"
    render_clip(plan_clip(short, output), SilentWatcher())
    first, second = read_frames(output)
    assert first.shape == second.shape == (36, 64, 3)
    assert not np.array_equal(first, second)
