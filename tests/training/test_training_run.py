"""A training from pictures to a network's file: whole, stopped and gone on with, and refused."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from PIL import Image

from dreamvid.checkpoints import safetensors
from dreamvid.errors import DreamError, OptionError, Stopped
from dreamvid.kept import open_run
from dreamvid.paths import packaged
from dreamvid.training.options import Training
from dreamvid.training.plans import Plan, plan_training
from dreamvid.training.recipe import read_training
from dreamvid.training.run import train

SMALL = {"width": 0.125, "size": 32, "epochs": 2, "batch": 16, "seed": 5, "robust": 0.0}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that differ in colour, twenty pictures each, and a file that is none."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for number, name in enumerate(("blue", "green", "red")):
        (folder / name).mkdir()
        for index in range(20):
            pixels = random.integers(0, 120, (36, 40, 3), np.uint8)
            pixels[..., 2 - number] += 100
            Image.fromarray(pixels).save(folder / name / f"{index:02d}.png")
    (folder / "red" / "broken.jpg").write_bytes(b"no picture")
    return folder


class Quiet:
    """Watches a training, and may ask it to stop before a step."""

    def __init__(self, stop_before: int = -1):
        self.steps = 0
        self.made_files: list[Path] = []
        self._stop_before = stop_before

    @property
    def stop_asked(self) -> bool:
        return self.steps == self._stop_before

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        self.steps = done

    def advance(self) -> None:
        self.steps += 1

    def made(self, output: Path) -> None:
        self.made_files.append(output)


def trained(plan: Plan, stop_before: int = -1) -> list[str]:
    lines: list[str] = []
    with open_run(plan.folder, plan.about, plan.overwrite, "training") as kept:
        train(plan, kept, Quiet(stop_before), lines.append)
    return lines


def plan_of(pictures: Path, output: Path, **options: Any) -> Plan:
    flags = {k: options.pop(k) for k in ("start", "folds", "overwrite") if k in options}
    return plan_training(pictures, output, Training(**{**SMALL, **options}), **flags)


def test_it_learns_what_differs_and_its_network_dreams(
    pictures: Path, tmp_path: Path, run: Run
) -> None:
    output = tmp_path / "net.safetensors"
    words = ["--width", "0.125", "--size", "32", "--epochs", "6", "--batch", "16", "--ema", "0.5"]
    code, out, err = run("train", str(pictures), "-o", str(output), *words)
    assert code == 0, err
    assert out.split() == [str(output)]
    assert "skipped: " in err
    assert "1 skipped, 60 pictures used" in err
    assert not output.with_name("net.safetensors.training").exists()
    facts = json.loads(safetensors.read_facts(output)["training"])
    assert facts["validation_accuracy"] > 0.6
    assert facts["held_out"] == 6
    with output.with_suffix(".csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["epoch"] for row in table] == [str(i + 1) for i in range(6)]
    assert float(table[-1]["training_loss"]) < float(table[0]["training_loss"])
    with Image.open(output.with_suffix(".png")) as curves:
        assert curves.size[0] == 960
    network = safetensors.read(output)
    assert network.labels == ("blue", "green", "red")
    still = tmp_path / "dream.png"
    source = pictures / "red" / "00.png"
    dreaming = ["--model", str(output), "--layer", "mixed3a", "--octaves", "1", "--steps", "2"]
    code, _, err = run("image", str(source), "-o", str(still), *dreaming)
    assert code == 0, err
    assert still.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"robust": 0.5, "attack": "free", "attack_steps": 2, "plain": 0.5, "first_size": 32},
        {"robust": 0.02, "norm": "linf", "attack": "fast", "optimizer": "sgd", "patience": 9},
    ],
)
def test_a_stopped_training_goes_on_to_the_same_bits(
    pictures: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    whole = plan_of(pictures, tmp_path / "whole.safetensors", **options)
    trained(whole)
    plan = plan_of(pictures, tmp_path / "net.safetensors", **options)
    with pytest.raises(Stopped, match="stopped in epoch 2; the same command goes on"):
        trained(plan, stop_before=4)  # an epoch has three steps, of 54 pictures
    assert not plan.output.exists()
    assert (plan.folder / "checkpoints").exists()
    trained(plan)
    assert plan.output.read_bytes() == whole.output.read_bytes()
    for mine, other in zip(plan.beside, whole.beside, strict=True):
        if mine.suffix == ".csv":
            assert mine.read_text() == other.read_text()


def test_a_training_ends_within_its_schedule(pictures: Path, tmp_path: Path) -> None:
    plan = plan_of(pictures, tmp_path / "net.safetensors", epochs=9, last_epoch=2)
    trained(plan)
    with plan.beside[0].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    other = plan_of(pictures, tmp_path / "other.safetensors", epochs=2)
    trained(other)
    one, two = (safetensors.read_tensors(p.output)[1]["head/kernel"] for p in (plan, other))
    assert not np.allclose(one, two)  # whose rate has come down by then


def test_a_run_of_something_else_is_not_gone_on_with(pictures: Path, tmp_path: Path) -> None:
    plan = plan_of(pictures, tmp_path / "net.safetensors", epochs=1)
    with pytest.raises(Stopped):
        trained(plan, stop_before=1)
    # Nothing was finished, and so nothing is in the way.
    other = plan_of(pictures, tmp_path / "net.safetensors", epochs=2)
    with pytest.raises(Stopped):
        trained(other, stop_before=4)
    with pytest.raises(DreamError, match=r"holds another training \(epochs 2, now 1\): add --over"):
        trained(plan)


def test_pruning_leaves_zeros_and_tells_what_they_cost(pictures: Path, tmp_path: Path) -> None:
    plan = plan_of(pictures, tmp_path / "net.safetensors", prune=0.5, prune_epochs=1)
    lines = trained(plan)
    assert any("pruned" in line and "values are 0" in line for line in lines)
    _, tensors = safetensors.read_tensors(plan.output)
    kernels = [t for name, t in tensors.items() if name.endswith("kernel") and "head" not in name]
    zeros = sum((t == 0).sum() for t in kernels) / sum(t.size for t in kernels)
    assert zeros == pytest.approx(0.5, abs=0.01)
    facts = json.loads(safetensors.read_facts(plan.output)["training"])
    assert {"validation_accuracy", "pruned_validation_accuracy"} <= facts.keys()


def test_folds_give_a_table_and_a_mean(pictures: Path, tmp_path: Path) -> None:
    plan = plan_of(pictures, tmp_path / "folds.csv", folds=3, epochs=1)
    lines = trained(plan)
    assert "validation accuracy over 3 folds" in lines[-1]
    with plan.output.open() as file:
        rows = list(csv.DictReader(file))
    # Each picture once: of each class's twenty, seven, six and seven.
    assert [(row["fold"], row["held_out"]) for row in rows] == [
        ("1", "21"),
        ("2", "18"),
        ("3", "21"),
    ]


@pytest.mark.parametrize("pretext", ["rotations", "crops"])
def test_a_flat_folder_is_learned_without_classes(
    pictures: Path, tmp_path: Path, pretext: str
) -> None:
    plan = plan_of(pictures / "green", tmp_path / "net.safetensors", pretext=pretext, epochs=1)
    trained(plan)
    network = safetensors.read(plan.output)
    assert len(network.labels) == (4 if pretext == "rotations" else 20)


def test_a_network_is_trained_further(pictures: Path, tmp_path: Path) -> None:
    first = plan_of(pictures, tmp_path / "first.safetensors")
    trained(first)
    second = plan_of(
        pictures, tmp_path / "second.safetensors", start=str(first.output), rate=1e-9, width=1.0
    )
    trained(second)
    before, after = (safetensors.read_tensors(plan.output)[1] for plan in (first, second))
    assert before.keys() == after.keys()
    # The norms' statistics are those of few batches, so it is the same network but for them.
    for name, tensor in before.items():
        assert tensor.shape == after[name].shape
    np.testing.assert_allclose(
        after["head/kernel"], before["head/kernel"], atol=1e-3 * abs(before["head/kernel"]).max()
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"first_size": 64}, "--first-size is 64, more than --size, 32"),
        ({"last_epoch": 3}, "--last-epoch is 3, more than --epochs, 2"),
        ({"folds": 1}, "--folds is 1"),
        (
            {"robust": 8.0, "norm": "linf"},
            "--robust is 8 in linf, of values from 0 to 1: try 0.008",
        ),
        ({"width": 5.0}, "--width is 5.0: it must be a number from 0.125 to 2"),
        ({"size": 16}, "--size is 16: it must be a whole number from 32 to 512"),
    ],
)
def test_options_that_will_not_do_are_refused(
    pictures: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(OptionError, match=told):
        plan_of(pictures, tmp_path / "net.safetensors", **options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "net.png"], "has extension '.png': dreamvid writes .safetensors"),
        (["-o", "net.csv"], "has extension '.csv': dreamvid writes .safetensors"),
        (["-o", "net.safetensors", "--folds", "3"], "dreamvid writes .csv here"),
        (["-o", "missing/net.safetensors"], "output folder missing does not exist"),
        (["-o", "net.safetensors", "--from", "nothing"], "nothing"),
        (["-o", "net.safetensors", "--recipe", "nothing"], "unknown recipe 'nothing'"),
        (["-o", "net.safetensors", "--rate", "fast"], "--rate is 'fast'"),
    ],
)
def test_wrong_words_are_one_line_and_leave_nothing(
    pictures: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("train", str(pictures), *words)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_existing_files_are_refused_before_any_work(pictures: Path, tmp_path: Path) -> None:
    for name in ("net.safetensors", "net.csv", "net.png"):
        (tmp_path / name).write_text("the user's")
        with pytest.raises(DreamError, match=f"{name} exists: add --overwrite"):
            plan_of(pictures, tmp_path / "net.safetensors")
        assert (tmp_path / name).read_text() == "the user's"
        (tmp_path / name).unlink()


def test_recipes_give_options_and_flags_go_before_them(
    pictures: Path, tmp_path: Path, run: Run
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[training]\nwidth = 0.125\nsize = 32\nepochs = 1\nbatch = 16\n")
    output = tmp_path / "net.safetensors"
    code, _, err = run(
        "train", str(pictures), "-o", str(output), "--recipe", str(recipe), "--seed", "9"
    )
    assert code == 0, err
    facts = json.loads(safetensors.read_facts(output)["training"])
    assert (facts["size"], facts["seed"]) == (32, 9)
    recipe.write_text("[training]\nwith = 2\n")
    code, _, err = run(
        "train", str(pictures), "-o", str(tmp_path / "b.safetensors"), "--recipe", str(recipe)
    )
    assert code == 2
    assert "unknown option 'with'" in err
    assert "'width'" in err


def test_the_shipped_recipes_are_such() -> None:
    names = [path.stem for path in packaged("pipelines").glob("train-*.toml")]
    found = {name: Training(**read_training(name)) for name in names}
    assert {name: how.robust for name, how in found.items()} == {
        "train-builtin": 1,
        "train-builtin-on": 1.5,
    }
    assert all("CC BY 4.0" in how.licence for how in found.values())
