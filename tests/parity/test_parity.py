"""dreamvid against what the original frameworks computed, from recorded samples.

run.py compares whole layers, at larger sizes, with the frameworks at hand; see RESULTS.md.
"""

import re
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

FORMATS = {
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
        first = "mixed0" if "v3" in network.family else "mixed3a"
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
        ("FAIL", {"same": {"another.file": False}}),
        ("FAIL", {"wrong": {"caught": {(1, 1): 1.0}, "not caught": {(1, 1): 0.0}}}),
    ],
)
def test_only_what_was_run_and_agrees_passes(verdict: str, changes: dict):
    right = {
        "layers": {(1, 1): {"good": 1e-6}},
        "gradient": {(1, 1): 1e-6},
        "wrong": {"caught": {(1, 1): 1.0}},
    }
    assert run.Outcome("inception5h", **(right | changes)).verdict == verdict
