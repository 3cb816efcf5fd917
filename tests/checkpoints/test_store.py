"""How networks are found, loaded, remembered and verified."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from foreigners import foreign_bytes, read_small_ones, small_network
from refusals import assert_file_refused
from safetensors.numpy import save_file

from dreamvid.checkpoints import manifest, safetensors, store
from dreamvid.checkpoints.folder import weights_folder
from dreamvid.errors import UnknownNameError, WeightsError
from small import tiny_spec, tiny_tensors

FILES = Path(__file__).parent / "files"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of networks that is not there yet."""
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def put(path: Path, seed: int = 0, facts: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    safetensors.write(path, tiny_spec(), tiny_tensors(seed), facts=facts)
    return path


def test_the_folder_is_the_platforms_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert weights_folder() == tmp_path / "weights"
    monkeypatch.delenv("DREAMVID_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert weights_folder().name == "weights"
    assert "dreamvid" in str(weights_folder())
    monkeypatch.setenv("DREAMVID_WEIGHTS", "~/nets")
    assert weights_folder() == Path.home() / "nets"


def test_a_home_that_nobody_has_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DREAMVID_WEIGHTS", "~nobody.at.all/nets")
    for look in (store.installed, store.load, lambda: store.find("inception5h")):
        with pytest.raises(WeightsError, match=r"DREAMVID_WEIGHTS is ~nobody\.at\.all/nets, but"):
            look()


def test_looking_makes_no_folder(folder: Path):
    assert list(store.installed()) == ["builtin"]
    with pytest.raises(WeightsError):
        store.find("inception5h")
    assert store.load("auto").spec.architecture == "inception_v1"
    assert not folder.exists()


def test_auto_is_the_famous_one_where_it_is_here(folder: Path):
    assert store.resolve("auto") == "builtin"
    assert store.find("auto") == store.find("builtin")
    path = put(folder / "inception5h.safetensors")
    assert store.resolve("auto") == "inception5h"
    assert store.find("auto") == path
    assert store.load().spec == tiny_spec()
    assert store.digest("auto") == store.digest("inception5h")
    assert store.resolve("some.pth") == "some.pth"


def test_names_are_looked_up_in_the_folder_first(folder: Path, monkeypatch: pytest.MonkeyPatch):
    path = put(folder / "mine.safetensors")
    monkeypatch.chdir(folder)
    Path("mine").touch()
    Path("not a name.safetensors").touch()
    assert store.installed() == {"builtin": store.find("builtin"), "mine": path}
    assert store.find("mine") == path
    assert store.find("./mine") == Path("mine")


def test_only_files_are_networks(folder: Path):
    (folder / "box.safetensors").mkdir(parents=True)
    (folder / "inception5h.safetensors").symlink_to(folder / "nothing")
    (folder / "ring.safetensors").symlink_to(folder / "ring.safetensors")
    path = put(folder / "mine.safetensors")
    (folder / "link.safetensors").symlink_to(path)
    assert store.installed().keys() == {"builtin", "mine", "link"}
    assert store.resolve("auto") == "builtin"
    with pytest.raises(WeightsError, match="inception5h is not here"):
        store.find("inception5h")


def test_what_is_known_but_not_here_is_told_how_to_get():
    for name, network in manifest.known().items():
        with pytest.raises(WeightsError, match=f"dreamvid weights fetch {name}") as told:
            store.load(name)
        assert f"dreamvid weights import FILE --as {name}" in str(told.value)
        assert f"({network.shown_size})" in str(told.value) or not network.shown_size


def test_names_and_paths_that_lead_nowhere(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'inception5h'"):
        store.load("inception_5h")
    for path in ("none.pth", "folder/none", tmp_path / "none.pb"):
        with pytest.raises(WeightsError, match=f"no network at {path}"):
            store.load(path)
    with pytest.raises(WeightsError, match="is a folder"):
        store.load(tmp_path)


def test_a_foreign_file_is_converted_in_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read_small_ones(monkeypatch)
    content = foreign_bytes()
    (tmp_path / "net.xyz").write_bytes(content)
    model = store.load(tmp_path / "net.xyz")
    for name, tensor in tiny_tensors().items():
        np.testing.assert_array_equal(model.to_tensors()[name], tensor)
    assert model.spec.origin == "net.xyz"
    network = small_network(content=content)
    monkeypatch.setattr(manifest, "known", lambda: {"small": network})
    assert store.load(tmp_path / "net.xyz").spec.origin == network.origin  # known by its digest
    assert not folder.exists()


def test_a_file_is_known_by_its_content_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read_small_ones(monkeypatch)
    ours, foreign = put(tmp_path / "ours.pth"), tmp_path / "foreign.safetensors"
    foreign.write_bytes(foreign_bytes())
    assert store.is_ours(ours)
    assert store.load(ours).spec == tiny_spec()
    assert not store.is_ours(foreign)
    assert store.load(foreign).spec.origin == "foreign.safetensors"
    (tmp_path / "torch.safetensors").write_bytes((FILES / "zip.pth").read_bytes())
    with pytest.raises(WeightsError, match=r"tensor '.*', .*, is missing"):
        store.load(tmp_path / "torch.safetensors")


def test_safetensors_of_others_are_foreign_and_damaged_ones_are_nobodys(tmp_path: Path):
    path = tmp_path / "net.safetensors"
    save_file(tiny_tensors(), path)
    assert not store.is_ours(path)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:100], whole[:5], b"", b"\0" * 100, whole[100:]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"net\.safetensors cannot be read as safetensors"):
            store.is_ours(path)
    path = path.rename(tmp_path / "net")
    path.write_bytes(whole[:-1])  # still begins as safetensors do
    with pytest.raises(WeightsError, match="net cannot be read as safetensors"):
        store.is_ours(path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="net is no network"):
        store.is_ours(path)


def test_a_file_too_large_for_any_network_is_not_read(tmp_path: Path):
    path = put(tmp_path / "net.safetensors")
    for name in ("net.safetensors", "net.pth"):
        path = path.rename(tmp_path / name)
        with path.open("r+b") as file:
            file.truncate(manifest.LARGEST_FILE + 1)
        assert_file_refused(path, f"{path} is no .*: it has .* bytes", store.load)


def test_a_converted_network_is_remembered_by_what_decides_its_dreams(tmp_path: Path):
    path = tmp_path / "net.safetensors"

    def digest(seed: int = 0, **changes: object) -> str:
        tensors = tiny_tensors(seed)
        spec = replace(tiny_spec(), **changes)  # type: ignore[arg-type]
        facts = {store.TENSORS: store.digest_of_tensors(tensors), store.CHECKED: str(changes)}
        safetensors.write(path, spec, tensors, facts=facts)
        return store.digest(path)

    same = digest()
    assert {digest(licence="another"), digest(origin="another")} == {same}
    others = {digest(seed=1), digest(mean=(0.0, 0.0, 0.0)), digest(family="caffe")}
    assert len(others | {same}) == 4


def test_tensors_have_a_digest_of_their_own():
    tensors = tiny_tensors()
    same = store.digest_of_tensors(tensors)
    assert store.digest_of_tensors(dict(reversed(tensors.items()))) == same
    changed = tensors | {"conv2d0/bias": np.nextafter(tensors["conv2d0/bias"], 1)}
    renamed = {name.replace("conv2d0", "conv2d9"): tensor for name, tensor in tensors.items()}
    reshaped = {name: tensor.reshape(-1) for name, tensor in tensors.items()}
    digests = {store.digest_of_tensors(t) for t in (tensors, changed, renamed, reshaped)}
    assert len(digests) == 4


def test_a_sound_network_is_told_from_a_damaged_one(folder: Path):
    sha256 = store.digest_of_tensors(tiny_tensors())
    path = put(folder / "mine.safetensors", 0, {store.TENSORS: sha256, store.CHECKED: "sha1 12"})
    told = store.verify("mine")
    assert "inception_v1" in told
    assert "was checked against sha1 12" in told
    put(path, 1, {store.TENSORS: sha256})
    with pytest.raises(WeightsError, match="is damaged"):
        store.verify("mine")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="cannot be read"):
        store.verify("mine")
    assert "no digest to check it against" in store.verify("builtin")
