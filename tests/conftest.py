"""Networks that the tests share; nothing is read from outside."""

import jax
import pytest

from dreamvid.models import Model
from dreamvid.models.inception_v1 import FAMILIES
from small import tiny_model

# Parity to 1e-4 and bit-identity are promised on the CPU.
jax.config.update("jax_platforms", "cpu")


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def any_model(request: pytest.FixtureRequest) -> Model:
    """A tiny network of each family."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def model() -> Model:
    """A tiny network of the built-in one's family."""
    return tiny_model()
