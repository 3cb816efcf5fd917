"""Networks that the tests share; nothing is read from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Before JAX is imported: most of the tests' time is XLA optimising programs that run once.
os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}"

import jax
import pytest
from server import Server, serving

from dreamvid import cli
from dreamvid.models import Model
from dreamvid.models.inception_v1 import FAMILIES
from small import tiny_model

Run = Callable[..., tuple[int, str, str]]
"""Runs the program with some words: (exit code, output, errors)."""

# Parity to 1e-4 and bit-identity are promised on the CPU.
jax.config.update("jax_platforms", "cpu")


@pytest.fixture(autouse=True)
def own_weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that the user has are not there, and none of ours is left to the user."""
    folder = tmp_path_factory.getbasetemp() / "no weights"
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(folder))


@pytest.fixture(scope="session", autouse=True)
def own_programs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that the tests compile are kept where no user's are, for all processes of a run."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    # Not monkeypatched: what another process compiled may be used at any time.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "programs")


@pytest.fixture(autouse=True)
def few_programs() -> Iterator[None]:
    """Lets compiled programs go before the kernel kills the process for what they map.

    Each takes some fifty mappings, and Linux allows 65,530.
    """
    began = time.monotonic()
    yield
    # Quick tests compile little, and looking takes time too.
    if time.monotonic() - began > 1 and _mappings() > 30_000:
        jax.clear_caches()


def _mappings() -> int:
    path = Path("/proc/self/maps")
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def any_model(request: pytest.FixtureRequest) -> Model:
    """A tiny network of each family."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def model() -> Model:
    """A tiny network of the built-in one's family."""
    return tiny_model()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server of the test's own."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs the program in this process."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dreamvid", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        code = stop.value.code or 0
        assert isinstance(code, int)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
