"""A download ends right or in one line, and what is wrong never gets its name."""

import hashlib
import http.client
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from server import Listener, Page, Server

from dreamvid.checkpoints import manifest
from dreamvid.checkpoints.downloads import Patience, download
from dreamvid.checkpoints.manifest import Digest
from dreamvid.errors import WeightsError

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())
HASTY = Patience(seconds=0.3, tries=3, pause=0.01)


class Interrupted(Listener):
    """Presses Ctrl-C in the middle."""

    def advance(self, count: int) -> None:
        super().advance(count)
        if self.here > len(BODY) // 2:
            raise KeyboardInterrupt


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "net"


def get(
    target: Path,
    *addresses: str,
    size: int = len(BODY),
    digest: Digest | None = SHA256,
    patience: Patience = HASTY,
) -> Listener:
    listener = Listener()
    download(addresses, target, size, digest, listener, patience)
    return listener


def refused(target: Path, *addresses: str, size: int = len(BODY), digest: Digest | None = SHA256):
    """What is said where nothing can be had; nothing but a part may be left."""
    with pytest.raises(WeightsError) as refusal:
        get(target, *addresses, size=size, digest=digest)
    assert not target.exists()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_file_comes_whole_and_alone(web: Server, target: Path):
    listener = get(target, web.put("/net", Page(BODY)))
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]
    assert (listener.begun, listener.here) == ([(len(BODY), 0)], len(BODY))


@pytest.mark.parametrize("length", [True, False])
def test_it_may_come_without_anything_known_of_it(web: Server, target: Path, length: bool):
    get(target, web.put("/net", Page(BODY, length=length)), size=0, digest=None)
    assert target.read_bytes() == BODY


def test_what_is_here_is_not_fetched_again(web: Server, target: Path):
    target.write_bytes(BODY)
    get(target, web.put("/net", Page(BODY)))
    assert web.requests == []


def test_a_cut_connection_is_taken_up_where_it_broke(web: Server, target: Path):
    get(target, web.put("/net", Page(BODY, cuts=[100_000, 50_000])))
    assert target.read_bytes() == BODY
    assert web.ranges() == [None, "bytes=100000-", "bytes=150000-"]
    assert web.sent() == len(BODY)


def test_a_line_that_keeps_breaking_brings_the_file_in_the_end(web: Server, target: Path):
    get(target, web.put("/net", Page(BODY, cuts=[70_000] * 4)))
    assert len(web.requests) == 5 > HASTY.tries
    assert target.read_bytes() == BODY


def test_a_line_that_gets_no_further_is_left(web: Server, target: Path):
    pages = {
        "wrong to the end": Page(BODY[::-1], cuts=[150_000, 150_000] * 99),
        "from the start each time": Page(BODY, ranges=False, cuts=[100_000, 200_000] * 99),
        "from elsewhere": Page(BODY, shift=1, cuts=[150_000, 0] * 99),
    }
    for name, page in pages.items():
        before = len(web.requests)
        refused(target, web.put("/net", page))
        assert len(web.requests) - before < 10, name


def test_a_server_that_cuts_at_once_is_left(web: Server, target: Path):
    cutting, good = web.put("/cut", Page(BODY, cuts=[1000] * 9)), web.put("/good", Page(BODY))
    listener = get(target, cutting, good)
    assert [request.path for request in web.requests] == ["/cut"] * HASTY.tries + ["/good"]
    assert web.ranges()[-1] == f"bytes={1000 * HASTY.tries}-"  # the digest covers the joint
    assert listener.lines[0].startswith(
        f"no luck with {cutting}: the connection was cut at 3000 of"
    )


def test_a_server_without_ranges_sends_all_again(web: Server, target: Path):
    get(target, web.put("/net", Page(BODY, ranges=False, cuts=[200_000])))
    assert target.read_bytes() == BODY
    assert web.ranges() == [None, "bytes=200000-"]


def test_another_version_of_the_file_is_not_mixed_in(web: Server, target: Path):
    page = Page(BODY[::-1], cuts=[100_000, 0, 0], tag='"old"')
    address = web.put("/net", page)
    refused(target, address, digest=None)
    web.put("/net", Page(BODY, tag='"new"'))
    get(target, address, digest=None)
    assert target.read_bytes() == BODY
    assert web.requests[-1].if_range == '"old"'


def test_without_digest_nothing_is_joined_that_no_tag_vouches_for(web: Server, target: Path):
    address = web.put("/net", Page(BODY, cuts=[100_000], tag=""))
    get(target, address, digest=None)
    assert target.read_bytes() == BODY
    assert web.ranges() == [None, None]


def test_an_interrupted_download_goes_on(web: Server, target: Path):
    address = web.put("/net", Page(BODY))
    with pytest.raises(KeyboardInterrupt):
        download([address], target, len(BODY), SHA256, Interrupted(), HASTY)
    (had,) = [path.stat().st_size for path in target.parent.glob("*.part")]
    assert len(BODY) // 2 < had < len(BODY)
    listener = get(target, address)
    assert (web.ranges()[-1], listener.begun) == (f"bytes={had}-", [(len(BODY), had)])
    assert target.read_bytes() == BODY


KILLED = """
import sys
from pathlib import Path
from server import Listener
from dreamvid.checkpoints.downloads import download
download([sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]), None, Listener())
"""


def test_a_killed_download_goes_on(web: Server, target: Path):
    address = web.put("/net", Page(BODY, stall=150_000))
    words = [sys.executable, "-c", KILLED, address, str(target), str(len(BODY))]
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(words, env=os.environ | {"PYTHONPATH": tests}) as process:
        assert web.stalled.wait(20)
        part = target.with_name("net.part")
        while not (part.exists() and part.stat().st_size == 150_000):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not target.exists()
    web.put("/net", Page(BODY))
    get(target, address, digest=None)
    assert web.ranges() == [None, "bytes=150000-"]
    assert target.read_bytes() == BODY


def test_wherever_it_is_killed_no_two_versions_are_mixed(
    web: Server, target: Path, monkeypatch: pytest.MonkeyPatch
):
    def killed_before(count: int) -> bool:
        """Whether a download is killed when it opens a file for the count-th time."""
        opened = io.open
        left = count

        def fateful(path: Path, *words: object, **named: object) -> object:
            nonlocal left
            left -= Path(path).parent == target.parent
            if left < 0:
                raise KeyboardInterrupt
            return opened(path, *words, **named)  # type: ignore[call-overload]

        with monkeypatch.context() as patch:
            patch.setattr(io, "open", fateful)
            try:
                get(target, address, digest=None)
            except KeyboardInterrupt:
                return True
        return False

    count, killed = 0, True
    while killed:
        target.unlink(missing_ok=True)
        address = web.put("/net", Page(BODY[::-1], cuts=[100_000, 0, 0], tag='"old"'))
        refused(target, address, digest=None)
        web.put("/net", Page(BODY, tag='"new"'))
        killed = killed_before(count)
        get(target, address, digest=None)
        assert target.read_bytes() == BODY
        count += 1
    assert count > 3


def test_a_part_that_was_whole_already_is_only_checked(web: Server, target: Path):
    address = web.put("/net", Page(BODY))
    target.with_name("net.part").write_bytes(BODY)
    get(target, address)
    assert (target.read_bytes(), web.requests) == (BODY, [])
    target.rename(target.with_name("net.part"))
    get(target, address, size=0)  # only the server knows, and says so with an error 416
    assert (target.read_bytes(), web.ranges()) == (BODY, [f"bytes={len(BODY)}-"])


@pytest.mark.parametrize("junk", [b"x" * 1000, b"x" * 300_000, b"x" * 400_000])
@pytest.mark.parametrize("size", [len(BODY), 0])
def test_a_part_of_something_else_is_given_up(web: Server, target: Path, junk: bytes, size: int):
    target.with_name("net.part").write_bytes(junk)
    get(target, web.put("/net", Page(BODY)), size=size)
    assert target.read_bytes() == BODY


def test_a_wrong_file_never_gets_the_name(web: Server, target: Path):
    wrong = web.put("/wrong", Page(BODY[::-1]))
    line = refused(target, wrong)
    assert f"its sha256 is {hashlib.sha256(BODY[::-1]).hexdigest()}, not {SHA256.value}" in line
    assert "dreamvid weights import FILE --as net" in line
    assert list(target.parent.iterdir()) == []
    get(target, wrong, web.put("/right", Page(BODY)))
    assert target.read_bytes() == BODY


def test_a_file_of_another_size_is_not_even_fetched(web: Server, target: Path):
    line = refused(target, web.put("/net", Page(BODY + b"more")))
    assert "300004 bytes, not 300000" in line
    assert list(target.parent.iterdir()) == []


def test_a_server_that_sends_for_ever_is_stopped(
    web: Server, target: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(manifest, "LARGEST_FILE", 100_000)
    line = refused(target, web.put("/net", Page(BODY, length=False)), size=0)
    assert "sends more than 100000 bytes" in line
    assert list(target.parent.iterdir()) == []
    assert "300000 bytes, not 100000" in refused(target, web.put("/net", Page(BODY)), size=0)


def test_dead_mirrors_are_passed_over(web: Server, target: Path):
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}/net"
        missing, broken = web.put("/gone", Page(status=404)), web.put("/bad", Page(status=503))
        listener = get(target, dead, missing, broken, web.put("/net", Page(BODY)))
        assert target.read_bytes() == BODY
        assert [request.path for request in web.requests] == ["/gone"] + ["/bad"] * 3 + ["/net"]
        assert len(listener.lines) == 3
        line = refused(target.with_name("other"), dead, missing, broken)
    for told in (f"{dead}: Connection refused", f"{missing}: HTTP error 404", "HTTP error 503"):
        assert told in line


@pytest.mark.parametrize("page", [Page(BODY, stall=0), Page(BODY, stall=500), Page(BODY, drip=10)])
def test_a_server_that_falls_silent_or_nearly_so_is_left(web: Server, target: Path, page: Page):
    silent, good = web.put("/silent", page), web.put("/net", Page(BODY))
    listener = get(target, silent, good, patience=replace(HASTY, tries=1))
    assert target.read_bytes() == BODY
    assert "no answer in time" in listener.lines[0]


def test_no_network_at_all_is_one_line(target: Path, monkeypatch: pytest.MonkeyPatch):
    def unreachable(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    line = refused(target, "https://one.example/net", "https://two.example/net")
    assert line.count("Temporary failure in name resolution") == 2
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/net", "net", "data:,x"])
def test_only_the_web_is_asked(web: Server, target: Path, address: str):
    assert f"{address}: is neither http nor https" in refused(target, address)
    line = refused(target, web.put("/net", Page(redirect=address if ":" in address else "ftp://x")))
    assert re.search("redirect", line, re.IGNORECASE)
    assert list(target.parent.iterdir()) == []


def test_a_redirection_within_the_web_is_followed_with_its_range(web: Server, target: Path):
    web.put("/there", Page(BODY, cuts=[100_000]))
    get(target, web.put("/net", Page(redirect="/there")))
    assert target.read_bytes() == BODY
    assert web.ranges() == [None, None, "bytes=100000-", "bytes=100000-"]


class Unencrypted(http.client.HTTPConnection):
    """Stands in for https, for which the server would need a certificate."""

    def __init__(self, host: str, *, timeout: float, **_: object):
        super().__init__(host, timeout=timeout)


def test_no_redirection_leads_from_https_to_http(
    web: Server, target: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http.client, "HTTPSConnection", Unencrypted)
    secure = web.put("/net", Page(redirect="/there")).replace("http:", "https:")
    there = web.put("/there", Page(BODY))
    get(target, secure)
    assert target.read_bytes() == BODY
    target.unlink()
    web.put("/net", Page(redirect=there))
    assert f"redirects to {there}, which is not https" in refused(target, secure)


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1", "1, 2"])
def test_a_length_that_is_no_length_counts_as_none(web: Server, target: Path, length: str):
    get(target, web.put("/net", Page(BODY, headers={"Content-Length": length})), size=0)
    assert target.read_bytes() == BODY


class Mute(Listener):
    """A watcher whose output nobody reads any more."""

    def advance(self, count: int) -> None:
        raise BrokenPipeError


def test_a_watchers_own_trouble_is_not_the_networks(web: Server, target: Path):
    with pytest.raises(BrokenPipeError):
        download([web.put("/net", Page(BODY))], target, len(BODY), SHA256, Mute(), HASTY)
    assert len(web.requests) == 1


@pytest.mark.parametrize("length", [True, False])  # known beforehand, or met on the way
def test_a_full_disk_is_named(web: Server, small_disk: Path, length: bool):
    address = web.put("/net", Page(BODY, length=length))
    line = refused(small_disk / "net", address, size=0)
    assert line.startswith(f"{small_disk} has no room for net, which needs ")
    assert "DREAMVID_WEIGHTS" in line
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("begun", [True, False])
def test_a_disk_that_will_be_too_small_is_named_before(
    web: Server, target: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
):
    if begun:
        target.with_name("net.part").write_bytes(BODY[:100_000])
    need = len(BODY) - 100_000 * begun
    usage = shutil.disk_usage(target.parent)
    address = web.put("/net", Page(BODY))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=need - 1))
        line = refused(target, address)
        assert f"needs {need / 1e6:.1f} MB more there" in line
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=need))
        get(target, address)
    assert target.read_bytes() == BODY


def test_a_folder_that_takes_no_file_is_named(web: Server, tmp_path: Path):
    (tmp_path / "file").touch()
    line = refused(tmp_path / "file" / "net", web.put("/net", Page(BODY, length=False)), size=0)
    assert line.startswith(f"{tmp_path / 'file'} cannot be written (Not a directory)")
