"""What a user gets: a wheel that is whole, and a README that is true. Needs a checkout."""

import dataclasses
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

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
        archive.extractall(installed)
    program = (
        "import dreamvid; from dreamvid.paths import packaged; print(dreamvid.__file__);"
        "sky = packaged('samples') / 'sky.jpg';"
        "print(dreamvid.load('builtin').spec.architecture, sky.exists())"
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
    assert answer == "inception_v1 True"


def test_the_python_of_the_readme_runs():
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict[str, np.ndarray] = {}
    exec(program, names)
    assert names["dreamed"].shape == names["picture"].shape
    assert not np.allclose(names["dreamed"], names["picture"])


def test_every_flag_in_the_readme_exists():
    from dreamvid.options import flag
    from dreamvid.recipe import Recipe

    known = {flag(f) for group in vars(Recipe()).values() for f in dataclasses.fields(group)}
    known |= {"--overwrite", "--help"}
    assert set(re.findall(r"--[a-z]\S*\b", (ROOT / "README.md").read_text())) - {"--"} <= known
