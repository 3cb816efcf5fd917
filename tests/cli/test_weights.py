"""dreamvid weights, as its users meet it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from server import Page, Server, serving

from dreamvid import cli
from dreamvid.checkpoints import manifest, safetensors
from dreamvid.checkpoints.manifest import Published
from dreamvid.cli import weights
from small import tiny_spec, tiny_tensors

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of networks that is not there yet."""
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def small(web: Server, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A published network whose file lies on the server, and reads as `tiny_spec`."""
    network = replace(
        manifest.published("googlenet_places365"),
        name="small",
        addresses=(web.put("/small", Page(b"small" * 1000)),),
        classes=0,
        labels="",
    )
    broken = replace(network, name="broken", addresses=(web.root + "/gone",))
    monkeypatch.setattr(manifest, "known", lambda: {"broken": broken, "small": network})
    monkeypatch.setattr(
        "dreamvid.checkpoints.foreign.read", lambda *_: (tiny_spec(), tiny_tensors())
    )
    return network


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `dreamvid weights` in this process: (exit code, output, errors)."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dreamvid", "weights", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        code = stop.value.code or 0
        assert isinstance(code, int)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_list_tells_what_is_here_and_what_can_be_had(run: Run, folder: Path):
    code, out, errors = run("list")
    assert (code, errors) == (0, "")
    states = {line.split("  ")[0]: line for line in out.splitlines() if line[0] != " "}
    assert "built in" in states["builtin"]
    for name, network in manifest.known().items():
        assert "can be had" in states[name]
        assert network.licence in states[name]
        assert network.look in out
    assert not folder.exists()
    folder.mkdir()
    safetensors.write(folder / "inception5h.safetensors", tiny_spec(), tiny_tensors())
    safetensors.write(folder / "mine.safetensors", tiny_spec(), tiny_tensors())
    (folder / "bad.safetensors").write_bytes(b"nothing")
    rows = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    assert rows.keys() == {"builtin", "mine", "bad"} | manifest.known().keys()
    assert {name for name, row in rows.items() if row["state"] == "here"} == {
        "inception5h",
        "mine",
        "bad",
    }
    assert rows["mine"]["model"] == "inception_v1"
    assert rows["bad"]["model"] == "damaged"
    assert rows["inception5h"]["path"] == str(folder / "inception5h.safetensors")
    assert rows["bvlc_googlenet"]["digest"].startswith("sha1 ")


def test_a_network_is_fetched_and_used_by_its_name(run: Run, folder: Path, small: Published):
    code, out, errors = run("fetch", "small")
    assert (code, out) == (0, f"{folder / 'small.safetensors'}\n")
    first, *others = errors.splitlines()
    assert first == f"downloading small from {small.addresses[0]}"
    assert others[0] == "converting small"
    assert "nobody has published a digest of small" in others[1]
    assert run("fetch", "small")[::2] == (0, "small is here already\n")
    assert run("path", "small")[:2] == (0, out)
    code, out, _ = run("verify", "small")
    assert (code, out.startswith("small: inception_v1, ")) == (0, True)
    assert run("remove", "small") == (0, "", "")
    code, _, errors = run("path", "small")
    assert (code, "dreamvid weights fetch small" in errors) == (2, True)


def test_all_goes_on_after_a_failure(run: Run, folder: Path, small: Published):
    code, out, errors = run("fetch", "all")
    assert (code, out) == (2, f"{folder / 'small.safetensors'}\n")
    assert "broken cannot be downloaded (http://127" in errors
    assert errors.splitlines()[-1] == "dreamvid: 1 of 2 failed, see above: broken"
    code, _, errors = run("fetch", "broken")
    assert (code, "HTTP error 404" in errors.splitlines()[-1]) == (2, True)


def test_progress_is_told_in_plain_lines(
    run: Run, small: Published, web: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(weights, "QUIET_SECONDS", 0.01)
    web.pages["/small"].drip = 1000
    _, _, errors = run("fetch", "small")
    assert "0.0 MB of 0.0 MB, 0.0 MB/s\n" in errors


def test_an_interrupted_fetch_can_be_gone_on_with(
    run: Run, folder: Path, small: Published, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(weights._Transfers, "advance", interrupted)
    monkeypatch.setattr(cli.os, "_exit", leave)
    code, out, errors = run("fetch", "small")
    assert (code, out) == (3, "")
    assert errors.endswith("dreamvid: interrupted; the same command goes on from here\n")
    assert [path.name for path in folder.iterdir()] == [".unfinished"]


def test_a_file_is_imported(run: Run, folder: Path, tmp_path: Path, small: Published):
    (tmp_path / "some.file").write_bytes(b"what the reader does not look at")
    path = str(tmp_path / "some.file")
    code, out, errors = run("import", path)
    assert (code, out) == (0, f"{folder / 'some.safetensors'}\n")
    assert errors == "some was checked against nothing\n"
    code, out, errors = run("import", path, "--as", "small")
    assert "nobody has published a digest of small" in errors
    code, out, errors = run("import", path, "--as", "small")
    assert (code, "add --overwrite" in errors) == (2, True)
    assert run("import", path, "--as", "small", "--overwrite")[0] == 0
    (folder / "small.safetensors").write_bytes(b"nothing")
    code, out, errors = run("verify")
    assert (code, [line.split(":")[0] for line in out.splitlines()]) == (2, ["builtin", "some"])
    assert errors.startswith(f"{folder / 'small.safetensors'} cannot be read")
    assert errors.endswith("dreamvid: 1 of 3 failed, see above: small\n")


def test_mistakes_are_one_line(run: Run):
    for words in (("fetch", "inception5"), ("remove", "builtin"), ("import", "none.pb")):
        code, out, errors = run(*words)
        assert (code, out, len(errors.splitlines())) == (2, "", 1)


def test_the_commands_explain_themselves(run: Run):
    code, out, _ = run()
    assert code == 0
    group = typer.main.get_command(weights.app)
    names = {"list", "fetch", "import", "verify", "path", "remove"}
    assert group.commands.keys() == names  # type: ignore[attr-defined]
    assert all(name in out for name in names)
    assert all(command.help for command in group.commands.values())  # type: ignore[attr-defined]


def test_looking_around_needs_no_jax():
    program = (
        "import sys; from dreamvid import cli; from dreamvid.cli import weights;"
        "from dreamvid.checkpoints import store, intake;"
        "weights.list_networks(); weights.path(None); assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
