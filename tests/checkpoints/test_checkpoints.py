"""What a network's file must be, and how it is found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dreamvid import load
from dreamvid.checkpoints import safetensors, store
from dreamvid.errors import DreamError, UnknownNameError, WeightsError
from dreamvid.models import ModelSpec
from small import random_picture, tiny_model, tiny_spec, tiny_tensors


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    safetensors.write(path, tiny_spec(), tiny_tensors())
    return path


def test_what_is_written_is_read_again(file: Path):
    model = load(file)
    assert model.spec == tiny_spec()
    for name, tensor in tiny_tensors().items():
        np.testing.assert_array_equal(model.to_tensors()[name], tensor)


def test_the_same_network_is_the_same_bytes(tmp_path: Path):
    path, facts = tmp_path / "tiny.safetensors", {name: name for name in "abcdefgh"}
    written = set()
    for _ in range(4):
        safetensors.write(path, tiny_spec(), tiny_tensors(), facts=facts)
        written.add(path.read_bytes())
    assert len(written) == 1
    assert facts.items() <= safetensors.read_facts(path).items()


def test_a_spec_survives_its_text():
    spec = replace(tiny_spec(), scale=(1.0, 0.5, 0.25), labels=("cat", "dog"))
    again = ModelSpec.from_json(spec.to_json())
    assert vars(again) == vars(spec)


def test_a_classifier_is_the_mean_of_the_last_layer_and_one_matrix(tmp_path: Path):
    path = tmp_path / "with-head.safetensors"
    spec = replace(tiny_spec(), labels=("cat", "dog"))
    channels = tiny_model().layer("mixed5b").channels
    kernel = np.random.default_rng(0).standard_normal((channels, 2), np.float32)
    head = {"head/kernel": kernel, "head/bias": np.array([1.0, -1.0], np.float32)}
    safetensors.write(path, spec, tiny_tensors() | head)
    model = load(path)
    assert model.layers[-1] == "logits"
    assert model.layer("logits").channels == 2
    acts = model.activations(random_picture(40, 70), ["mixed5b", "logits"])
    assert acts["logits"].shape == (1, 1, 2)
    expected = acts["mixed5b"].mean((0, 1)) @ kernel + head["head/bias"]
    np.testing.assert_allclose(acts["logits"][0, 0], expected, rtol=1e-5)


def test_the_builtin_network_dreams_of_every_layer_it_lists():
    model = load("builtin")
    assert model.layer("mixed4c").channels == 256
    acts = model.activations(random_picture(32, 32), model.layers)
    assert all(np.isfinite(act).all() for act in acts.values())
    assert "CC BY 4.0" in model.spec.licence
    assert len(model.spec.labels) == 100


def test_the_digest_is_that_of_the_file(file: Path):
    before = store.digest(file)
    assert len(before) == 64
    safetensors.write(file, tiny_spec(), tiny_tensors(seed=1))
    assert store.digest(file) != before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("mixed4c/3x3/bias"), r"'mixed4c/3x3/bias', \(16,\), is missing"),
        (lambda t: t.update({"conv2d0/bias": np.zeros(9)}), r"'conv2d0/bias' is \(9,\)"),
        (lambda t: t.update({"mixed9z/bias": np.zeros(9)}), "'mixed9z/bias' belongs to no layer"),
        (lambda t: t["mixed4a/1x1/bias"].fill(np.nan), "'mixed4a/1x1/bias' is not all finite"),
    ],
)
def test_tensors_that_do_not_fit_the_spec_are_named(file: Path, change, complaint: str):
    tensors = tiny_tensors()
    change(tensors)
    safetensors.write(file, tiny_spec(), tensors)
    with pytest.raises(WeightsError, match=complaint) as refusal:
        load(file)
    assert str(file) in str(refusal.value)


def test_a_damaged_file_is_refused(file: Path):
    whole = file.read_bytes()
    for kept in (0, 5, 200, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:kept])
        with pytest.raises(WeightsError, match="cannot be read as safetensors"):
            load(file)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"dreamvid": "no JSON"},
        {"dreamvid": "[]"},
        {"dreamvid": "{}"},
        {"dreamvid": tiny_spec().to_json().replace("117.0, 116.0,", "")},
        {"dreamvid": tiny_spec().to_json().replace("inception_v1", "inception_v9")},
        {"dreamvid": tiny_spec().to_json().replace("folded", "unfolded")},
        {"dreamvid": tiny_spec().to_json().replace("licence", "license")},
        {"dreamvid": tiny_spec().to_json().replace('"inception_v1"', "[1]")},
        {"dreamvid": tiny_spec().to_json().replace("[4]", "[Infinity]")},
        {"dreamvid": "[" * 100_000},
        {"dreamvid": tiny_spec().to_json().replace('"scale": [1.0', '"scale": [NaN')},
        {"dreamvid": tiny_spec().to_json().replace('"scale": [1.0, ', '"scale": [')},
        {"dreamvid": tiny_spec().to_json().replace('"labels": []', '"labels": ["cat"]')},
    ],
)
def test_a_foreign_file_is_refused(file: Path, metadata: dict[str, str] | None):
    save_file(tiny_tensors(), file, metadata=metadata)
    with pytest.raises(WeightsError) as refusal:
        load(file)
    assert str(file) in str(refusal.value)


def test_names_and_paths_that_lead_nowhere(tmp_path: Path):
    with pytest.raises(UnknownNameError, match=r"'bultin'\. Did you mean 'builtin'"):
        load("bultin")
    with pytest.raises(WeightsError, match="no network at"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="is a folder"):
        load(tmp_path)
    (tmp_path / "net.txt").write_text("hello")
    with pytest.raises(DreamError, match="is no network"):
        load(tmp_path / "net.txt")
