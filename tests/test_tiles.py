"""Tiled equals untiled: the same gradient everywhere, the same dream."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid import ascent, room
from dreamvid.ascent import dream, network_layers, see
from dreamvid.errors import DreamError
from dreamvid.models import AnyModel, Model, ModelSpec, inception_v3
from dreamvid.objectives import (
    Guide,
    Layer,
    Masked,
    Neuron,
    Style,
    Sum,
    TotalVariation,
)
from dreamvid.options import Ascent
from dreamvid.tiles import cut, least_side, side_for, slopes
from dreamvid.types import Objective
from small import TINY_V3_WIDTHS, random_picture, random_tensors

KEY = jax.random.key(3)
LAYER = "mixed3a"


def check_tiled(
    model: AnyModel, picture: jax.Array, made: Objective, masks: jax.Array | None = None
) -> None:
    whole = jax.jit(jax.grad(lambda seen: made(see(model, seen, made, masks))))(picture)
    infos = [model.layer(name) for name in network_layers(made)]
    height, width, _ = picture.shape
    tiling = cut(height, width, infos, least_side(infos))
    assert tiling is not None
    assert len(tiling.tiles) > 1
    (tiled,) = slopes(model, picture, made, masks, tiling)
    assert float(jnp.abs(whole).max()) > 0
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * float(jnp.abs(whole).max()))


@pytest.mark.parametrize("size", [(170, 201), (253, 150)])
def test_the_gradient_is_the_same_in_every_family(any_model: Model, size: tuple[int, int]):
    check_tiled(any_model, random_picture(*size), Layer(LAYER))


@pytest.mark.parametrize("family", sorted(inception_v3.FAMILIES))
def test_the_gradient_is_the_same_in_inception_v3(family: str):
    spec = ModelSpec(
        "inception_v3", family, TINY_V3_WIDTHS, (127.5, 127.5, 127.5), (0.01, 0.01, 0.01)
    )
    model = Model.from_tensors(spec, random_tensors(spec))
    check_tiled(model, random_picture(201, 233), Layer("mixed0"))


def test_what_reads_the_whole_picture_is_the_same(model: Model):
    picture = random_picture(167, 215)
    ramp = jnp.broadcast_to(jnp.linspace(0.0, 1.0, 215)[None, :, None], (167, 215, 1))
    guide = model.activations(random_picture(40, 40, 5), [LAYER])[LAYER]
    terms = (
        Masked(Guide(LAYER, guide), 0),
        Style("conv2d2", guide[..., :12]),
        Neuron("mixed3a_1x1", 1.0),
        TotalVariation(),
    )
    check_tiled(model, picture, Sum(terms, jnp.array([1.0, 2.0, 0.5, -0.1])), ramp)


@pytest.mark.parametrize("balance", [False, True])
def test_the_dream_is_the_same(model: Model, balance: bool):
    picture = random_picture(200, 180)
    aim = Layer(LAYER) + 0.5 * Layer("conv2d2")
    options = {"steps": 2, "octaves": 2, "jitter": 20, "balance": balance, "optimizer": "adam"}
    whole, tiled = (
        dream(model, picture, aim, Ascent(**options, tile=tile), KEY) for tile in (0, 160)
    )
    # Adam's first steps go by the sign alone, which rounding may turn where there is no slope.
    assert float(jnp.abs(whole - tiled).mean()) < 1e-5


def test_tiles_cover_the_picture_once_and_lie_on_the_strides(model: Model):
    infos = [model.layer("mixed4a")]
    for height, width in ((500, 700), (417, 1999), (1001, 410)):
        tiling = cut(height, width, infos, 430)
        assert tiling is not None
        counted = np.zeros((height, width), int)
        for tile in tiling.tiles:
            counted[slice(*tile.inner[0]), slice(*tile.inner[1])] += 1
            for start, side, whole, (first, stop) in zip(
                tile.start, tiling.size, (height, width), tile.inner, strict=True
            ):
                assert start % 16 == 0
                assert (whole - side) % 16 == 0
                assert side <= max(430, whole)
                # What is taken has all that the layer sees around it, up to the border.
                assert first == 0 or first - start >= 171
                assert stop == whole or start + side - stop >= 171
        assert (counted == 1).all()
    assert cut(400, 430, infos, 430) is None


def test_more_memory_gives_larger_tiles(model: Model):
    infos = [model.layer(LAYER)]
    sides = [side_for(model, infos, size << 20) for size in (1, 4, 16)]
    assert sides[1] == pytest.approx(2 * sides[0], abs=2)
    assert sides[2] == pytest.approx(4 * sides[0], abs=4)
    deeper = side_for(model, [model.layer("mixed5b")], 16 << 20)
    assert deeper < sides[2]


class Exhausted:
    """Stands for `ascend` on a device on which only small tiles have room."""

    def __init__(self, largest: int):
        self.largest = largest
        self.tried: list[int] = []
        self._ascend = ascent.ascend

    def __call__(self, model, image, *rest):
        tiling = rest[-1]
        side = max(tiling.size if tiling else image.shape[:2])
        self.tried.append(side)
        if side > self.largest:
            image.delete()  # as what was given up for it is lost
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return self._ascend(model, image, *rest)


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_proven", {})


def test_where_memory_runs_out_tiles_are_halved(
    proven: None, model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    picture, options = random_picture(400, 380), Ascent(steps=1, octaves=1)
    expected = dream(model, picture, Layer(LAYER), options, KEY)
    room._proven.clear()
    device = Exhausted(220)
    monkeypatch.setattr(ascent, "ascend", device)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = dream(model, picture, Layer(LAYER), options, KEY)
            np.testing.assert_allclose(found, expected, atol=1e-6)
    assert device.tried[0] == 400
    assert max(device.tried[1:]) <= 200  # and from then on it is known
    assert [record.message for record in caplog.records] == [
        "380x400 pixels take more memory than there is: in tiles of 194"
    ]


def test_where_not_even_small_tiles_have_room_it_says_so(
    proven: None, model: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ascent, "ascend", Exhausted(10))
    with pytest.raises(DreamError, match=r"^dreaming 300x200 pixels takes more memory .* smaller"):
        dream(model, random_picture(200, 300), Layer(LAYER), Ascent(octaves=1), KEY)


def test_what_cannot_be_tiled_is_refused(model: Model):
    with pytest.raises(DreamError, match=r"^tile is 64, but .* leave tile at 0$"):
        dream(model, random_picture(64, 64), TotalVariation(), Ascent(tile=64), KEY)
