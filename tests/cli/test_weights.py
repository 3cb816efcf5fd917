"""dreamvid weights, as its users meet it."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import typer
from conftest import Run
from foreigners import foreign_bytes, read_small_ones, small_network
from safetensors.numpy import save_file
from server import Page, Server

from dreamvid.checkpoints import manifest, safetensors
from dreamvid.checkpoints.manifest import Published
from dreamvid.cli import progress, weights
from small import tiny_spec, tiny_tensors

CONTENT = foreign_bytes()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of networks that is not there yet."""
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def small(web: Server, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A small published network whose file lies on the server, beside one whose file is gone."""
    read_small_ones(monkeypatch)
    network = small_network(web.put("/small", Page(CONTENT)))
    broken = replace(network, name="broken", addresses=(web.root + "/gone",))
    monkeypatch.setattr(manifest, "known", lambda: {"broken": broken, "small": network})
    return network


@pytest.fixture
def run(run: Run) -> Run:
    """Runs `dreamvid weights`."""
    return partial(run, "weights")


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
    assert run("remove", "small") == (0, "", "removed small\n")
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
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.01)
    web.pages["/small"].drip = 50_000
    _, _, errors = run("fetch", "small")
    total = f"{len(CONTENT) / 1e6:.1f} MB"
    lines = [line for line in errors.splitlines() if re.search(f"MB of {total}, .* MB/s$", line)]
    assert len(lines) > 1
    assert lines[0].startswith("0.1 MB")


def test_on_a_terminal_it_shows_a_bar(
    run: Run, folder: Path, small: Published, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dreamvid.cli.progress._on_a_terminal", lambda: True)
    code, out, errors = run("fetch", "small")
    assert (code, out) == (0, f"{folder / 'small.safetensors'}\n")
    assert f"of {len(CONTENT) / 1e6:.1f} MB, " in errors
    assert errors.index("MB/s") < errors.index("converting small")


class Unread(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_fetch_goes_on_where_nobody_can_hear_of_it(
    run: Run, folder: Path, small: Published, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Unread())
        assert run("fetch", "small")[:2] == (0, f"{folder / 'small.safetensors'}\n")
    assert run("verify", "small")[0] == 0


PROGRAM = """
import sys
from dreamvid import cli
from dreamvid.checkpoints import manifest
from dreamvid.checkpoints.manifest import Published
ones = 1.0, 1.0, 1.0
network = Published(
    "small", "", "", "", (sys.argv.pop(),), 0, 0.0, None, ones, ones, "rgb", 0, "", "", "", "", ""
)
manifest.known = lambda: {"small": network}
cli.main()
"""


def test_an_interrupted_fetch_can_be_gone_on_with(
    run: Run, folder: Path, small: Published, web: Server
):
    web.pages["/small"].stall = 100_000
    words = [sys.executable, "-c", PROGRAM, "weights", "fetch", "small", *small.addresses]
    with subprocess.Popen(words, stdout=-1, stderr=-1, text=True) as process:
        assert web.stalled.wait(20)
        part = folder / ".unfinished" / "small.part"
        while not (part.exists() and part.stat().st_size == 100_000):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (3, "")
    assert errors.endswith("dreamvid: interrupted; the same command goes on from here\n")
    assert [path.name for path in folder.iterdir()] == [".unfinished"]
    web.pages["/small"].stall = None
    assert run("fetch", "small")[0] == 0
    assert web.ranges() == [None, "bytes=100000-"]


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_a_file_is_imported(run: Run, folder: Path, tmp_path: Path, small: Published):
    (tmp_path / "some.file").write_bytes(CONTENT)
    path = str(tmp_path / "some.file")
    code, out, errors = run("import", path)
    assert (code, out) == (0, f"{folder / 'some.safetensors'}\n")
    told = f"converting {path}\nstoring it as some\nsome was checked against nothing\n"
    assert errors == told
    assert (folder / "some.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask()
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


def test_what_a_file_says_is_listed_in_one_line_without_controls(run: Run, folder: Path):
    folder.mkdir()
    spec = replace(
        tiny_spec(), licence="\x1b[2J\x9b2JMIT, " + "and more " * 50, origin="mine\nyours\t\u202e"
    )
    safetensors.write(folder / f"{'n' * 64}.safetensors", spec, tiny_tensors())
    safetensors.write(folder / "mine.safetensors", spec, tiny_tensors())
    code, out, errors = run("list")
    assert (code, errors) == (0, "")
    assert all(line.isprintable() and len(line) <= 100 for line in out.splitlines())
    name = out.splitlines().index(next(x for x in out.splitlines() if x.startswith("mine ")))
    assert out.splitlines()[name + 1] == "    mine"
    assert "MIT, and more" in out.splitlines()[name]
    (row,) = [row for row in json.loads(run("list", "--json")[1]) if row["name"] == "mine"]
    assert row["origin"] == "mine"
    assert row["licence"].startswith("[2J2JMIT, and more")


@pytest.mark.parametrize("text", ["{}", "[]", "null", "{", "[" * 9000, '{"labels": 5}'])
def test_a_network_without_a_sound_spec_is_listed_as_damaged(run: Run, folder: Path, text: str):
    folder.mkdir()
    save_file(tiny_tensors(), folder / "mine.safetensors", {safetensors.FIELD: text})
    rows = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    assert rows["mine"].keys() >= {"model", "licence", "origin", "look", "classes"}
    assert rows["mine"]["model"] == ("unknown" if text == "{}" else "damaged")


def test_what_leads_nowhere_is_not_listed(run: Run, folder: Path):
    (folder / "box.safetensors").mkdir(parents=True)
    (folder / "gone.safetensors").symlink_to(folder / "nothing")
    code, out, errors = run("list")
    assert (code, errors) == (0, "")
    assert "box" not in out
    assert "gone" not in out


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
