"""What a user gets: a wheel that is whole, and a README that is true. Needs a checkout."""

import inspect
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import typer
from flax import nnx

import dreamvid
from dreamvid.objectives import OBJECTIVES
from dreamvid.recipe import shipped_recipes
from small import random_picture

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="the tests lie outside a checkout"
)


def test_a_wheel_carries_the_network_and_the_samples(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        assert "dreamvid/page.html" in archive.namelist()
        archive.extractall(installed)
    program = (
        "import dreamvid; from dreamvid.paths import packaged; print(dreamvid.__file__);"
        "sky = packaged('samples') / 'sky.jpg';"
        "recipes = list(packaged('pipelines').glob('*.toml'));"
        "from dreamvid.checkpoints import manifest;"
        "labels = manifest.published('bvlc_googlenet').label_names();"
        "print(dreamvid.load('builtin').spec.architecture, sky.exists(), len(recipes) > 9, "
        "len(labels))"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    home, answer = found.stdout.splitlines()
    assert Path(home).is_relative_to(installed)
    assert answer == "inception_v1 True True 1000"


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a snippet registers is gone after the test."""
    monkeypatch.setattr(OBJECTIVES, "_things", dict(OBJECTIVES._things))


def test_the_python_of_the_readme_runs(own_registry: None):
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    for program in programs:
        exec(program, names)
        assert names["dreamed"].shape == names["picture"].shape
        assert not np.allclose(names["dreamed"], names["picture"])
    assert len(programs) == 3
    assert repr(names["clip"]) == "a clip of 3 frames of 96x64 pixels"


def snippets() -> Iterator[tuple[str, str]]:
    """The indented paragraphs of the public docstrings."""
    for name in ("", *dreamvid.__all__):
        text = inspect.getdoc(getattr(dreamvid, name) if name else dreamvid) or ""
        if found := re.findall(r"\n\n((?: {4}.*(?:\n|$)|\n(?= {4}))+)", text):
            yield name or "dreamvid", inspect.cleandoc("\n" + "".join(found))


@pytest.mark.parametrize(("name", "program"), list(snippets()))
def test_the_python_of_docstrings_runs(name: str, program: str, own_registry: None):
    names: dict[str, Any] = {"jax": jax, "nnx": nnx, "dreamvid": dreamvid, "np": np}
    names |= {"image": random_picture(32, 32), "key": jax.random.key(0)}
    names |= {"objective": dreamvid.objective, "Summand": dreamvid.Summand}
    exec(program, names)


def test_docstrings_have_snippets():
    assert {name for name, _ in snippets()} >= {"dreamvid", "adopt", "objective"}


def test_every_flag_in_the_readme_exists():
    from dreamvid import cli

    known = {"--help"}
    for command in typer.main.get_command(cli.app).commands.values():  # type: ignore[attr-defined]
        known |= {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    assert set(re.findall(r"--[a-z]\S*\b", (ROOT / "README.md").read_text())) - {"--"} <= known


def test_every_recipe_in_the_readme_exists():
    named = set(re.findall(r"^dreamvid render (\w+)", (ROOT / "README.md").read_text(), re.M))
    assert named
    assert named <= set(shipped_recipes())


def test_recipes_are_packaged_and_say_what_they_are():
    found = shipped_recipes()
    assert len(found) >= 10
    for name, path in found.items():
        look, *lines = path.read_text(encoding="utf-8").splitlines()
        assert look.startswith("# ")
        assert any(line.startswith(f"# dreamvid render {name} -o ") for line in lines)
        assert any(re.search(r"[Aa]bout [\d.]+ minutes? on two CPU cores", line) for line in lines)
