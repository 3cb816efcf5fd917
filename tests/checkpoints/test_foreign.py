"""What becomes of the tensors of a foreign file, whatever its format."""

import math
from pathlib import Path

import numpy as np
import pytest

from dreamvid.checkpoints import caffe, foreign, manifest, pytorch, timm
from dreamvid.checkpoints.conversion import Contents
from dreamvid.errors import UnknownNameError, WeightsError
from dreamvid.models import Model, ModelSpec, inception_v1
from dreamvid.models.network import shapes

FILES = Path(__file__).parent / "files"
RECORDED = {
    "frozen.pb": "tensorflow",
    "keras-2.h5": "keras",
    "keras-3.weights.h5": "keras",
    "legacy.pth": "pytorch",
    "zip.pth": "pytorch",
}


def blank(family: str, kernel: str, vectors: dict[str, int]) -> dict[str, np.ndarray]:
    """A GoogLeNet by a framework's names: kernels of zeros, and what goes with each output."""
    tensors = {}
    spec = ModelSpec("inception_v1", family, inception_v1.WIDTHS, (0, 0, 0), (1, 1, 1))
    for name, shape in shapes(spec).items():
        path, _, kind = name.rpartition("/")
        theirs = inception_v1.NAMES[family][path.replace("/", "_", 1)]
        if kind == "kernel":
            tensors[theirs + kernel] = np.zeros((*shape[:1:-1], *shape[:2]), np.float32)
        else:
            tensors |= {theirs + k: np.full(shape, v, np.float32) for k, v in vectors.items()}
    return tensors


def caffes(classes: int, **changed: np.ndarray) -> Contents:
    """A GoogLeNet of Caffe's whose tensors are all zero, but for those that are given."""
    tensors = blank("caffe", "/0", {"/1": 0})
    tensors["loss3/classifier/0"] = np.zeros((classes, 1024), np.float32)
    tensors["loss3/classifier/1"] = np.zeros(classes, np.float32)
    return Contents(Path("net.caffemodel"), tensors | changed)


@pytest.mark.parametrize(("name", "form"), RECORDED.items())
def test_a_file_is_known_by_its_content(name: str, form: str, tmp_path: Path):
    path = tmp_path / "network"
    path.write_bytes((FILES / name).read_bytes())
    found = foreign.format_of(path).NAME
    assert found == form


@pytest.mark.parametrize("name", RECORDED)
def test_another_network_in_the_right_format_is_refused_by_its_first_tensor(name: str):
    path = FILES / name
    named = r"tensor '.+', \(.+\), is missing|tensor '.+' is \(.+\), but the network needs \(.+\)"
    with pytest.raises(WeightsError, match=named) as refusal:
        foreign.read(path)
    assert str(path) in str(refusal.value)


def test_a_tensor_of_another_shape_is_named_with_both():
    contents = caffes(1000, **{"inception_4c/3x3/0": np.zeros((256, 64, 3, 3), np.float32)})
    both = r"'inception_4c/3x3/0' is \(256, 64, 3, 3\), but the network needs \(256, 128, 3, 3\)"
    with pytest.raises(WeightsError, match=both):
        foreign.convert(contents, caffe)


def test_what_is_no_number_is_named():
    kernel = np.zeros((64, 3, 7, 7), np.float32)
    kernel[5, 1, 2, 3] = np.nan
    with pytest.raises(WeightsError, match="'conv1/7x7_s2/0' is not all finite"):
        foreign.convert(caffes(1000, **{"conv1/7x7_s2/0": kernel}), caffe)


def test_networks_of_blue_green_and_red_are_turned_to_ours():
    kernel = np.zeros((64, 3, 7, 7), np.float32)
    kernel[:, 0] = 7  # blue's, in the file
    spec, tensors = foreign.convert(caffes(1000, **{"conv1/7x7_s2/0": kernel}), caffe)
    assert (tensors["conv2d0/kernel"][:, :, 2] == 7).all()
    assert (tensors["conv2d0/kernel"][:, :, :2] == 0).all()
    assert spec.mean == (123, 117, 104)


@pytest.mark.parametrize(
    ("classes", "mean", "label"),
    [
        (1000, 123, "tench"),
        (205, 116.047, "abbey"),
        (365, 116.676, "airfield"),
        (12, 123, "class 0"),
    ],
)
def test_the_number_of_classes_tells_whose_network_it_is(classes: int, mean: float, label: str):
    spec, tensors = foreign.convert(caffes(classes), caffe)
    assert (spec.mean[0], spec.labels[0], len(spec.labels)) == (mean, label, classes)
    assert (spec.licence, spec.origin) == ("unknown", "net.caffemodel")
    assert Model.from_tensors(spec, tensors).layer("logits").channels == classes


def test_facts_of_a_published_network_hold_where_it_is_named():
    spec, _ = foreign.convert(caffes(1000), caffe, like="googlenet_places365")
    places = manifest.published("googlenet_places365")
    assert (spec.mean, spec.licence, spec.origin) == (places.mean, places.licence, places.origin)
    assert spec.labels[:2] == ("class 0", "class 1")  # 1000 classes are not its 365
    with pytest.raises(WeightsError, match="is inception_v3 of the keras family"):
        foreign.convert(caffes(1000), caffe, like="keras_inception_v3")
    with pytest.raises(UnknownNameError, match="googlenet_places"):
        foreign.convert(caffes(1000), caffe, like="googlenet_places366")


def torchvisions() -> dict[str, np.ndarray]:
    """A GoogLeNet of torchvision's whose kernels are all zero."""
    norm = {".bn.weight": 1, ".bn.bias": 0, ".bn.running_mean": 0, ".bn.running_var": 1}
    return blank("torchvision", ".conv.weight", norm)


def test_a_batch_norm_of_negative_variance_is_refused():
    tensors = torchvisions()
    tensors["inception4c.branch2.1.bn.running_var"][3] = -1
    with pytest.raises(WeightsError, match="batch norm of mixed4c_3x3 leaves no finite numbers"):
        foreign.convert(Contents(Path("a.pth"), tensors), pytorch)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "no network"), (b"hello, world\n" * 50, "no network"), (b"\x89PNG\r\n", "no network")],
)
def test_what_is_no_network_is_refused(content: bytes, complaint: str, tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=complaint):
        foreign.read(path)
    with pytest.raises(WeightsError, match="no file at"):
        foreign.read(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        foreign.read(tmp_path)


def test_a_file_too_large_for_any_network_is_not_even_read(tmp_path: Path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(manifest.LARGEST_FILE + 1)
    with pytest.raises(WeightsError, match="is no Inception: it has more than"):
        foreign.read(path)


def test_every_published_network_has_a_reader_and_a_layout():
    forms = {form.NAME: form for form in foreign.FORMATS}
    for one in manifest.known().values():
        layouts = forms[one.format].LAYOUTS
        assert (one.architecture, one.family) in {(a.architecture, a.family) for a in layouts}
        assert len(one.label_names()) in (0, one.classes)
        assert all(math.isfinite(value) for value in (*one.mean, *one.scale))


@pytest.mark.parametrize("form", foreign.FORMATS, ids=lambda form: form.NAME)
def test_every_layout_has_somebody_whose_facts_it_can_take(form: foreign.Format):
    for layout in form.LAYOUTS:
        kin = {(one.architecture, one.family) for one in manifest.known().values()}
        assert (layout.architecture, layout.family) in kin


def test_a_googlenet_in_safetensors_is_read_as_torchvisions():
    contents = Contents(Path("net.safetensors"), torchvisions())
    spec, _ = foreign.convert(contents, timm)
    assert (spec.family, spec.mean) == ("torchvision", (127.5, 127.5, 127.5))
