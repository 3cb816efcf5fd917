"""A process is set up for dreaming, and what the user's environment says goes first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from dreamvid import machine
machine.prepare()
import jax
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
print(jax.config.jax_compilation_cache_dir)
"""


def prepared(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    own = {"XDG_CACHE_HOME": str(home), "HOME": str(home), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**kept, **own, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="caches lie elsewhere")
def test_programs_are_kept_in_a_folder_of_the_users_own(tmp_path: Path):
    folder = Path(prepared(tmp_path).stdout.strip())
    assert folder.is_relative_to(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    kept = {path for path in folder.iterdir() if path.name.endswith("-cache")}
    assert kept
    for path in kept:  # what is damaged is compiled anew, without a word
        path.write_bytes(b"no program")
    again = prepared(tmp_path)
    assert Path(again.stdout.strip()) == folder
    assert again.stderr == ""


def test_the_environment_goes_first(tmp_path: Path):
    found = prepared(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine"))
    assert found.stdout.strip() == str(tmp_path / "mine")
    assert any((tmp_path / "mine").iterdir())


def test_where_nothing_can_be_kept_it_works_without(tmp_path: Path):
    (tmp_path / "file").write_text("")
    found = prepared(tmp_path / "file")
    assert found.stdout.strip() == "None"
    assert found.stderr == ""


def test_help_sets_nothing_up(tmp_path: Path):
    words = [sys.executable, "-m", "dreamvid", "zoom", "--help"]
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    own.pop("JAX_COMPILATION_CACHE_DIR")
    subprocess.run(words, env=own, capture_output=True, check=True)
    assert not list(tmp_path.iterdir())
