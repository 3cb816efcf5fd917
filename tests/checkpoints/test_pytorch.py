"""A state dict is read without its pickle being run, and hostile files become one line."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_cuts_refused, assert_file_refused, assert_no_damage_surprises

from dreamvid.checkpoints import pickles, pytorch
from dreamvid.checkpoints.conversion import Contents
from dreamvid.checkpoints.pickles import Machine
from dreamvid.checkpoints.pytorch import LAYOUTS, read

FILES = Path(__file__).parent / "files"
STATES = ("zip.pth", "legacy.pth", "protocol-4.pth", "wrapped.pth")
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)


def expected() -> dict[str, np.ndarray]:
    """What make_torch.py stored."""
    values = np.arange(24, dtype=np.float32) / 8 - 1
    return {
        "plain": values.reshape(2, 3, 4),
        "transposed": values.reshape(4, 6).T,
        "strided": values[3:20:4],
        "half": values[:5].astype(np.float16),
        "bfloat16": values[:5],
        "double": values[:5].astype(np.float64),
        "parameter": values[:4],
        "empty": np.zeros((0, 3), np.float32),
        "num_batches_tracked": np.array(7),
    }


# Pickles by hand: what `torch.save` writes, and what it never would.


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    count: int = 6,
    sizes: tuple[int, ...] = (2, 3),
    strides: tuple[int, ...] = (3, 1),
    offset: int = 0,
    key: str = "0",
    kind: str = "Float",
) -> bytes:
    storage = f"ctorch\n{kind}Storage\n".encode() + text(key) + text("cpu") + number(count)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + (text("storage") + storage + b"tQ" + number(offset) + numbers(sizes) + numbers(strides))
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def state(**values: bytes) -> bytes:
    items = b"".join(text(name) + value for name, value in values.items())
    return b"\x80\x02}(" + items + b"u."


def write_zip(path: Path, pickled: bytes, **members: bytes) -> None:
    """`members` by key; six numbers in storage "0" unless told otherwise."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/byteorder", members.pop("byteorder", b"little"))
        for key, data in ({"0": np.arange(6, dtype="<f4").tobytes()} | members).items():
            archive.writestr(f"net/data/{key}", data)


def write_legacy(path: Path, pickled: bytes, keys: object = ("0",), count: int = 6) -> None:
    parts = [MAGIC, pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2), pickled]
    data = np.arange(6, dtype="<f4").tobytes()
    listed = pickle.dumps(list(keys) if isinstance(keys, tuple) else keys, 2)
    path.write_bytes(b"".join([*parts, listed, count.to_bytes(8, "little"), data]))


# The legacy form lists a storage that such a pickle does not mention.
NO_TENSORS = "holds no tensors|list of storages does not fit"
WRITERS = (write_zip, write_legacy)
Writer = Callable[[Path, bytes], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.pth"


@pytest.mark.parametrize("name", STATES)
def test_what_pytorch_saved_is_read(name: str):
    path = FILES / name
    assert pytorch.claims(path, path.read_bytes()[:512])
    found = read(path).tensors
    assert found.keys() == expected().keys()
    for tensor_name, tensor in expected().items():
        assert found[tensor_name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[tensor_name], tensor)


@pytest.mark.parametrize("write", WRITERS)
def test_the_hand_made_files_are_right_ones(path: Path, write: Writer):
    write(path, state(a=tensor()))
    assert pytorch.claims(path, path.read_bytes()[:512])
    np.testing.assert_array_equal(read(path).tensors["a"], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_a_training_scripts_state_is_found(path: Path, wrapper: str):
    inner = state(**{"module.a": tensor()})[2:-1]
    write_zip(path, state(epoch=number(3), best=tensor(sizes=(), strides=()), **{wrapper: inner}))
    assert set(read(path).tensors) == {"a"}


def test_a_zip_of_another_kind_is_not_claimed(path: Path):
    for member, claimed in (("net/data.txt", False), ("x" * 600, False), ("net/data.pkl", True)):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("first.txt", "x" * 600)
            archive.writestr(member, "")
        assert pytorch.claims(path, path.read_bytes()[:512]) == claimed
    assert not pytorch.claims(path, b"PK\x05\x06")
    assert not pytorch.claims(path, b"")


@pytest.mark.parametrize("name", ["module.pth", "module-legacy.pth"])
def test_a_pickled_module_is_refused_by_its_class(name: str):
    assert_file_refused(FILES / name, r"'torch.nn.modules.linear.Linear'.*state_dict\(\)", read)


class Shell:
    """Unpickled, it runs a command."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("write", WRITERS)
def test_no_code_of_a_pickle_runs(path: Path, write: Writer, protocol: int):
    trace = path.parent / "trace"
    evil = pickle.dumps({"a": Shell(f"touch {trace}")}, protocol)
    write(path, evil)
    assert_file_refused(
        path, r"asks for ('posix\.system'|'nt\.system'|the pickle instruction)", read
    )
    assert not trace.exists()
    pickle.loads(evil)
    assert trace.exists()  # the pickle does what it says, where it is run


@pytest.mark.parametrize(
    ("pickled", "complaint"),
    [
        (b"cos\nsystem\n", r"'os\.system'"),
        (b"cos.path\njoin\n", r"'os\.path\.join'"),
        (b"cos\npath.join\n", r"'os\.path\.join'"),
        (b"cbuiltins\neval\n", r"'builtins\.eval'"),
        (b"\x8c\x02os\x8c\x06system\x93", r"'os\.system'"),
        (b"\x8c\x0ctorch._utils\x8c\x0b__globals__\x93", r"'torch\._utils\.__globals__'"),
        (b"(ios\nsystem\n", r"'os\.system'"),
        (b"(X\x02\0\0\0lscos\nsystem\no", r"'os\.system'"),
        (b"(ccollections\nOrderedDict\no", "instruction OBJ"),
        (b"ccollections\nOrderedDict\n)\x81", "instruction NEWOBJ"),
        (b"ccollections\nOrderedDict\n)}\x92", "instruction NEWOBJ_EX"),
        (b"\x82\x01", "instruction EXT1"),
        (b"Pstorage\n", "instruction PERSID"),
        (b"S'\\m'\n", "instruction STRING"),
        (b"cos\\m\nsystem\n", r"'os\\\\m\.system'"),
        (b"\x97", "instruction NEXT_BUFFER"),
        (b"ctorch\nComplexFloatStorage\n", r"'torch\.ComplexFloatStorage'"),
        (b"cnumpy\nload\xe9\n", "makes no sense"),
        (b"c" + b"x" * 10_000 + b"\nsystem\n", r"xxx \.\.\.'"),
        (b"ccollections\nOrderedDict\n}b", "makes no sense"),
        (b"ccollections\nOrderedDict\n(K\x01tR", "makes no sense"),
        (b"ctorch\nFloatStorage\n)R", "makes no sense"),
        (text("os.system") + b"(" + text("ls") + b"tR", "makes no sense"),
        (b"]" + text("system") + b"\x93", "makes no sense"),
        (b"", "makes no sense"),
        (b"R", "makes no sense"),
        (b"t", "makes no sense"),
        (b"\x86", "makes no sense"),
        (b"h\x07", "makes no sense"),
        (b"}(K\x01u", "makes no sense"),
        (b"}" + b")\x85" + b"Ns", "makes no sense"),
        (b"}" + number(1 << 900) + b"Ns", "makes no sense"),
        (b"]", NO_TENSORS),
        (b"}", NO_TENSORS),
        (b"K\x01", NO_TENSORS),
        (state(a=number(1))[2:-1], NO_TENSORS),
    ],
)
@pytest.mark.parametrize("write", WRITERS)
def test_what_no_state_dict_asks_for_is_refused(
    path: Path, write: Writer, pickled: bytes, complaint: str
):
    write(path, b"\x80\x02" + pickled + b".")
    assert_file_refused(path, complaint, read)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x8b\xff\xff\xff\x7f1234",  # LONG4 of two thousand million bytes
        b"X\xff\xff\xff\xff1234",
        b"\x8d" + (1 << 60).to_bytes(8, "little") + b"1234",
        b"\x8e" + (1 << 60).to_bytes(8, "little") + b"1234",
        b"\x95" + (1 << 60).to_bytes(8, "little"),
        b"Nr\xff\xff\xff\xff",  # the memo's four thousand millionth entry
        b"N" * 300_000,
        b"N" + b"\x85" * 50_000,  # tuples in tuples
        b"(" * 30_000 + b"t" * 30_000,
        b"]" * 30_000 + b"a" * 30_000,
        b"]q\x00" + b"h\x00h\x00h\x00e" * 1000,
        b"]q\x00h\x00a",  # a list that holds itself
        b"}q\x00" + text("state_dict") + b"h\x00s",
        b"}q\x00(" + text("model") + b"h\x00" + text("state_dict") + b"h\x00u",
    ],
)
@pytest.mark.parametrize("write", WRITERS)
def test_a_pickle_that_claims_the_world_is_refused_at_once(
    path: Path, write: Writer, pickled: bytes
):
    write(path, b"\x80\x02" + pickled + b".")
    assert_file_refused(path, f"makes no sense|too long|{NO_TENSORS}", read)


@pytest.mark.parametrize("write", WRITERS)
def test_a_pickle_without_an_end_is_refused(path: Path, write: Writer):
    write(path, state(a=tensor())[:-1])
    assert_file_refused(path, "damaged", read)


def test_a_pickle_is_bounded_in_bytes_and_instructions(path: Path, monkeypatch):
    write_zip(path, state(a=tensor()))
    read(path)
    for module, bound in ((pickles, "MOST_INSTRUCTIONS"), (pytorch, "LONGEST_PICKLE")):
        with monkeypatch.context() as patch:
            patch.setattr(module, bound, 5)
            assert_file_refused(path, "too long", read)


def test_nothing_but_words_and_descriptions_comes_of_a_pickle(path: Path):
    machine = Machine(path)
    value = machine.run(io.BytesIO(state(a=tensor(), b=b"ctorch\nSize\n(" + numbers((2,)) + b"tR")))
    storage = pickles.Storage("Float", "0", 6)
    assert value == {"a": pickles.Tensor(storage, 0, (2, 3), (3, 1)), "b": (2,)}
    assert machine.storages == {"0": storage}


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (tensor(sizes=(3, 3)), r"tensor 'a' \(3, 3\) reaches beyond its storage"),
        (tensor(offset=1), "beyond"),
        (tensor(offset=-1), "beyond"),
        (tensor(strides=(-3, 1), offset=3), "beyond"),
        (tensor(sizes=(-2, -3)), "beyond"),
        (tensor(sizes=(1 << 31,), strides=(0,)), "beyond"),
        (tensor(sizes=(1 << 31,), strides=(1,)), "beyond"),
        (tensor(sizes=(1 << 40, 1 << 40), strides=(0, 0)), "beyond"),
        (tensor(sizes=(0, 1 << 40), strides=(1, 1)), "beyond"),
        (tensor(sizes=(2, 2), strides=(1 << 46, 1)), "beyond"),
        (tensor(sizes=(1 << 900,), strides=(1,)), "makes no sense"),
        (tensor(sizes=(2, 3), strides=(1,)), "makes no sense"),
        (tensor(sizes=(1,) * 9, strides=(1,) * 9), "makes no sense"),
        (tensor(count=-6), "makes no sense"),
        (tensor(count=1 << 60), "makes no sense"),
        (tensor(count=6) + b"0" + tensor(count=5), "instruction POP"),
        (tensor(kind="Quantum"), r"'torch\.QuantumStorage'"),
        (tensor(count=1 << 40), "claims more|cut short"),
        (tensor(count=7), "has 24 of its 28 bytes|cut short"),
        (tensor(key="1" * 1000), "makes no sense"),
        (tensor(key="1"), "'net/data/1' is missing|does not fit"),
    ],
)
@pytest.mark.parametrize("write", WRITERS)
def test_a_tensor_that_does_not_fit_its_storage_is_refused(
    path: Path, write: Writer, made: bytes, complaint: str
):
    write(path, state(a=made))
    assert_file_refused(path, complaint, read)


def test_one_storage_has_one_length_and_type(path: Path):
    for other in (tensor(count=5, sizes=(5,), strides=(1,)), tensor(kind="Int")):
        write_zip(path, state(a=tensor(), b=other))
        assert_file_refused(path, "makes no sense", read)


def test_strides_along_an_axis_of_one_do_not_matter(path: Path):
    write_zip(path, state(a=tensor(sizes=(1, 3), strides=(1 << 46, 2))))
    np.testing.assert_array_equal(read(path).tensors["a"], [[0, 2, 4]])


@pytest.mark.parametrize("keys", [(), "0", ("0", "1"), ("0", 7), ("0", []), ("0", "0")])
def test_a_legacy_files_list_of_storages_must_fit(path: Path, keys: object):
    write_legacy(path, state(a=tensor()), keys)
    assert_file_refused(path, "does not fit|is missing|cut short|damaged", read)


def test_a_legacy_storages_own_length_must_fit(path: Path):
    write_legacy(path, state(a=tensor()), count=7)
    assert_file_refused(path, "storage '0' has another length", read)


def test_a_bomb_is_refused_before_it_is_unpacked(path: Path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", state(a=tensor(count=1 << 24, sizes=(1,), strides=(1,))))
        archive.writestr("net/data/0", bytes(1 << 26))
    assert_file_refused(path, "is compressed", read)


@pytest.mark.parametrize("large", [False, True])
def test_a_crowd_of_members_is_refused_before_it_is_listed(path: Path, large: bool):
    whole = (FILES / "zip.pth").read_bytes()
    place, count = (len(whole) - 98 + 40, 8) if large else (len(whole) - 22 + 12, 4)
    path.write_bytes(whole[:place] + (50 << 20).to_bytes(count, "little") + whole[place + count :])
    assert_file_refused(path, "too many members", read)
    path.write_bytes(b"PK\3\4" + path.read_bytes())
    assert not pytorch.claims(path, b"PK\3\4")


def test_members_that_share_their_bytes_are_refused(path: Path):
    write_zip(path, state(a=tensor()), **{"1": bytes(4000)})
    data = bytearray(path.read_bytes())
    # The directory's entry of "0" says that it is as large as the whole file.
    place = data.rindex(b"net/data/0") - 46
    data[place + 20 : place + 28] = len(data).to_bytes(4, "little") * 2
    path.write_bytes(data)
    assert_file_refused(path, "its parts claim more than the file's size", read)


@pytest.mark.parametrize(
    "name",
    ["../evil", "net/../../evil", "/etc/evil", "net\\..\\evil", "../" + "\n" * 500],
    ids=repr,
)
def test_members_that_would_lie_elsewhere_are_refused(path: Path, name: str):
    write_zip(path, state(a=tensor()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "")
    assert_file_refused(path, "is not to be trusted: its member .* would be unpacked outside", read)


def test_a_zip_without_or_with_two_pickles_is_refused(path: Path):
    write_zip(path, state(a=tensor()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", "")
    assert_file_refused(path, r"2 named data\.pkl", read)


def test_a_big_endian_file_is_refused(path: Path):
    write_zip(path, state(a=tensor()), byteorder=b"big")
    assert_file_refused(path, "big-endian", read)
    write_zip(path, state(a=tensor()), byteorder=b"little" + bytes(40 << 20))
    assert_file_refused(path, "big-endian", read)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])
def test_a_file_cut_short_is_refused(path: Path, name: str):
    whole = (FILES / name).read_bytes()
    cuts = range(0, len(whole), 7)
    assert_cuts_refused(path, whole, cuts, "cannot be read|damaged|cut short", read)


def test_a_storage_that_nobody_needs_is_not_read(path: Path):
    write_zip(path, state(a=tensor(), optimizer=b"}" + text("b") + tensor(key="9") + b"s"))
    assert set(read(path).tensors) == {"a"}


@pytest.mark.parametrize("name", STATES)
def test_damage_never_surprises(path: Path, name: str):
    path.write_bytes((FILES / name).read_bytes())
    assert_no_damage_surprises(path, read, tries=150)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.architecture)
def test_batch_norm_is_folded_into_the_transposed_kernel(layout):
    rng = np.random.default_rng(0)
    name = layout.mark.removesuffix(".conv.weight")
    kernel = rng.standard_normal((5, 4, 2, 3), np.float32)
    gamma, beta, mean, variance = rng.uniform(0.5, 1, (4, 5)).astype(np.float32)
    parts = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
    tensors = {f"{name}.bn.{part}": value for part, value in parts.items()}
    contents = Contents(Path("x.pth"), tensors | {layout.mark: kernel})
    layer = {"inception_v1": "mixed3a_1x1", "inception_v3": "mixed0_1x1"}[layout.architecture]
    folded, bias = layout.convolution(contents, layer, (2, 3, 4, 5))
    window = rng.standard_normal((2, 3, 4), np.float32)
    before = np.einsum("oihw,hwi->o", kernel, window)
    after = (before - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(np.einsum("hwio,hwi->o", folded, window) + bias, after, rtol=1e-4)
    assert_file_refused(
        contents.path,
        rf"'{layout.mark}' is \(5, 4, 2, 3\), but .* \(5, 4, 3, 3\)",
        lambda _: layout.convolution(contents, layer, (3, 3, 4, 5)),
    )


def test_the_classifier_is_transposed_and_may_be_absent():
    weight = np.arange(6.0).reshape(2, 3)
    head = LAYOUTS[0].head
    contents = Contents(Path("x.pth"), {"fc.weight": weight, "fc.bias": np.array([7.0, 8.0])})
    found = head(contents, 3)
    assert found is not None
    np.testing.assert_array_equal(found[0], weight.T)
    np.testing.assert_array_equal(found[1], [7, 8])
    assert head(Contents(Path("x.pth"), {}), 3) is None
    assert_file_refused(
        contents.path,
        r"'fc.weight' is \(2, 3\), but the network needs \(2, 4\)",
        lambda _: head(contents, 4),
    )
