"""How networks come into the folder, whole or not at all, and leave it."""

import hashlib
import io
import os
import pickle
import shutil
import tarfile
import threading
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
from foreigners import MARK, foreign_bytes, read_small_ones, small_network
from protobufs import net
from refusals import assert_file_refused
from server import Listener, Page, Server

from dreamvid.checkpoints import intake, manifest, safetensors, store
from dreamvid.checkpoints.downloads import Patience
from dreamvid.checkpoints.folder import place_of
from dreamvid.checkpoints.manifest import Digest, Published
from dreamvid.errors import DreamError, UnknownNameError, WeightsError
from dreamvid.models import ModelSpec, inception_v1
from small import random_tensors, tiny_spec, tiny_tensors

HASTY = Patience(seconds=0.5, tries=2, pause=0.01)
CONTENT = foreign_bytes()
FILES = Path(__file__).parent / "files"
Publish = Callable[..., Published]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of networks that is not there yet; dreamvid knows the format of `foreigners`."""
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(tmp_path / "weights"))
    read_small_ones(monkeypatch)
    return tmp_path / "weights"


@pytest.fixture
def publish(web: Server, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Publishes a file as the one network that the manifest knows, called "small"."""

    def publish(content: bytes = CONTENT, told: bool = True, **changed: object) -> Published:
        address = web.put("/small", Page(content))
        network = replace(
            small_network(address, content=content if told else None),
            **changed,  # type: ignore[arg-type]
        )
        monkeypatch.setattr(manifest, "known", lambda: {"small": network})
        return network

    return publish


@pytest.fixture
def network(publish: Publish) -> Published:
    """A small published network."""
    return publish()


def fetch(network: Published) -> list[str]:
    listener = Listener()
    intake.fetch(network, listener, HASTY)
    return listener.lines


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))


def unfinished(folder: Path) -> list[str]:
    hidden = (folder / ".unfinished").glob("*")
    return sorted(path.name for path in hidden if path.suffix != ".lock")


def assert_here(folder: Path, name: str = "small", seed: int = 0) -> None:
    """The network is at hand, whole and alone."""
    facts, tensors = safetensors.read_tensors(store.find(name))
    for key, tensor in tiny_tensors(seed).items():
        np.testing.assert_array_equal(tensors[key], tensor)
    assert facts[store.TENSORS] == store.digest_of_tensors(tensors)
    assert unfinished(folder) == []


def test_a_network_is_fetched_converted_and_kept(folder: Path, network: Published):
    assert fetch(network) == ["converting small"]
    assert visible(folder) == ["small.safetensors"]
    assert_here(folder)
    facts = safetensors.read_facts(store.find("small"))
    assert facts[store.SOURCE] == hashlib.sha256(CONTENT).hexdigest()
    assert facts[store.CHECKED] == f"sha256 {facts[store.SOURCE]}"
    assert "as it was stored" in store.verify("small")
    assert store.load("small").spec.origin == network.origin


def test_what_is_here_is_not_fetched_again(web: Server, network: Published):
    fetch(network)
    assert fetch(network) == ["small is here already"]
    assert len(web.requests) == 1


def test_a_wrong_file_is_not_converted(folder: Path, web: Server, network: Published):
    web.put("/small", Page(CONTENT[::-1]))
    with pytest.raises(WeightsError, match="the file is another"):
        fetch(network)
    assert (visible(folder), unfinished(folder)) == ([], [])


@pytest.mark.parametrize("content", [b"<html>gone</html>", CONTENT[:-1]])
def test_what_is_no_network_is_neither_kept_nor_pinned(
    folder: Path, publish: Publish, content: bytes
):
    with pytest.raises(WeightsError, match=r"is no network|is damaged"):
        fetch(publish(content, told=False))
    assert (visible(folder), unfinished(folder)) == ([], [])


def test_a_network_with_other_classes_is_another(folder: Path, publish: Publish):
    with pytest.raises(WeightsError, match=r"with 0 classes, but small is .* with 5 classes"):
        fetch(publish(classes=5))
    assert (visible(folder), unfinished(folder)) == ([], [])


def test_an_interrupted_conversion_needs_no_second_download(
    folder: Path, web: Server, network: Published, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dreamvid.checkpoints.foreign.read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(network)
    assert (visible(folder), unfinished(folder)) == ([], ["small"])
    fetch(network)
    assert_here(folder)
    assert len(web.requests) == 1


def test_a_first_download_is_pinned_where_nothing_is_published(folder: Path, publish: Publish):
    told = fetch(publish(told=False))
    assert any("nobody has published a digest of small" in line for line in told)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert tomllib.loads((folder / "pins.toml").read_text()) == {"small": sha256}
    assert_here(folder)
    intake.remove("small")
    with pytest.raises(WeightsError, match=f"not {sha256} as the first download had it"):
        fetch(publish(foreign_bytes(seed=1), told=False))
    assert (visible(folder), unfinished(folder)) == (["pins.toml"], [])
    assert fetch(publish(told=False)) == ["converting small"]
    assert_here(folder)


def test_damaged_pins_are_not_overlooked(folder: Path, web: Server, publish: Publish):
    folder.mkdir()
    for text in ("small = ", "small = 5"):
        (folder / "pins.toml").write_text(text)
        with pytest.raises(WeightsError, match=r"pins\.toml is damaged"):
            fetch(publish(told=False))
    assert web.requests == []


def test_who_comes_second_waits_and_finds_it(folder: Path, web: Server, network: Published):
    (folder / ".unfinished").mkdir(parents=True)
    lock = filelock.FileLock(folder / ".unfinished" / "small.lock")
    listener = Listener()
    second = threading.Thread(target=intake.fetch, args=(network, listener, HASTY))
    with lock:
        second.start()
        while not listener.lines:
            assert second.is_alive()
        path = place_of("small")
        safetensors.write(path, tiny_spec(), tiny_tensors())
    second.join(20)
    assert listener.lines == [
        "another dreamvid is at work on small: waiting for it",
        "small is here now",
    ]
    assert web.requests == []


def test_two_that_fetch_at_once_download_once(folder: Path, web: Server, network: Published):
    web.pages["/small"].drip = 50_000
    listeners = Listener(), Listener()
    both = [threading.Thread(target=intake.fetch, args=(network, one, HASTY)) for one in listeners]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    first, second = sorted((listener.lines for listener in listeners), key=len)
    assert first == ["converting small"]
    assert second[0].endswith("waiting for it")
    assert second[1] == "small is here now"
    assert (len(web.requests), web.sent()) == (1, len(CONTENT))
    assert_here(folder)


def test_a_full_disk_is_told_before_and_after_the_download(
    small_disk: Path, web: Server, network: Published, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(small_disk))
    with pytest.raises(WeightsError, match=f"{small_disk} has no room for small, which needs"):
        fetch(network)  # there is room for one of download and network, but not for both
    assert web.requests == []
    (small_disk / "ballast").write_bytes(bytes(100_000))
    (small_disk.parent / "small.xyz").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=f"{small_disk} has no room for small, which needs"):
        intake.import_file(small_disk.parent / "small.xyz")
    assert (visible(small_disk), unfinished(small_disk)) == (["ballast"], [])


def test_a_disk_that_will_be_too_small_is_told_before(
    folder: Path,
    tmp_path: Path,
    web: Server,
    network: Published,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "small.xyz").write_bytes(CONTENT)
    safetensors.write(tmp_path / "mine.safetensors", tiny_spec(), tiny_tensors())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=len(CONTENT) - 500))
    for name in ("small.xyz", "mine.safetensors"):
        with pytest.raises(WeightsError, match=f"{folder} has no room for"):
            intake.import_file(tmp_path / name)
    assert not folder.exists()
    with pytest.raises(WeightsError, match=f"{folder} has no room for small"):
        fetch(network)
    assert (visible(folder), web.requests) == ([], [])


@pytest.mark.parametrize("inside", ["", "weights"])
def test_a_folder_that_takes_no_file_is_named_before_any_work(
    tmp_path: Path,
    web: Server,
    network: Published,
    monkeypatch: pytest.MonkeyPatch,
    inside: str,
):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / inside
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(folder))
    with pytest.raises(WeightsError, match=f"{folder} cannot be written"):
        fetch(network)
    assert web.requests == []
    (tmp_path / "mine.xyz").write_bytes(MARK + b"what could not be converted")
    with pytest.raises(WeightsError, match=f"{folder} cannot be written"):
        intake.import_file(tmp_path / "mine.xyz")


def test_what_is_no_file_is_in_the_way(
    folder: Path, tmp_path: Path, web: Server, network: Published
):
    place_of("small").mkdir(parents=True)
    with pytest.raises(WeightsError, match=r"small\.safetensors is a folder, .*: move it away"):
        fetch(network)
    (tmp_path / "small.xyz").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=r"small\.safetensors is a folder, .*: move it away"):
        intake.import_file(tmp_path / "small.xyz", overwrite=True)
    with pytest.raises(WeightsError, match="small is not here"):
        intake.remove("small")
    place_of("small").rmdir()
    place_of("small").symlink_to(tmp_path / "nothing")
    intake.remove("small")
    assert (visible(folder), web.requests) == ([], [])


def test_a_known_file_is_imported_under_its_published_name(
    folder: Path, tmp_path: Path, network: Published
):
    (tmp_path / "download (1).xyz").write_bytes(CONTENT)
    imported = intake.import_file(tmp_path / "download (1).xyz")
    assert (imported.name, imported.path) == ("small", folder / "small.safetensors")
    assert imported.checked == str(network.digest)
    assert store.load("small").spec.origin == network.origin
    assert_here(folder)
    assert (tmp_path / "download (1).xyz").exists()


def test_an_unknown_file_is_called_after_itself(folder: Path, tmp_path: Path):
    (tmp_path / "my-net.v2.xyz").write_bytes(CONTENT)
    imported = intake.import_file(tmp_path / "my-net.v2.xyz")
    assert (imported.name, imported.checked) == ("my_net_v2", "nothing")
    assert_here(folder, "my_net_v2")


def test_a_file_that_borrows_a_published_name_is_marked(
    folder: Path, tmp_path: Path, network: Published
):
    (tmp_path / "other.xyz").write_bytes(foreign_bytes(seed=1))
    imported = intake.import_file(tmp_path / "other.xyz", "small")
    assert imported.checked == "nothing: the published file of small has another sha256"
    assert imported.checked in store.verify("small")
    spec = store.load("small").spec
    assert (spec.licence, spec.mean) == ("unknown", network.mean)
    assert spec.origin == "other.xyz, which is not the published small"
    assert_here(folder, seed=1)


def test_a_published_file_may_be_given_anothers_name_and_facts(
    folder: Path, tmp_path: Path, network: Published, monkeypatch: pytest.MonkeyPatch
):
    other = replace(network, name="other", digest=Digest("sha256_prefix", "01234567"))
    monkeypatch.setattr(manifest, "known", lambda: {"small": network, "other": other})
    (tmp_path / "small.xyz").write_bytes(CONTENT)
    imported = intake.import_file(tmp_path / "small.xyz", "other")
    assert imported.checked == "nothing: the published file of other has another sha256"
    assert intake.import_file(tmp_path / "small.xyz", "mine").checked == str(network.digest)


def test_where_nothing_is_published_an_import_is_compared_with_the_pin(
    folder: Path, tmp_path: Path, publish: Publish
):
    network = publish(told=False)
    (tmp_path / "small.xyz").write_bytes(CONTENT)
    assert "nobody has published" in intake.import_file(tmp_path / "small.xyz").checked
    intake.remove("small")
    fetch(network)
    assert intake.import_file(tmp_path / "small.xyz", overwrite=True).checked.startswith("sha256 ")
    (tmp_path / "small.xyz").write_bytes(foreign_bytes(seed=1))
    again = intake.import_file(tmp_path / "small.xyz", overwrite=True)
    assert again.checked == "nothing: the published file of small has another sha256"


def test_a_network_of_ours_is_taken_in_as_it_is(folder: Path, tmp_path: Path):
    path = tmp_path / "trained.safetensors"
    safetensors.write(path, tiny_spec(), tiny_tensors(), np.float16, {store.CHECKED: "sha1 12"})
    imported = intake.import_file(path)
    assert (imported.name, imported.checked) == ("trained", "sha1 12")
    assert imported.path.read_bytes() == path.read_bytes()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        intake.import_file(path, "damaged")
    safetensors.write(path, tiny_spec(), tiny_tensors(), facts={store.TENSORS: "0" * 64})
    with pytest.raises(WeightsError, match="is damaged: its tensors have the sha256"):
        intake.import_file(path, "damaged")
    assert (visible(folder), unfinished(folder)) == (["trained.safetensors"], [])


def test_a_network_of_ours_bears_a_published_name_only_if_it_may_be_that_one(
    folder: Path, tmp_path: Path
):
    path = tmp_path / "mine.safetensors"
    safetensors.write(path, tiny_spec(), tiny_tensors())
    for name in ("inception5h", "keras_inception_v3", "bvlc_googlenet"):
        with pytest.raises(WeightsError, match=f"but {name} is .*: it is another network"):
            intake.import_file(path, name)
    assert not folder.exists()
    labelled = replace(tiny_spec("tf"), labels=("class",) * 1008)
    safetensors.write(path, labelled, random_tensors(labelled))
    assert intake.import_file(path, "inception5h").name == "inception5h"


def test_what_a_file_says_cannot_reach_the_terminal_as_it_is(folder: Path, tmp_path: Path):
    path = tmp_path / "mine.safetensors"
    facts = {
        store.CHECKED: "sha1 \x1b[2J12\nsmall was checked",
        store.TENSORS: store.digest_of_tensors(tiny_tensors()),
    }
    safetensors.write(path, tiny_spec(), tiny_tensors(), facts=facts)
    assert intake.import_file(path).checked == "sha1 [2J12"
    assert store.verify("mine").endswith("checked against sha1 [2J12")


def test_a_real_network_is_imported_with_the_input_that_was_published(folder: Path, tmp_path: Path):
    published = manifest.published("bvlc_googlenet")
    spec = ModelSpec(
        published.architecture,
        published.family,
        inception_v1.WIDTHS,
        published.mean,
        published.scale,
        labels=published.label_names(),
    )
    tensors = random_tensors(spec)
    names = inception_v1.NAMES["caffe"]
    layers = {}
    for name in tensors:
        path, _, kind = name.rpartition("/")
        if kind == "kernel":
            kernel = tensors[name]
            if path == "conv2d0":
                kernel = kernel[:, :, ::-1]  # blue first
            layer = "logits" if path == "head" else path.replace("/", "_", 1)
            turned = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
            layers[names[layer]] = [turned, tensors[f"{path}/bias"]]
    (tmp_path / "a.caffemodel").write_bytes(net(layers, version=1, legacy=True))
    imported = intake.import_file(tmp_path / "a.caffemodel", "bvlc_googlenet")
    assert imported.checked == "nothing: the published file of bvlc_googlenet has another sha1"
    model = store.load("bvlc_googlenet")
    assert model.spec == spec
    assert model.spec.labels == spec.labels
    for name, tensor in model.to_tensors().items():
        np.testing.assert_array_equal(tensor, tensors[name], err_msg=name)


def test_nothing_is_replaced_unasked(folder: Path, tmp_path: Path):
    (tmp_path / "mine.xyz").write_bytes(CONTENT)
    intake.import_file(tmp_path / "mine.xyz")
    (tmp_path / "mine.xyz").write_bytes(foreign_bytes(seed=1))
    with pytest.raises(WeightsError, match=r"mine is here already .* --overwrite"):
        intake.import_file(tmp_path / "mine.xyz")
    assert_here(folder, "mine")
    (tmp_path / "bad.xyz").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="is no network"):
        intake.import_file(tmp_path / "bad.xyz", "mine", overwrite=True)
    assert_here(folder, "mine")
    intake.import_file(tmp_path / "mine.xyz", overwrite=True)
    assert_here(folder, "mine", seed=1)


@pytest.mark.parametrize("name", ["builtin", "auto", "a.b", "../a", "a b", "", "x" * 65])
def test_some_names_will_not_do(folder: Path, tmp_path: Path, name: str):
    (tmp_path / "builtin.xyz").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=r"cannot be called .* --as NAME"):
        intake.import_file(tmp_path / "builtin.xyz", name)
    assert not folder.exists()


class Bomb:
    """A pickle that makes a file when it is loaded by who trusts it."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def hostile_files(exploded: Path) -> dict[str, bytes]:
    """Files that no network is in, by names that promise one."""
    pickled = pickle.dumps(Bomb(exploded), protocol=2)
    torch, climbing, tar = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with zipfile.ZipFile(climbing, "w") as archive:
        archive.writestr("../climbed.pb", b"out")
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        link = tarfile.TarInfo("a.caffemodel")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return {
        "empty.pb": b"",
        "text.caffemodel": b"<html>gone</html>" * 100,
        "pickle.pth": pickled,
        "torch.pth": torch.getvalue(),
        "torch.safetensors": torch.getvalue(),
        "climbing.zip": climbing.getvalue(),
        "link.tar.gz": tar.getvalue(),
        "header.safetensors": (1 << 62).to_bytes(8, "little") + b"{" * 100,
        "deep.safetensors": (9000).to_bytes(8, "little") + b"{" + b"[" * 8999,
        "other.h5": (FILES / "keras-2.h5").read_bytes(),
        "cut.h5": (FILES / "keras-2-whole.h5").read_bytes()[:3000],
        "cut.xyz": CONTENT[:-1],
    }


def test_no_hostile_file_leaves_anything(folder: Path, tmp_path: Path):
    for name, content in hostile_files(tmp_path / "exploded").items():
        (tmp_path / name).write_bytes(content)
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.truncate(manifest.LARGEST_FILE + 1)
    os.mkfifo(tmp_path / "pipe.pb")
    (tmp_path / "ring.pb").symlink_to(tmp_path / "ring.pb")
    before = sorted(tmp_path.iterdir())
    for path in (*before, tmp_path, tmp_path / "none.pb", Path("/dev/zero")):
        with pytest.raises(DreamError) as refusal:
            intake.import_file(path, "mine")
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert sorted(tmp_path.iterdir()) == before


def test_what_cannot_be_imported_is_named(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"none\.pb cannot be imported: there is no such file"):
        intake.import_file(tmp_path / "none.pb")
    with pytest.raises(WeightsError, match="cannot be imported: it is a folder"):
        intake.import_file(tmp_path)
    with (tmp_path / "huge.pth").open("wb") as file:
        file.truncate(manifest.LARGEST_FILE + 1)
    assert_file_refused(tmp_path / "huge.pth", f"has .* {1 << 29} bytes", intake.import_file)


def test_a_network_can_be_removed_with_what_a_download_left(
    folder: Path, web: Server, network: Published
):
    fetch(network)
    intake.remove("small")
    web.put("/small", Page(CONTENT, cuts=[1000] * HASTY.tries))
    with pytest.raises(WeightsError, match="the connection was cut"):
        fetch(network)
    assert unfinished(folder) == ["small.part", "small.part.from"]
    intake.remove("small")
    assert (visible(folder), unfinished(folder)) == ([], [])
    with pytest.raises(WeightsError, match="small is not here: there is nothing to remove"):
        intake.remove("small")


def test_some_networks_cannot_be_removed(folder: Path):
    with pytest.raises(WeightsError, match="builtin ships in the package"):
        intake.remove("builtin")
    for name in ("mine", "auto", "../mine"):
        with pytest.raises(UnknownNameError):
            intake.remove(name)
    assert not folder.exists()
