"""A Caffe net's blobs become a network, and hostile nets become one line."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from protobufs import blob, field, layer, net, varint
from refusals import assert_cuts_refused, assert_file_refused, assert_no_damage_surprises

from dreamvid.checkpoints.caffe import LAYOUTS, read
from dreamvid.models.inception_v1 import NAMES
from small import tiny_tensors

(LAYOUT,) = LAYOUTS
SIX = np.arange(6, dtype=np.float32)


def layers() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Our name of each layer of a tiny network: its kernel and its bias."""
    tensors = tiny_tensors()
    paths = [name.removesuffix("/kernel") for name in tensors if name.endswith("/kernel")]
    return {
        path.replace("/", "_"): (tensors[f"{path}/kernel"], tensors[f"{path}/bias"])
        for path in paths
    }


def published(head: str = "loss3/classifier") -> dict[str, list[np.ndarray]]:
    """The layers of a tiny bvlc_googlenet, by their published names: kernel (OIHW) and bias."""
    rng = np.random.default_rng(1)
    found = {
        NAMES["caffe"][name]: [kernel.transpose(3, 2, 0, 1), bias]
        for name, (kernel, bias) in layers().items()
    }
    classifier = [rng.standard_normal((5, 64), np.float32), rng.standard_normal(5, np.float32)]
    return {"data": []} | found | {head: classifier}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net(published()))
    return path


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("legacy", [False, True], ids=["shape", "four numbers"])
def test_every_weight_is_found_by_its_published_name(path: Path, version: int, legacy: bool):
    path.write_bytes(net(published(), version, legacy))
    contents = read(path)
    assert LAYOUT.mark in contents.tensors
    for name, (kernel, bias) in layers().items():
        found = LAYOUT.convolution(contents, name, kernel.shape)
        np.testing.assert_array_equal(found[0], kernel, strict=True)
        np.testing.assert_array_equal(found[1], bias, strict=True)
    head = LAYOUT.head(contents, 64)
    assert head is not None
    kernel, bias = published()["loss3/classifier"]
    np.testing.assert_array_equal(head[0], kernel.T, strict=True)
    np.testing.assert_array_equal(head[1], bias, strict=True)


def test_a_classifier_of_a_longer_name_is_taken_if_it_is_the_only_one(path: Path):
    path.write_bytes(net(published("loss3/classifier_places")))
    head = LAYOUT.head(read(path), 64)
    assert head is not None
    assert head[0].shape == (64, 5)
    path.write_bytes(net(published("loss3/nothing")))
    assert LAYOUT.head(read(path), 64) is None
    path.write_bytes(net(published() | {"loss3/classifier2": published()["loss3/classifier"]}))
    assert LAYOUT.head(read(path), 64) is None


def test_the_published_tar_holds_the_net(tmp_path: Path):
    path = tmp_path / "googlenet_places205.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (
            ("googlenet_places205/deploy.prototxt", b'name: "GoogleNet"'),
            ("googlenet_places205/googlenet.caffemodel", net(published())),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    contents = read(path)
    assert contents.tensors["inception_4c/3x3_reduce/1"].shape == (8,)
    assert contents.path == path


def test_doubles_and_single_floats_are_read_too(path: Path):
    shape = field(7, field(1, 2) + field(1, 3))
    doubles = field(8, SIX.astype("<f8").tobytes()) + shape
    singles = b"".join(varint(5 << 3 | 5) + value.tobytes() for value in SIX) + shape
    path.write_bytes(layer("a", doubles, singles))
    tensors = read(path).tensors
    for name in ("a/0", "a/1"):
        np.testing.assert_array_equal(tensors[name], SIX.reshape(2, 3))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "its layers hold no blobs"),
        (layer("a"), "its layers hold no blobs"),
        (layer("a", blob(SIX, (2**31,))), r"'a/0' has 6 values for a shape of \(2147483648,\)"),
        (layer("a", blob(SIX, (2**31, 1), True)), r"6 values for .* \(1, 1, 2147483648, 1\)"),
        (layer("a", blob(SIX, (2**32, 2**32))), r"6 values for a shape of \(4294967296, "),
        (layer("a", blob(SIX[:0], (2**40,))), r"0 values for a shape of \(1099511627776,\)"),
        (layer("a", blob(SIX, (-2, -3))), r"6 values for a shape of \(-2, -3\)"),
        (layer("a", blob(SIX, (2, 2))), r"6 values for a shape of \(2, 2\)"),
        (layer("a", blob(SIX, (6, *(1,) * 10_000))), r"6 values for a shape of \(6, 1, "),
        (layer("a", blob(SIX[:0], (0, 2**62, 2**62))), r"0 values for a shape of \(0, 46116"),
        (layer("a", field(5, bytes(24))), r"6 values for a shape of \(\)"),
        (layer("a", field(5, bytes(23))), "it is damaged"),
        (layer("a", blob(SIX)) * 2, "two blobs are called 'a/0'"),
        (layer("a", blob(SIX)) + layer("a", blob(SIX), version=1), "two blobs are called 'a/0'"),
        (field(100, b"") * 5_000_000, "too many parts"),
        (b"a letter to nobody", "it is damaged"),
        (b'name: "GoogleNet"\nlayer {', "it is damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_net_that_lies_is_refused(path: Path, data: bytes, complaint: str):
    path.write_bytes(data)
    assert_file_refused(path, f"cannot be read as a Caffe network: .*{complaint}", read)


def test_a_net_that_is_cut_off_is_refused(path: Path):
    whole = path.read_bytes()
    cuts = (1, 2, 5, 30, 200, len(whole) // 2, len(whole) - 1)
    assert_cuts_refused(path, whole, cuts, "damaged or cut off", read)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("inception_3a/1x1"), r"'inception_3a/1x1/0', \(4, 12, 1, 1\), is missing"),
        (
            lambda t: t.update({"inception_3a/1x1": [np.zeros((5, 12, 1, 1))]}),
            r"'inception_3a/1x1/0' is \(5, 12, 1, 1\), but the network needs \(4, 12, 1, 1\)",
        ),
        (
            lambda t: t["inception_3a/1x1"].pop(),
            r"'inception_3a/1x1/1', \(4,\), is missing",
        ),
        (
            lambda t: t["inception_3a/1x1"].__setitem__(1, np.zeros((1, 1, 1, 5))),
            r"'inception_3a/1x1/1' is \(1, 1, 1, 5\), but the network needs \(4,\)",
        ),
        (
            lambda t: t["inception_3a/1x1"].__setitem__(1, np.full(4, np.nan)),
            "'inception_3a/1x1/1' is not all finite",
        ),
    ],
)
def test_a_net_of_another_architecture_is_refused_by_its_first_tensor(
    path: Path, change: Callable[[dict[str, list[np.ndarray]]], object], complaint: str
):
    tensors = published()
    change(tensors)
    path.write_bytes(net(tensors))
    assert_file_refused(
        path,
        complaint,
        lambda path: LAYOUT.convolution(read(path), "mixed3a_1x1", (1, 1, 12, 4)),
    )


def test_a_classifier_that_takes_other_channels_is_refused(path: Path):
    complaint = r"'loss3/classifier/0' is \(5, 64\), but the network needs \(5, 1024\)"
    assert_file_refused(path, complaint, lambda path: LAYOUT.head(read(path), 1024))


def test_no_damage_surprises(path: Path):
    path.write_bytes(net({"a": [SIX, SIX[:2]], "b": [SIX]}) + layer("c", blob(SIX), version=1))
    assert_no_damage_surprises(path, read, tries=500)
