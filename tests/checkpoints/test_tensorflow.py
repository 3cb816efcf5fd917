"""A frozen graph's constants become a network, and hostile graphs become one line."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from protobufs import constant, field, graph, layer, net, node
from refusals import assert_cuts_refused, assert_file_refused, assert_no_damage_surprises

from dreamvid.checkpoints import caffe, tensorflow
from dreamvid.checkpoints.tensorflow import LAYOUTS, read
from dreamvid.errors import WeightsError
from small import tiny_tensors

(LAYOUT,) = LAYOUTS
RECORDED = Path(__file__).parent / "files" / "frozen.pb"
FLOATS = field(4, np.arange(6, dtype="<f4").tobytes())


def layers() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Our name of each layer of a tiny network: its kernel and its bias."""
    tensors = tiny_tensors()
    paths = [name.removesuffix("/kernel") for name in tensors if name.endswith("/kernel")]
    return {
        path.replace("/", "_"): (tensors[f"{path}/kernel"], tensors[f"{path}/bias"])
        for path in paths
    }


def published() -> dict[str, np.ndarray]:
    """The constants of a tiny inception5h, by their published names."""
    found = {}
    for name, (kernel, bias) in layers().items():
        found |= {f"{name}_w": kernel, f"{name}_b": bias}
    rng = np.random.default_rng(1)
    return found | {
        "softmax2_w": rng.standard_normal((64, 5), np.float32),
        "softmax2_b": rng.standard_normal(5, np.float32),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "net.pb"
    path.write_bytes(graph(published()))
    return path


def test_every_weight_of_inception5h_is_found_by_its_published_name(path: Path):
    contents = read(path)
    assert LAYOUT.mark in contents.tensors
    for name, (kernel, bias) in layers().items():
        found = LAYOUT.convolution(contents, name, kernel.shape)
        np.testing.assert_array_equal(found[0], kernel)
        np.testing.assert_array_equal(found[1], bias)
    head = LAYOUT.head(contents, 64)
    assert head is not None
    np.testing.assert_array_equal(head[0], published()["softmax2_w"])
    np.testing.assert_array_equal(head[1], published()["softmax2_b"])


def test_a_graph_without_classifier_has_no_head(path: Path):
    path.write_bytes(graph({"conv2d0_w": np.zeros((7, 7, 3, 4))}))
    assert LAYOUT.head(read(path), 64) is None


def test_the_published_zip_holds_graph_and_labels(tmp_path: Path):
    path = tmp_path / "inception5h.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("imagenet_comp_graph_label_strings.txt", "dummy\nkit fox\r\nÄffchen\n")
        archive.writestr("tensorflow_inception_graph.pb", graph(published()))
        archive.writestr("LICENSE", "free")
    contents = read(path)
    assert contents.labels == ("dummy", "kit fox", "Äffchen")
    assert contents.tensors.keys() == published().keys()
    assert contents.path == path


def test_labels_without_end_are_refused(tmp_path: Path):
    path = tmp_path / "net.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.pb", graph({"w": np.zeros(3)}))
        lines = np.random.default_rng(0).bytes(100_000) + b"\n" * 9_000_000
        archive.writestr("label_strings.txt", lines)
    assert_file_refused(path, "its labels take 9100000 bytes", read)


def test_what_tensorflow_wrote_is_read_as_tensorflow_means_it():
    ramp = np.linspace(-1, 1, 54)
    tensors = read(RECORDED).tensors
    for name, expected in {
        "kernel": ramp.reshape(3, 3, 3, 2).astype(np.float32),
        "doubles": ramp.reshape(6, 9),
        "halves": ramp.reshape(6, 9).astype(np.float16),
        "scalar": np.float32(0.5),
        "repeated": np.full((2, 3), 0.25, np.float32),
        "repeated_half": np.full((2, 3), 0.25, np.float16),
    }.items():
        np.testing.assert_array_equal(tensors[name], expected, strict=True)
    contents = read(RECORDED)
    for name in ("integers", "text"):
        assert not contents.tensors[name].size


def test_the_last_of_too_few_values_fills_the_shape(path: Path):
    """Checked against TensorFlow 2.21's own parser, which gave the same."""
    few = field(5, np.array([1, 2], "<f4").tobytes())
    path.write_bytes(constant("few", 1, (2, 3), few) + constant("none", 1, (2, 3), b""))
    tensors = read(path).tensors
    np.testing.assert_array_equal(tensors["few"], [[1, 2, 2], [2, 2, 2]])
    np.testing.assert_array_equal(tensors["none"], np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "it has no constants; variables must be frozen"),
        (node("w", "VariableV2"), "it has no constants; variables must be frozen"),
        (constant("w", 1, (2**31,), b""), r"'w' claims \(2147483648,\)"),
        (constant("w", 1, (2**31,), field(5, bytes(4))), r"'w' claims \(2147483648,\)"),
        (constant("w", 1, (2**40, 2**40), FLOATS), r"'w' claims \(1099511627776, "),
        (constant("w", 1, (2**32, 2**32), FLOATS), r"'w' claims \(4294967296, "),
        (constant("w", 19, (2**31,), field(13, 5)), r"'w' claims \(2147483648,\)"),
        (constant("w", 1, (-2, -3), FLOATS), r"no possible shape: \(-2, -3\)"),
        (constant("w", 1, (-1, 6), FLOATS), r"no possible shape: \(-1, 6\)"),
        (constant("w", 1, (6, *(1,) * 10_000), FLOATS), r"no possible shape: \(6, 1"),
        (constant("w", 1, (2, 2), FLOATS), r"'w' has 6 values for a shape of \(2, 2\)"),
        (constant("w", 1, (7,), FLOATS), r"'w' has 6 values for a shape of \(7,\)"),
        (constant("w", 1, (6,), field(4, bytes(23))), "it is damaged"),
        (constant("w", 1, (6,), FLOATS) * 2, "two nodes are called 'w'"),
        (field(1, b"") * 5_000_000, "too many parts"),
        (b"a letter to nobody", "it is damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_graph_that_lies_is_refused(path: Path, data: bytes, complaint: str):
    path.write_bytes(data)
    assert_file_refused(path, f"cannot be read as a TensorFlow graph: .*{complaint}", read)


def test_an_empty_constant_is_of_no_use_and_no_harm(path: Path):
    path.write_bytes(constant("w", 1, (0, 2**62, 2**62), b""))
    assert not read(path).tensors["w"].size


def test_constants_together_may_not_claim_more_than_one_may(path: Path):
    """Each fits, and each would be made of nothing."""
    path.write_bytes(b"".join(constant(f"w{n}", 1, (1 << 21,), b"") for n in range(40)))
    with pytest.raises(WeightsError, match=r"'w16' claims \(2097152,\)"):
        read(path)


def test_a_graph_that_is_cut_off_is_refused(path: Path):
    whole = path.read_bytes()
    cuts = (1, 2, 30, 200, len(whole) // 2, len(whole) - 1)
    assert_cuts_refused(path, whole, cuts, "damaged or cut off", read)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("mixed3a_1x1_w"), r"'mixed3a_1x1_w', \(1, 1, 12, 4\), is missing"),
        (
            lambda t: t.update(mixed3a_1x1_w=np.zeros((1, 1, 12, 5))),
            r"'mixed3a_1x1_w' is \(1, 1, 12, 5\), but the network needs \(1, 1, 12, 4\)",
        ),
        (
            lambda t: t.update(mixed3a_1x1_b=np.zeros((4, 1))),
            r"'mixed3a_1x1_b' is \(4, 1\), but the network needs \(4,\)",
        ),
        (lambda t: t["mixed3a_1x1_w"].fill(np.nan), "'mixed3a_1x1_w' is not all finite"),
        (lambda t: t["mixed3a_1x1_b"].fill(np.inf), "'mixed3a_1x1_b' is not all finite"),
    ],
)
def test_a_graph_of_another_network_is_refused_by_its_first_tensor(
    path: Path, change: Callable[[dict[str, np.ndarray]], object], complaint: str
):
    tensors = published()
    change(tensors)
    path.write_bytes(graph(tensors))
    assert_file_refused(
        path, complaint, lambda path: LAYOUT.convolution(read(path), "mixed3a_1x1", (1, 1, 12, 4))
    )


def test_a_classifier_that_takes_other_channels_is_refused(path: Path):
    assert_file_refused(
        path,
        r"'softmax2_w' is \(64, 5\), but the network needs \(1024, 5\)",
        lambda path: LAYOUT.head(read(path), 1024),
    )


@pytest.mark.parametrize("kind", [3, 7, 9, 10])  # int32, string, int64, bool
def test_weights_that_are_no_floats_are_refused(path: Path, kind: int):
    path.write_bytes(constant("conv2d0_w", kind, (7, 7, 3, 4), field(4, bytes(7 * 7 * 3 * 16))))
    assert_file_refused(
        path,
        "'conv2d0_w' does not hold floats",
        lambda path: LAYOUT.convolution(read(path), "conv2d0", (7, 7, 3, 4)),
    )


def test_no_damage_surprises(path: Path):
    path.write_bytes(RECORDED.read_bytes())
    assert_no_damage_surprises(path, read, tries=500)


def test_graphs_and_nets_are_told_apart_by_their_content(tmp_path: Path):
    v1, v2 = (net({"conv1/7x7_s2": [np.zeros((1, 3, 7, 7))]}, version=n) for n in (1, 2))
    nameless = layer("conv1/7x7_s2", version=1), layer("conv1/7x7_s2", version=2)
    for data, is_graph in (
        (RECORDED.read_bytes(), True),
        (graph(published()), True),
        (constant("conv2d0_w", 1, (1 << 20,), field(4, bytes(4 << 20))), True),
        (node("w", "VariableV2"), True),
        (v1, False),
        (v2, False),
        *((data, False) for data in nameless),
    ):
        for suffix in ("", ".bin", ".pb"):
            path = tmp_path / f"net{suffix}"
            assert tensorflow.claims(path, data[:512]) == is_graph
            assert caffe.claims(path, data[:512]) != is_graph


@pytest.mark.parametrize(
    "start",
    [
        b"\x89HDF\r\n\x1a\n" + bytes(500),
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\n# a text that begins with an empty line, and goes on\n\n",
        b'name: "GoogleNet"\nlayer {\n',
        b"",
        bytes(512),
    ],
)
def test_other_files_are_claimed_by_their_suffix_alone(start: bytes):
    assert not tensorflow.claims(Path("net"), start)
    assert not caffe.claims(Path("net"), start)
    assert tensorflow.claims(Path("net.pb"), start)
    assert caffe.claims(Path("net.caffemodel"), start)


def test_archives_are_claimed():
    assert tensorflow.claims(Path("inception5h"), b"PK\3\4")
    assert caffe.claims(Path("places"), b"\x1f\x8b\x08")
