"""dreamvid against what the original frameworks computed, from recorded samples.

run.py compares whole layers, at larger sizes, with the frameworks at hand; see RESULTS.md.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import comparison
import goldens
import jax
import networks
import numpy as np
import pytest
import run

from dreamvid.checkpoints import caffe, foreign, keras, pytorch, tensorflow, timm
from dreamvid.checkpoints.conversion import Contents
from dreamvid.models import Model

FORMATS: dict[str, foreign.Format] = {
    "inception5h": tensorflow,
    "bvlc_googlenet": caffe,
    "torchvision_googlenet": pytorch,
    "torchvision_inception_v3": pytorch,
    "timm_inception_v3": timm,
    "keras_inception_v3": keras,
}
# The classifier's matrix in each, and whether it lies (classes, inputs).
HEADS = {
    "inception5h": ("softmax2_w", False),
    "bvlc_googlenet": ("loss3/classifier/0", True),
    "torchvision_googlenet": ("fc.weight", True),
    "torchvision_inception_v3": ("fc.weight", True),
    "timm_inception_v3": ("fc.weight", True),
    "keras_inception_v3": ("predictions/kernel", False),
}
# Everything here runs once: the optimizer would take longer than it saves.
compute = jax.jit(
    comparison.compute,
    static_argnums=(2, 3),
    compiler_options={"xla_backend_optimization_level": 0},
)


@dataclass(frozen=True)
class Network:
    family: str
    raw: dict[str, np.ndarray]
    """As a file of the framework holds them."""
    tensors: dict[str, np.ndarray]
    """As dreamvid does."""
    model: Model


@pytest.fixture(scope="module", params=networks.FAMILIES)
def network(request: pytest.FixtureRequest) -> Network:
    """The network that the original framework saved, converted without its file."""
    family: str = request.param
    raw = networks.contents(family)
    held = Contents(Path(family), raw)
    spec, tensors = foreign.convert(held, FORMATS[family], like=run.LIKE[family])
    return Network(family, raw, tensors, Model.from_tensors(spec, tensors))


def test_every_layer_and_the_gradient_agree_with_the_original(network: Network):
    golden = goldens.load(network.family)
    # What the originals do not have: blocks joined before their ReLUs, and, in Caffe's and
    # TensorFlow's, a classifier for a picture so small.
    ours_alone = re.compile(r"mixed[0-9a-e]+_pre_relu|logits")
    missing = set(network.model.layers) - set(golden.names)
    assert [name for name in missing if not ours_alone.fullmatch(name)] == []

    image = comparison.picture(golden.size, golden.number)
    acts, gradient = compute(network.model, image, golden.names, golden.objective)
    errors = goldens.errors(golden, {name: np.asarray(act) for name, act in acts.items()})
    assert errors.keys() == set(golden.names)
    assert {name: e for name, e in errors.items() if not e <= comparison.LIMIT} == {}
    assert goldens.gradient_error(golden, np.asarray(gradient)) <= comparison.GRADIENT_LIMIT


def test_the_classifier_is_the_originals(network: Network):
    name, classes_first = HEADS[network.family]
    kernel = network.raw[name].T if classes_first else network.raw[name]
    np.testing.assert_array_equal(network.tensors["head/kernel"], kernel)
    assert len(network.model.spec.labels) == kernel.shape[1]


def test_a_wrong_rule_is_caught(network: Network):
    golden = goldens.load(network.family)
    image = comparison.picture(golden.size, golden.number)
    for rule, changes in comparison.WRONG[network.family].items():
        # The first layer behind all that the rules change, so that little has to be compiled.
        first = "mixed0" if "v3" in network.family else "conv2d1"
        shown = "mixed5a" if "last_pool" in changes else first
        with comparison.under(network.model, changes) as wrong:
            acts, _ = compute(wrong, image, (shown,), None)
        error = goldens.errors(golden, {shown: np.asarray(acts[shown])})[shown]
        assert error > 10 * comparison.LIMIT, rule


@pytest.mark.parametrize("family", networks.FAMILIES)
def test_goldens_say_who_made_them(family: str):
    facts = goldens.load(family).facts
    assert facts["family"] == family
    assert facts["framework"]
    assert facts["version"]
    for script in facts["scripts"]:
        assert (Path(__file__).parent / script).is_file()


@pytest.mark.parametrize(
    ("verdict", "changes"),
    [
        ("pass", {}),
        ("not run", {"not_run": "no framework"}),
        ("FAIL", {"layers": {(1, 1): {"good": 0.0, "bad": 2 * comparison.LIMIT}}}),
        ("FAIL", {"layers": {(1, 1): {"not a number": np.nan}}}),
        ("FAIL", {"layers": {}}),
        ("FAIL", {"gradient": {(1, 1): 2 * comparison.GRADIENT_LIMIT}}),
        ("FAIL", {"gradient": {}}),
        ("FAIL", {"same": {"another.file": False}}),
        ("FAIL", {"wrong": {"caught": {(1, 1): 1.0}, "not caught": {(1, 1): 0.0}}}),
        ("FAIL", {"wrong": {}}),
        ("FAIL", {"facts": {"effect": {"here": 1.0, "there": comparison.LRN_EFFECT}}}),
        ("FAIL", {"facts": {}}),
        ("FAIL", {"facts": {}, "family": "bvlc_googlenet"}),
        ("pass", {"facts": {}, "family": "timm_inception_v3"}),
        ("FAIL", {"refused": "it is damaged"}),
    ],
)
def test_only_what_was_run_and_agrees_passes(verdict: str, changes: dict):
    right = {
        "family": "inception5h",
        "facts": {"effect": {"a layer": 2 * comparison.LRN_EFFECT}},
        "layers": {(1, 1): {"good": 1e-6}},
        "gradient": {(1, 1): 1e-6},
        "wrong": {"caught": {(1, 1): 1.0}},
    }
    assert run.Outcome(**(right | changes)).verdict == verdict


def test_what_hinders_one_family_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    damaged = json.dumps({"framework": "F", "version": "1", "file": "net.pth"})
    frameworks = {
        "tfenv": "echo one; echo no TensorFlow here; exit 3",
        "cvenv": "echo begun > bvlc_googlenet.json; kill -9 $$",
        "torchenv": f"echo damaged > net.pth; for family in torchvision_googlenet"
        f" torchvision_inception_v3 timm_inception_v3; do echo '{damaged}' > $family.json; done",
    }
    for name, words in frameworks.items():
        python = tmp_path / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\ncd "$2"\n{words}\n')
        python.chmod(0o700)
    work = tmp_path / "work"
    words = ["run.py", str(work), "--environments", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    assert run.main() == 1
    found = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert found.keys() == networks.FAMILIES.keys()
    assert found["inception5h"] == "not run (no TensorFlow here; see inception5h.log)"
    assert found["bvlc_googlenet"] == "not run (status -9; see bvlc_googlenet.log)"
    assert not (work / "bvlc_googlenet.json").exists()
    assert found["torchvision_googlenet"].startswith("FAIL (")
    assert "net.pth" in found["timm_inception_v3"]
    results = (work / "RESULTS.md").read_text()
    for family, verdict in found.items():
        assert re.search(rf"^\| {family} \|.*\| {re.escape(verdict)} \|$", results, re.MULTILINE)


def test_results_of_some_families_alone_are_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    words = ["run.py", str(tmp_path / "work"), "--record", "--family", "inception5h"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        run.main()
    assert stop.value.code == 2
    assert "leave out --family" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
