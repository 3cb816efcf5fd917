"""Compares dreamvid with the original frameworks, on the very files that these saved.

    python tests/parity/run.py WORK_FOLDER [--family NAME ...] [--environments FOLDER] [--record]

makes a throw-away environment for each framework, runs `originals/` in it, reads the files that it
left with dreamvid, and prints how far the two are apart. It takes some minutes and some GB.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

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
    refused: str = ""
    """Why dreamvid did not take the original's file; empty where it did."""
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
    def effect(self) -> dict[str, float]:
        """What of LRN is left out, and the layer looked at -> ||without - with|| / ||with||."""
        return self.facts.get("effect", {})

    @property
    def verdict(self) -> str:
        if self.not_run:
            return "not run"
        errors = [error for layers in self.layers.values() for error in layers.values()]
        small = [(errors, comparison.LIMIT), (self.gradient.values(), comparison.GRADIENT_LIMIT)]
        caught = [max(worst.values()) for worst in self.wrong.values()]
        large = [(caught, comparison.LIMIT)]
        if self.family in comparison.WITH_LRN:
            large.append((list(self.effect.values()), comparison.LRN_EFFECT))
        right = not self.refused and all(self.same.values())
        # Nothing measured is nothing shown.
        right &= all(found and all(x <= limit for x in found) for found, limit in small)
        right &= all(found and all(x > limit for x in found) for found, limit in large)
        return "pass" if right else "FAIL"


def environment(folder: Path, name: str, log: TextIO) -> Path:
    """The Python of a framework's environment, which is made where it is not there yet."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        try:
            venv.create(folder / name, with_pip=True)
            for packages in PACKAGES[name]:
                install = [python, "-m", "pip", "install", "--quiet", *packages]
                subprocess.run(install, check=True, stdout=log, stderr=log)
        except BaseException:
            shutil.rmtree(folder / name, ignore_errors=True)  # or it would pass for a whole one
            raise
    return python


def run_original(family: str, work: Path, environments: Path) -> None:
    """Run a family's scripts; what they say goes to a log. Only if all succeed is there a .json.

    Raises:
      subprocess.CalledProcessError: One of them failed, or what it needs could not be installed.
    """
    facts = work / f"{family}.json"
    facts.unlink(missing_ok=True)
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        with (work / f"{family}.log").open("w") as log:
            for name, script, *more in SCRIPTS[family]:
                python = environment(environments, name, log)
                command = [python, HERE / "originals" / script, work, *more]
                subprocess.run(command, check=True, env=quiet, stdout=log, stderr=log)
    except BaseException:
        facts.unlink(missing_ok=True)
        raise


def compare(family: str, told: dict, work: Path) -> Outcome:
    """Read a family's files with dreamvid and hold its results against the original's.

    Args:
      family: One of `networks.FAMILIES`.
      told: What its original said of itself.
      work: Where the files are.

    Raises:
      WeightsError: dreamvid cannot read one of them.
    """
    outcome = Outcome(family, facts=told)
    facts = networks.FAMILIES[family]
    spec, tensors = foreign.read(work / told["file"], like=LIKE[family])
    for other in told.get("also", ()):
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
    """Run and compare one family; what hinders either is told, not raised."""
    told = {}
    facts, log = (work / f"{family}.{kind}" for kind in ("json", "log"))
    try:
        if not (keep and facts.exists()):
            run_original(family, work, environments)
        told = json.loads(facts.read_text())
        return compare(family, told, work)
    except subprocess.CalledProcessError as error:
        said = log.read_text(errors="replace").strip().rpartition("\n")[2]
        return Outcome(family, f"{said or f'status {error.returncode}'}; see {log.name}")
    except OSError as error:
        return Outcome(family, str(error))
    except DreamError as error:
        return Outcome(family, refused=str(error), facts=told)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path, help="where the originals leave their files")
    parser.add_argument("--family", action="append", choices=SCRIPTS, help="only this; repeatable")
    parser.add_argument("--environments", type=Path, help=f"folder of {', '.join(PACKAGES)}")
    parser.add_argument("--keep", action="store_true", help="run no original that has been run")
    parser.add_argument("--record", action="store_true", help="renew goldens/ and RESULTS.md")
    options = parser.parse_args()
    if options.record and options.family:
        parser.error("--record renews what is kept of all families: leave out --family")
    options.work.mkdir(parents=True, exist_ok=True)
    environments = options.environments or options.work / "environments"
    asked = options.family or SCRIPTS
    outcomes = []
    for family in SCRIPTS:
        outcome = Outcome(family, "not asked for")
        if family in asked:
            outcome = attempt(family, options.work, environments, options.keep)
        outcomes.append(outcome)
        print(report.in_short(outcome), flush=True)
        if options.record and outcome.layers:
            size = networks.FAMILIES[family].golden
            results = options.work / f"{family}-{size[0]}x{size[1]}.npz"
            scripts = [f"originals/{script}" for _, script, *_ in SCRIPTS[family]]
            goldens.record(family, results, outcome.facts | {"scripts": scripts})
    text = report.in_full(outcomes)
    ((HERE if options.record else options.work) / "RESULTS.md").write_text(text)
    return 0 if all(each.verdict == "pass" for each in outcomes if each.family in asked) else 1


if __name__ == "__main__":
    sys.exit(main())
