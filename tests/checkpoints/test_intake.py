"""How networks come into the folder, whole or not at all, and leave it."""

import hashlib
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
from foreigners import foreign_bytes, read_foreign, small_network
from server import Page, Server, serving

from dreamvid.checkpoints import intake, manifest, safetensors, store
from dreamvid.checkpoints.downloads import Patience
from dreamvid.checkpoints.manifest import Digest, Published
from dreamvid.errors import UnknownNameError, WeightsError
from small import tiny_spec, tiny_tensors

HASTY = Patience(seconds=0.5, tries=2, pause=0.01)
CONTENT = foreign_bytes()


class Listener:
    """A watcher that remembers what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of networks that is not there yet; foreign files are read as in `foreigners`."""
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("dreamvid.checkpoints.foreign.read", read_foreign)
    return tmp_path / "weights"


@pytest.fixture
def network(web: Server, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A small published network."""
    network = small_network(web.put("/small", Page(CONTENT)), content=CONTENT)
    monkeypatch.setattr(manifest, "known", lambda: {"small": network})
    return network


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
    assert store.load("small").spec.origin == "like small"


def test_what_is_here_is_not_fetched_again(web: Server, network: Published):
    fetch(network)
    assert fetch(network) == ["small is here already"]
    assert len(web.requests) == 1


def test_a_wrong_file_is_not_converted(folder: Path, web: Server, network: Published):
    web.put("/small", Page(CONTENT[::-1]))
    with pytest.raises(WeightsError, match="the file is another"):
        fetch(network)
    assert (visible(folder), unfinished(folder)) == ([], [])


def test_what_is_no_network_is_not_kept(folder: Path, web: Server):
    network = small_network(web.put("/small", Page(b"<html>gone</html>")))
    with pytest.raises(WeightsError, match="is no network"):
        fetch(network)
    assert (visible(folder), unfinished(folder)) == ([], [])


def test_a_network_with_other_classes_is_another(folder: Path, network: Published):
    with pytest.raises(WeightsError, match="has 0 classes, but small has 5"):
        fetch(replace(network, classes=5))
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


def test_a_first_download_is_pinned_where_nothing_is_published(folder: Path, web: Server):
    address = web.put("/small", Page(CONTENT))
    told = fetch(small_network(address))
    assert any("nobody has published a digest of small" in line for line in told)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert tomllib.loads((folder / "pins.toml").read_text()) == {"small": sha256}
    assert_here(folder)
    intake.remove("small")
    web.put("/small", Page(foreign_bytes(seed=1)))
    with pytest.raises(WeightsError, match=f"not {sha256} as the first download had it"):
        fetch(small_network(address))
    assert (visible(folder), unfinished(folder)) == (["pins.toml"], [])
    web.put("/small", Page(CONTENT))
    assert fetch(small_network(address)) == ["converting small"]
    assert_here(folder)


def test_a_download_that_is_no_network_is_not_pinned(folder: Path, web: Server):
    address = web.put("/small", Page(b"<html>gone</html>"))
    with pytest.raises(WeightsError):
        fetch(small_network(address))
    assert visible(folder) == []


def test_damaged_pins_are_not_overlooked(folder: Path, web: Server):
    folder.mkdir()
    for text in ("small = ", "small = 5"):
        (folder / "pins.toml").write_text(text)
        with pytest.raises(WeightsError, match=r"pins\.toml is damaged"):
            fetch(small_network(web.put("/small", Page(CONTENT))))
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
        path = store.place_of("small")
        safetensors.write(path, tiny_spec(), tiny_tensors())
    second.join(20)
    assert listener.lines == [
        "another dreamvid is at work on small: waiting for it",
        "small is here now",
    ]
    assert web.requests == []


# Without conversion, for which each process would import JAX.
FETCHING = """
import hashlib, sys
from pathlib import Path
from dreamvid.checkpoints import intake
from dreamvid.checkpoints.manifest import Digest, Published
class Deaf:
    def begin(self, task, total, done=0): pass
    def advance(self, count): pass
    def say(self, line): print(line)
intake._convert = lambda path, network: (None, {"content": path.read_bytes()})
intake._write = lambda name, _, tensors, facts: intake.place_of(name).write_bytes(*tensors.values())
address, sha256, size = sys.argv[1:]
ones = (1.0, 1.0, 1.0)
intake.fetch(Published("small", "", "", "", (address,), int(size), 0.1, Digest("sha256", sha256),
             ones, ones, "rgb", 0, "", "", "", "", ""), Deaf())
"""


def test_two_processes_that_fetch_at_once_download_once(folder: Path, web: Server):
    address = web.put("/small", Page(CONTENT, drip=10_000))
    words = [sys.executable, "-c", FETCHING, address, hashlib.sha256(CONTENT).hexdigest()]
    both = [
        subprocess.Popen([*words, str(len(CONTENT))], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = sorted(process.communicate(timeout=60)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert told[0].endswith("waiting for it\nsmall is here now\n")
    assert told[1] == "converting small\n"
    assert (len(web.requests), web.sent()) == (1, len(CONTENT))
    assert (folder / "small.safetensors").read_bytes() == CONTENT
    assert unfinished(folder) == []


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


def test_a_folder_that_takes_no_file_is_named(
    tmp_path: Path, network: Published, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=f"{tmp_path / 'file'} cannot be written"):
        fetch(network)


def test_a_known_file_is_imported_under_its_published_name(
    folder: Path, tmp_path: Path, network: Published
):
    (tmp_path / "download (1).xyz").write_bytes(CONTENT)
    imported = intake.import_file(tmp_path / "download (1).xyz")
    assert (imported.name, imported.path) == ("small", folder / "small.safetensors")
    assert imported.checked == str(network.digest)
    assert store.load("small").spec.origin == "like small"
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
    assert imported.checked == "nothing: it is not the published small, whose sha256 differs"
    assert imported.checked in store.verify("small")
    assert store.load("small").spec.origin == "like small"
    assert_here(folder, seed=1)


def test_a_published_file_may_be_given_anothers_name_and_facts(
    folder: Path, tmp_path: Path, network: Published, monkeypatch: pytest.MonkeyPatch
):
    other = replace(network, name="other", digest=Digest("sha256_prefix", "01234567"))
    monkeypatch.setattr(manifest, "known", lambda: {"small": network, "other": other})
    (tmp_path / "small.xyz").write_bytes(CONTENT)
    imported = intake.import_file(tmp_path / "small.xyz", "other")
    assert imported.checked == "nothing: it is not the published other, whose sha256 differs"
    assert intake.import_file(tmp_path / "small.xyz", "mine").checked == str(network.digest)


def test_where_nothing_is_published_an_import_is_compared_with_the_pin(
    folder: Path, tmp_path: Path, web: Server, monkeypatch: pytest.MonkeyPatch
):
    network = small_network(web.put("/small", Page(CONTENT)))
    monkeypatch.setattr(manifest, "known", lambda: {"small": network})
    (tmp_path / "small.xyz").write_bytes(CONTENT)
    assert "nobody has published" in intake.import_file(tmp_path / "small.xyz").checked
    intake.remove("small")
    fetch(network)
    assert intake.import_file(tmp_path / "small.xyz", overwrite=True).checked.startswith("sha256 ")
    (tmp_path / "small.xyz").write_bytes(foreign_bytes(seed=1))
    again = intake.import_file(tmp_path / "small.xyz", overwrite=True)
    assert "it is not the published small" in again.checked


def test_a_network_of_ours_is_taken_in_as_it_is(folder: Path, tmp_path: Path):
    path = tmp_path / "trained.safetensors"
    safetensors.write(path, tiny_spec(), tiny_tensors(), np.float16, {store.CHECKED: "sha1 12"})
    imported = intake.import_file(path)
    assert (imported.name, imported.checked) == ("trained", "sha1 12")
    assert imported.path.read_bytes() == path.read_bytes()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError):
        intake.import_file(path, "damaged")
    assert (visible(folder), unfinished(folder)) == (["trained.safetensors"], [])


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


def test_what_cannot_be_imported_is_named(folder: Path, tmp_path: Path):
    with pytest.raises(WeightsError, match=r"none\.pb cannot be imported: there is no such file"):
        intake.import_file(tmp_path / "none.pb")
    with pytest.raises(WeightsError, match="cannot be imported: it is a folder"):
        intake.import_file(tmp_path)
    (tmp_path / "bad.pb").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"bad\.pb is no network"):
        intake.import_file(tmp_path / "bad.pb")
    assert not folder.exists()


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
