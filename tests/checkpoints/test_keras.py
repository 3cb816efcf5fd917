"""Keras's layers are found by the order of their numbers, and hostile files become one line."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from refusals import assert_cuts_refused, assert_file_refused, assert_no_damage_surprises

from dreamvid.checkpoints import conversion, keras
from dreamvid.checkpoints.conversion import Contents
from dreamvid.checkpoints.keras import LAYOUTS, read
from dreamvid.models.inception_v3 import CONVOLUTIONS

(LAYOUT,) = LAYOUTS
FILES = Path(__file__).parent / "files"
RECORDED = ("keras-2.h5", "keras-2-whole.h5", "keras-3.weights.h5")
# What make_keras.py called the layers, and what the newer form calls them.
LAYERS = {
    "batch_normalization_94": "layers/batch_normalization_1",
    "batch_normalization_95": "layers/batch_normalization",
    "conv2d_94": "layers/conv2d_1",
    "conv2d_95": "layers/conv2d",
    "conv2d_96": "layers/conv2d_2",
    "predictions": "layers/dense",
}
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.h5"


def expected(keras_3: bool) -> dict[str, float]:
    """Every number of each tensor that make_keras.py stored."""
    found = {}
    for place, (layer, newer) in enumerate(LAYERS.items()):
        variables = ("kernel", "bias")
        if layer == "batch_normalization_94":
            variables = NORM[1:]
        elif layer == "batch_normalization_95":
            variables = NORM
        elif layer in ("conv2d_94", "conv2d_95"):
            variables = ("kernel",)
        for index, variable in enumerate(variables):
            found[f"{newer if keras_3 else layer}/{variable}"] = 10 * place + index
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_what_keras_saved_is_read(name: str):
    path = FILES / name
    assert keras.claims(path, path.read_bytes()[:512])
    found = read(path).tensors
    values = expected(keras_3=name == "keras-3.weights.h5")
    assert found.keys() == values.keys()
    for tensor_name, value in values.items():
        assert (found[tensor_name] == value).all()
        assert found[tensor_name].dtype == np.float32


def test_other_files_are_not_claimed(path: Path):
    assert not keras.claims(path, b"PK\x03\x04")
    assert not keras.claims(path, b"")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("conv2d_1/conv2d_1/kernel:0", "conv2d_1/kernel"),
        ("conv2d_1/conv2d_1_1/kernel:0", "conv2d_1/kernel"),
        ("model_weights/conv2d_1/conv2d_1/kernel:0", "conv2d_1/kernel"),
        ("conv2d_1/kernel", "conv2d_1/kernel"),
        ("inception_v3/conv2d_1/kernel:0", "conv2d_1/kernel"),
        ("layers/conv2d_1/vars/0", "layers/conv2d_1/kernel"),
        ("layers/functional/layers/conv2d_1/vars/0", "layers/functional/layers/conv2d_1/kernel"),
    ],
)
def test_a_tensors_name_is_layer_and_variable(path: Path, address: str, name: str):
    with h5py.File(path, "w") as file:
        file[address] = np.zeros((1, 1, 1, 1), ">f2")
        file["optimizer_weights/conv2d_1/kernel:0"] = np.zeros(3)
        file["optimizer/vars/0"] = np.zeros(3)
    assert list(read(path).tensors) == [name]


def numbered(layer: str, norm: str, value: int) -> dict[str, np.ndarray]:
    """The tensors of a convolution of one weight, which is `value`, and its idle batch norm."""
    return {
        f"{layer}/kernel": np.full((1, 1, 1, 1), value, np.float32),
        f"{norm}/beta": np.zeros(1),
        f"{norm}/moving_mean": np.zeros(1),
        f"{norm}/moving_variance": np.ones(1) - 1e-3,
    }


def order_found(tensors: dict[str, np.ndarray]) -> list[int]:
    """Which of the numbered convolutions each of ours is made of, in the order Keras makes them."""
    contents = Contents(Path("net.h5"), tensors)
    found = [LAYOUT.convolution(contents, layer, (1, 1, 1, 1))[0] for layer in CONVOLUTIONS]
    return [round(float(kernel.item())) for kernel in found]


@pytest.mark.parametrize("first", [0, 1, 94, 189])
def test_keras_2_numbers_layers_as_it_makes_them(first: int):
    tensors = {}
    for number in np.random.default_rng(0).permutation(94):
        suffix = f"_{first + number}" if first + number else ""
        # The norms may be counted from another number on.
        tensors |= numbered(f"conv2d{suffix}", f"batch_normalization_{number + 7}", number)
    assert order_found(tensors) == list(range(94))


def test_keras_3_numbers_layers_as_it_recorded():
    recorded = [int(line) for line in (FILES / "keras-order.txt").read_text().split()]
    assert sorted(recorded) == list(range(94))
    tensors = {}
    for place, number in enumerate(recorded):
        suffix = f"_{place}" if place else ""
        norm = f"layers/batch_normalization{suffix}"
        tensors |= numbered(f"layers/conv2d{suffix}", norm, number)
    assert order_found(tensors) == list(range(94))


@pytest.mark.parametrize("with_gamma", [False, True])
def test_batch_norm_is_folded_into_the_kernel(with_gamma: bool):
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((2, 3, 4, 5), np.float32)
    norm = dict(zip(NORM, rng.uniform(0.5, 1, (4, 5)).astype(np.float32), strict=True))
    if not with_gamma:
        del norm["gamma"]
    tensors = {f"batch_normalization/{name}": value for name, value in norm.items()}
    contents = Contents(Path("net.h5"), tensors | {"conv2d/kernel": kernel})
    folded, bias = LAYOUT.convolution(contents, "conv2d0", (2, 3, 4, 5))
    window = rng.standard_normal((2, 3, 4), np.float32)
    before = np.einsum("hwio,hwi->o", kernel, window)
    scale = norm.get("gamma", 1) / np.sqrt(norm["moving_variance"] + 1e-3)
    after = (before - norm["moving_mean"]) * scale + norm["beta"]
    np.testing.assert_allclose(np.einsum("hwio,hwi->o", folded, window) + bias, after, rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "shape", "complaint"),
    [
        ("conv2d0", (3, 3, 3, 32), r"'conv2d/kernel' is \(1, 1, 1, 1\), but .* \(3, 3, 3, 32\)"),
        ("conv2d1", (3, 3, 32, 32), r"'convolution 2/kernel'.* \(3, 3, 32, 32\).* is missing"),
    ],
)
def test_another_network_is_refused_by_its_first_tensor(
    path: Path, layer: str, shape: tuple[int, ...], complaint: str
):
    contents = Contents(path, numbered("conv2d", "batch_normalization", 1))
    assert_file_refused(path, complaint, lambda _: LAYOUT.convolution(contents, layer, shape))


@pytest.mark.parametrize("layer", ["predictions", "layers/dense"])
def test_the_only_dense_layer_is_the_classifier(path: Path, layer: str):
    kernel, bias = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    tensors = {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    found = LAYOUT.head(Contents(path, tensors), 2)
    assert found is not None
    np.testing.assert_array_equal(found[0], kernel)
    np.testing.assert_array_equal(found[1], bias)
    assert LAYOUT.head(Contents(path, {}), 2) is None
    assert LAYOUT.head(Contents(path, tensors | {"dense_9/kernel": kernel}), 2) is None
    complaint = r"\(2, 3\), but the network needs \(4, 3\)"
    assert_file_refused(path, complaint, lambda _: LAYOUT.head(Contents(path, tensors), 4))


# Files that Keras would not write.


def external_link(file: h5py.File) -> None:
    file["layers/conv2d"] = h5py.ExternalLink("other.h5", "/layers")


def soft_link(file: h5py.File) -> None:
    file["layers/conv2d"] = h5py.SoftLink("/layers")


def ring(file: h5py.File) -> None:
    file["layers"] = file["/"]


def crowd(file: h5py.File) -> None:
    for number in range(keras.MOST_ENTRIES + 1):
        file.create_group(f"layers/dense_{number}")


def compressed(file: h5py.File) -> None:
    file.create_dataset("layers/conv2d/vars/0", (1 << 26,), "f4", compression="gzip")


def in_pieces(file: h5py.File) -> None:
    file.create_dataset("layers/conv2d/vars/0", (1 << 40,), "f4", chunks=(1 << 20,))


def claiming(file: h5py.File) -> None:
    file.create_dataset("layers/conv2d/vars/0", (1 << 31,), "f4")


def claiming_together(file: h5py.File) -> None:
    data = file.create_dataset("layers/conv2d_0/vars/0", data=np.zeros(1000))
    for number in range(1, 100):
        file[f"layers/conv2d_{number}/vars/0"] = data


def kept_outside(file: h5py.File) -> None:
    outside = Path(file.filename).with_name("outside.bin")
    outside.write_bytes(bytes(12))
    file.create_dataset("layers/conv2d/vars/0", (3,), "f4", external=[(str(outside), 0, 12)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "a", (3,))
    file.create_virtual_dataset("layers/conv2d/vars/0", layout)


def texts(file: h5py.File) -> None:
    file["layers/conv2d/vars/0"] = ["rm", "-rf"]


def records(file: h5py.File) -> None:
    file["layers/conv2d/vars/0"] = np.zeros(3, [("a", "f4"), ("b", "f4")])


def nothing(file: h5py.File) -> None:
    file["layers/conv2d/vars/0"] = h5py.Empty("f4")


def two_of_a_name(file: h5py.File) -> None:
    file["conv2d/conv2d/kernel:0"] = file["conv2d/conv2d_1/kernel:0"] = np.zeros(3)


def empty(file: h5py.File) -> None:
    file["a"] = np.zeros(3)
    file.create_group("layers")


@pytest.mark.parametrize(
    ("fill", "complaint"),
    [
        (external_link, "'conv2d' in it leads elsewhere"),
        (soft_link, "'conv2d' in it leads elsewhere"),
        (ring, "too many groups"),
        (crowd, "too many groups"),
        (compressed, "is compressed, in pieces or elsewhere"),
        (in_pieces, "is compressed, in pieces or elsewhere"),
        (kept_outside, "is compressed, in pieces or elsewhere"),
        (virtual, "is compressed, in pieces or elsewhere"),
        (claiming, "claims 8589934592 bytes"),
        (claiming_together, "claims 800000 bytes"),
        (texts, "holds no numbers"),
        (records, "holds no numbers"),
        (nothing, "holds no numbers"),
        (two_of_a_name, "two 'conv2d/kernel'"),
        (empty, "no weights of Keras"),
    ],
)
def test_what_keras_does_not_write_is_refused(path: Path, fill, complaint: str):
    with h5py.File(path, "w") as file:
        fill(file)
    assert_file_refused(path, complaint, read)


def test_tensors_have_an_upper_bound(path: Path, monkeypatch: pytest.MonkeyPatch):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros(10, np.float32)
    read(path)
    monkeypatch.setattr(keras, "LARGEST", 39)
    assert conversion.LARGEST > 100 << 20  # Inception V3 fits
    assert_file_refused(path, "claims 40 bytes of 39", read)


@pytest.mark.parametrize("name", RECORDED)
def test_a_file_cut_short_is_refused(path: Path, name: str):
    whole = (FILES / name).read_bytes()
    cuts = (*range(0, 2000, 97), *range(2000, len(whole), 1999), len(whole) - 1)
    assert_cuts_refused(path, whole, cuts, "is damaged or cut off, HDF5 says", read)


@pytest.mark.parametrize("name", RECORDED)
def test_damage_never_surprises(path: Path, name: str):
    path.write_bytes((FILES / name).read_bytes())
    assert_no_damage_surprises(path, read, tries=150)
