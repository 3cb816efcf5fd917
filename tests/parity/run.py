"""Compares dreamvid with the original frameworks, on the very files that these saved.

    python tests/parity/run.py WORK_FOLDER [--family NAME ...] [--environments FOLDER] [--record]

makes a throw-away environment for each framework, runs `originals/` in it, reads the files that it
left with dreamvid, and prints how far the two are apart. It takes some minutes and some GB.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

import comparison
import goldens
import jax
import networks
import numpy as np
import report

from dreamvid.checkpoints import foreign
from dreamvid.errors import DreamError
from dreamvid.models import Model

jax.config.update("jax_platforms", "cpu")

HERE = Path(__file__).parent
TORCH, TENSORFLOW, OPENCV = "torchenv", "tfenv", "cvenv"
PACKAGES = {
    # Without what torchvision and timm depend on: torchvision asks for a torch of its own, and no
    # more of it than its definitions of networks is used.
    TORCH: (
        ["torch==2.13.0", "numpy", "pillow", "safetensors", "huggingface_hub", "pyyaml"],
        ["--no-deps", "torchvision==0.29.2", "timm==1.0.31"],
    ),
    TENSORFLOW: (["tensorflow-cpu==2.21.0", "keras==3.15.1", "h5py"],),
    OPENCV: (["opencv-python-headless==4.14.0.94"],),
}
"""Environment -> the arguments of one `pip install` after the other."""
SCRIPTS = {
    "inception5h": ((TENSORFLOW, "tensorflow_inception5h.py"),),
    "bvlc_googlenet": ((OPENCV, "opencv_googlenet.py"), (TORCH, "torch_googlenet_caffe_rules.py")),
    "torchvision_googlenet": ((TORCH, "torchvision_networks.py", "torchvision_googlenet"),),
    "torchvision_inception_v3": ((TORCH, "torchvision_networks.py", "torchvision_inception_v3"),),
    "timm_inception_v3": ((TORCH, "timm_inception_v3.py"),),
    "keras_inception_v3": ((TENSORFLOW, "keras_inception_v3.py"),),
}
"""Family -> environment, script in originals/, and its arguments after the folder."""
LIKE = {family: family for family in SCRIPTS} | {"timm_inception_v3": "timm_inception_v3_tv"}
"""Family -> the published network whose facts hold for it."""


@dataclass
class Outcome:
    """How one family did."""

    family: str
    not_run: str = ""
    """Why not; empty where it was."""
    facts: dict = field(default_factory=dict)
    """What the original said of itself."""
    layers: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)
    """Size -> layer -> max|error| / max|original|."""
    gradient: dict[tuple[int, int], float] = field(default_factory=dict)
    """Size -> ||error|| / ||original||."""
    same: dict[str, bool] = field(default_factory=dict)
    """Other file of the same network -> whether it gives the same tensors."""
    wrong: dict[str, dict[tuple[int, int], float]] = field(default_factory=dict)
    """Rule that is wrong -> size -> the largest layer's error."""

    @property
    def verdict(self) -> str:
        if self.not_run:
            return "not run"
        errors = [error for layers in self.layers.values() for error in layers.values()]
        right = bool(errors) and all(error <= comparison.LIMIT for error in errors)
        right &= all(error <= comparison.GRADIENT_LIMIT for error in self.gradient.values())
        caught = all(max(worst.values()) > comparison.LIMIT for worst in self.wrong.values())
        return "pass" if right and caught and all(self.same.values()) else "FAIL"


def environment(folder: Path, name: str) -> Path:
    """The Python of a framework's environment, which is made where it is not there yet."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        venv.create(folder / name, with_pip=True)
        for packages in PACKAGES[name]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def run_original(family: str, work: Path, environments: Path) -> None:
    """Run a family's scripts; what they say goes to a log."""
    (work / f"{family}.json").unlink(missing_ok=True)
    with (work / f"{family}.log").open("w") as log:
        for name, script, *more in SCRIPTS[family]:
            command = [environment(environments, name), HERE / "originals" / script, work, *more]
            quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            subprocess.run(command, check=True, env=quiet, stdout=log, stderr=subprocess.STDOUT)


def compare(family: str, work: Path) -> Outcome:
    """Read a family's files with dreamvid and hold its results against the original's."""
    outcome = Outcome(family, facts=json.loads((work / f"{family}.json").read_text()))
    facts = networks.FAMILIES[family]
    spec, tensors = foreign.read(work / outcome.facts["file"], like=LIKE[family])
    for other in outcome.facts.get("also", ()):
        _, again = foreign.read(work / other, like=LIKE[family])
        outcome.same[other] = all(
            np.array_equal(again[name], tensor)
            for name, tensor in tensors.items()
            if name in again or not name.startswith("head/")
        )
    model = Model.from_tensors(spec, tensors)
    originals = {}
    for size in networks.SIZES:
        with np.load(work / f"{family}-{size[0]}x{size[1]}.npz") as file:
            layers = dict(file)
        by = layers.pop("gradient")
        image = comparison.picture(size, facts.shown[size])
        originals[size] = layers, image
        acts, gradient = comparison.compute(model, image, tuple(layers), facts.objective)
        outcome.layers[size] = comparison.errors(layers, acts)
        outcome.gradient[size] = float(np.linalg.norm(gradient - by) / np.linalg.norm(by))
    for rule, changes in comparison.WRONG[family].items():
        outcome.wrong[rule] = {}
        with comparison.under(model, changes) as other:
            for size, (layers, image) in originals.items():
                acts, _ = comparison.compute(other, image, tuple(layers), None)
                outcome.wrong[rule][size] = max(comparison.errors(layers, acts).values())
    return outcome


def attempt(family: str, work: Path, environments: Path, keep: bool) -> Outcome:
    """Run and compare one family; what hinders its original from running is told, not raised."""
    try:
        if not (keep and (work / f"{family}.json").exists()):
            run_original(family, work, environments)
    except (subprocess.CalledProcessError, OSError) as error:
        return Outcome(family, f"{error}; see {family}.log")
    return compare(family, work)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path, help="where the originals leave their files")
    parser.add_argument("--family", action="append", choices=SCRIPTS, help="only this; repeatable")
    parser.add_argument("--environments", type=Path, help=f"folder of {', '.join(PACKAGES)}")
    parser.add_argument("--keep", action="store_true", help="run no original that has been run")
    parser.add_argument("--record", action="store_true", help="renew goldens/ and RESULTS.md")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    environments = options.environments or options.work / "environments"
    outcomes = []
    for family in SCRIPTS:
        outcome = Outcome(family, "not asked for")
        if not options.family or family in options.family:
            try:
                outcome = attempt(family, options.work, environments, options.keep)
            except DreamError as error:
                print(f"{family}: {error}")
                return 1
        outcomes.append(outcome)
        print(report.in_short(outcome), flush=True)
        if options.record and outcome.verdict != "not run":
            size = networks.FAMILIES[family].golden
            results = options.work / f"{family}-{size[0]}x{size[1]}.npz"
            scripts = [f"originals/{script}" for _, script, *_ in SCRIPTS[family]]
            goldens.record(family, results, outcome.facts | {"scripts": scripts})
    text = report.in_full(outcomes)
    ((HERE if options.record else options.work) / "RESULTS.md").write_text(text)
    return 0 if all(outcome.verdict != "FAIL" for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
