"""A process is set up for dreaming, and what the user's environment says goes first."""

import os
import platform
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


ANEW = """
import os, sys
from pathlib import Path
from dreamvid import machine
machine._HUGE_PAGES = Path(sys.argv[1])
print(os.getpid(), flush=True)
machine.use_huge_pages()
print(os.environ.get("GLIBC_TUNABLES", ""), *sys.argv[1:])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc only")
@pytest.mark.parametrize(
    ("given", "environment", "tuned"),
    [
        ("always [madvise] never", {}, True),
        ("always [madvise] never", {"GLIBC_TUNABLES": "glibc.cpu.hwcap_mask=0"}, True),
        ("always [madvise] never", {"GLIBC_TUNABLES": "glibc.malloc.check=0"}, False),
        ("always [madvise] never", {"MALLOC_ARENA_MAX": "4"}, False),
        ("[always] madvise never", {}, False),
        ("always madvise [never]", {}, False),
    ],
)
def test_a_process_starts_anew_once_where_that_brings_huge_pages(
    tmp_path: Path, given: str, environment: dict[str, str], tuned: bool
):
    (tmp_path / "enabled").write_text(given)
    words = [sys.executable, "-c", ANEW, str(tmp_path / "enabled"), "a b", "--c=d"]
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    found = subprocess.run(
        words, env=own | environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *pids, last = found.stdout.splitlines()
    assert len(pids) == 1 + tuned
    assert len(set(pids)) == 1
    tunables, arguments = last.split(" ", 1)
    assert arguments == f"{tmp_path / 'enabled'} a b --c=d"
    assert tunables.startswith(environment.get("GLIBC_TUNABLES", ""))
    assert ("glibc.malloc.hugetlb=1" in tunables) == tuned
    assert found.stderr == ""
