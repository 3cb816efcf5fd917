"""One contract for all objectives in the registry, and laws of some."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid import objectives
from dreamvid.ascent import Climb, dream, see, take_step
from dreamvid.checkpoints.store import load
from dreamvid.errors import DreamError
from dreamvid.models import Model
from dreamvid.objectives import (
    OBJECTIVES,
    VARIANTS,
    Channel,
    Class,
    Direction,
    Diversity,
    Guide,
    Layer,
    Masked,
    Mix,
    Neuron,
    Style,
    Sum,
    Summand,
    TotalVariation,
    most_alike,
    objective,
    of_layers,
)
from dreamvid.options import Ascent
from small import counted_compiles, random_picture, random_tensors, tiny_spec

LAYER = "conv2d2"
KEY = jax.random.key(3)
SPEC = dataclasses.replace(tiny_spec(), labels=("anchor", "bonsai", "cup"))
MODEL = Model.from_tensors(SPEC, random_tensors(SPEC))
COUNT = MODEL.layer(LAYER).channels


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Flat:
    """A classifier that compiles in no time."""

    kernel: jax.Array

    def traced(self, image: jax.Array, layers: Iterable[str]) -> dict[str, jax.Array]:
        assert tuple(layers) == ("logits",)
        return {"logits": jnp.tanh(image).mean((0, 1), keepdims=True) @ self.kernel}


FLAT: Any = Flat(jnp.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.1]]))


def model_for(made: Any) -> Model:
    return FLAT if isinstance(made, Class) else MODEL


def example(kind: type[Summand]) -> Summand:
    """One objective of a kind, made from nothing but its fields."""
    guide = random_picture(24, 30, 9) * jnp.array([1.0, 0.2, 0.0])
    content: dict[str, Any] = {"picture": MODEL.activations(guide, [LAYER])[LAYER], "label": 0.75}
    content["table"] = jnp.asarray(np.random.default_rng(0).standard_normal(COUNT), jnp.float32)
    values = {}
    for f in dataclasses.fields(kind):  # type: ignore[arg-type]
        if f.type is str:
            values[f.name] = LAYER
        elif f.default is dataclasses.MISSING:
            values[f.name] = content.get(f.metadata["kind"], 1.25)
    return kind(**values)


EXAMPLES = {name: example(OBJECTIVES[name]) for name in OBJECTIVES}
ALL = {
    **EXAMPLES,
    "sum": Channel(LAYER, 2.0) + 0.3 * Layer("conv2d1") - 0.001 * TotalVariation(),
    "masked": Masked(Layer(LAYER), 1),
    "mix": Mix((LAYER, "conv2d1"), jnp.array([0.25, 0.75])),
}
every = pytest.mark.parametrize("made", ALL.values(), ids=ALL)


def masks_for(pictures: jax.Array) -> jax.Array:
    """Two masks: a ramp and its reverse."""
    ramp = jnp.linspace(0.0, 1.0, pictures.shape[-2], dtype=pictures.dtype)
    ramp = jnp.broadcast_to(ramp[:, None], (*pictures.shape[-3:-1], 1))[..., 0]
    return jnp.stack([ramp, 1.0 - ramp], axis=-1)


@jax.jit
def scores(model: Model, made: Any, pictures: jax.Array) -> jax.Array:
    """What each of some pictures, dreamed together, is worth."""

    def one(picture: jax.Array) -> jax.Array:
        return made(see(model, picture, made, masks_for(picture)))

    return jax.vmap(one, axis_name=VARIANTS)(pictures)


@jax.jit
def slopes(model: Model, made: Any, pictures: jax.Array) -> jax.Array:
    """The gradient of the sum of those."""
    return jax.grad(lambda pictures: scores(model, made, pictures).sum())(pictures)


def noise(*shape: int) -> jax.Array:
    return jax.random.uniform(KEY, shape, minval=0.3, maxval=0.7)


@every
def test_it_rises_under_its_own_ascent_from_noise(made: Any):
    pictures = noise(3, 17, 23, 3)
    climb, model = Climb(count=6, rate=0.5, jitter=1), model_for(made)

    @jax.jit
    def step(pictures: jax.Array, index: int) -> jax.Array:
        def one(picture: jax.Array) -> jax.Array:
            masks = masks_for(picture)
            return take_step(model, picture, (), made, climb, KEY, index, masks=masks)[0]

        return jax.vmap(one, axis_name=VARIANTS)(pictures)

    before = scores(model_for(made), made, pictures)
    for index in range(6):
        pictures = step(pictures, index)
    assert (scores(model_for(made), made, pictures) > before + 1e-4 * jnp.abs(before)).all()


@every
def test_it_is_finite_on_black_white_noise_and_odd_sizes(made: Any):
    odd = jnp.stack([jnp.zeros((17, 23, 3)), jnp.ones((17, 23, 3)), random_picture(17, 23)])
    assert jnp.isfinite(scores(model_for(made), made, odd)).all()
    assert jnp.isfinite(slopes(model_for(made), made, odd)).all()


@every
def test_it_is_the_same_plain_and_under_jit_and_vmap(made: Any):
    pictures = noise(3, 17, 23, 3)
    together = scores(model_for(made), made, pictures)
    with jax.disable_jit():
        plain = scores(model_for(made), made, pictures)
    np.testing.assert_allclose(plain, together, rtol=1e-4, atol=1e-6)
    stacked = jax.vmap(lambda pictures: scores(model_for(made), made, pictures))(pictures[None])
    np.testing.assert_allclose(stacked[0], together, rtol=1e-5, atol=1e-6)


@every
def test_its_gradient_is_that_of_finite_differences(made: Any):
    def wide(leaf: Any) -> Any:
        return jnp.asarray(leaf, jnp.float64) if jnp.asarray(leaf).dtype.kind == "f" else leaf

    with jax.enable_x64(True):
        model, exact = (jax.tree.map(wide, tree) for tree in (model_for(made), made))
        pictures = wide(noise(3, 17, 23, 3))
        gradient = np.asarray(slopes(model, exact, pictures))
        rng, smooth = np.random.default_rng(1), 0
        for _ in range(6):
            along = rng.standard_normal(pictures.shape)
            found = []
            for length in (1e-6, 5e-7):
                ends = [scores(model, exact, pictures + s * length * along) for s in (1, -1)]
                found.append(float((ends[0] - ends[1]).sum()) / (2 * length))
            if abs(found[0] - found[1]) > 1e-5 * abs(found[0]):
                continue  # a kink lies between
            smooth += 1
            assert found[1] == pytest.approx(float((gradient * along).sum()), rel=1e-4)
        assert smooth >= 2


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not EXAMPLES[name].together])
def test_its_numbers_may_change_without_a_compile(name: str):
    made = EXAMPLES[name]
    picture = noise(3, 17, 23, 3)
    scores(model_for(made), made, picture)
    changed = jax.tree.map(lambda leaf: leaf * 0.5, made)
    with counted_compiles() as compiled:
        scores(model_for(made), changed, picture)
    assert not compiled


# --- Laws ---


def seen(height: int = 6, width: int = 7, channels: int = 4, seed: int = 0) -> jax.Array:
    rng = np.random.default_rng(seed)
    return jnp.asarray(np.maximum(rng.standard_normal((height, width, channels)), 0), jnp.float32)


def test_the_gradient_of_a_layer_is_its_activation_over_its_size():
    act = seen()
    np.testing.assert_allclose(jax.grad(Layer("x"))({"x": act})["x"], act / act.size, rtol=1e-6)


def test_a_fraction_lies_between_two_channels():
    act = {"x": seen()}
    low, high, between = (float(Channel("x", c)(act)) for c in (1.0, 2.0, 1.25))
    assert between == pytest.approx(0.75 * low + 0.25 * high, rel=1e-5)
    assert low == pytest.approx(float(act["x"][..., 1].mean()), rel=1e-5)


def test_a_neuron_is_one_value():
    act = seen(7, 9)
    assert float(Neuron("x", 3.0)({"x": act})) == pytest.approx(float(act[3, 4, 3]))
    assert float(Neuron("x", 3.0, 1.0, 0.0)({"x": act})) == pytest.approx(float(act[0, 8, 3]))


def test_only_the_direction_of_a_vector_counts():
    vector = jnp.array([1.0, -2.0, 0.5, 0.0])
    once, twice = (float(Direction("x", v)({"x": seen()})) for v in (vector, 2 * vector))
    assert once == pytest.approx(twice)


def test_a_class_is_its_logit():
    logits = jnp.array([1.0, -3.0, 2.0]).reshape(1, 1, 3)
    assert float(Class(1.0)({"logits": logits})) == pytest.approx(-3.0)


def test_objectives_add_scale_and_negate():
    act = {"x": seen(), "image": random_picture(16, 16)}
    a, b = Channel("x", 1.0), TotalVariation()
    made = 2 * a - 0.5 * (b + a) + -b
    expected = 2 * a(act) - 0.5 * (b(act) + a(act)) - b(act)
    assert float(made(act)) == pytest.approx(float(expected), rel=1e-5)
    assert isinstance(made, Sum)
    assert made.layers == ("x", "image")


def transcribed_guide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dream.ipynb's rule: the gradient at a layer, from (channels, h, w) of picture and guide."""
    channels = x.shape[0]
    rows, known = x.reshape(channels, -1), y.reshape(channels, -1)
    out = np.empty_like(rows)
    for i in range(rows.shape[1]):
        best, match = -np.inf, 0
        for j in range(known.shape[1]):
            product = float(sum(rows[k, i] * known[k, j] for k in range(channels)))
            if product > best:
                best, match = product, j
        out[:, i] = known[:, match]
    return out.reshape(x.shape)


@pytest.mark.parametrize("at_a_time", [1 << 24, 40])
def test_the_guide_is_that_of_2015(at_a_time: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(objectives, "LARGEST_MATCH", at_a_time)
    act, guide = seen(5, 7), seen(4, 3, seed=1)
    gradient = jax.grad(Guide("x", guide))({"x": act})["x"]
    expected = transcribed_guide(
        *(np.asarray(a, np.float64).transpose(2, 0, 1) for a in (act, guide))
    )
    expected = expected.transpose(1, 2, 0) / 35  # a mean over the positions
    np.testing.assert_allclose(gradient, expected, atol=1e-5 / 35)


def test_many_positions_are_matched_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch):
    x, y = (
        jnp.asarray(np.random.default_rng(s).standard_normal((n, 5))) for s, n in ((0, 50), (1, 9))
    )
    at_once = most_alike(x, y)
    monkeypatch.setattr(objectives, "LARGEST_MATCH", 64)
    np.testing.assert_array_equal(most_alike(x, y), at_once)


def test_a_guided_dream_is_closer_to_the_guide_than_another():
    model, layer = load("builtin"), "conv2d2"
    guide = model.activations(drawn_flowers(), [layer])[layer]
    picture, options = random_picture(64, 64, 1), Ascent(steps=8, octaves=1, jitter=4)

    def likeness(picture: jax.Array) -> float:
        """The mean cosine between what is seen at each place and what is most like it."""
        seen, known = (
            act.reshape(len(act) ** 2, -1) / jnp.linalg.norm(act, axis=2).reshape(-1, 1)
            for act in (model.activations(picture, [layer])[layer], guide)
        )
        return float((seen @ known.T).max(1).mean())

    style = Style(layer, guide)
    aims = Guide(layer, guide), style, Layer(layer)
    matched, alike, other = (dream(model, picture, aim, options, KEY) for aim in aims)
    assert likeness(matched) > likeness(other) + 0.02
    score = jax.jit(lambda picture: style(see(model, picture, style)))
    assert score(alike) > score(other) + 0.02


def drawn_flowers() -> jax.Array:
    """Yellow discs on green."""
    y, x = np.mgrid[:64, :64]
    disc = ((x % 32 - 16) ** 2 + (y % 32 - 16) ** 2 < 60)[..., None]
    return jnp.asarray(np.where(disc, (0.95, 0.8, 0.1), (0.2, 0.5, 0.15)), jnp.float32)


def test_a_style_is_most_like_itself():
    act = seen()
    assert float(Style("x", act)({"x": 3 * act})) == pytest.approx(1.0, abs=1e-3)
    assert float(Style("x", act)({"x": seen(seed=2)})) < 0.99


def test_a_mask_keeps_what_it_hides_out():
    picture = random_picture(64, 96)
    masks = jnp.zeros((64, 96, 1)).at[:, :32].set(1.0)
    made = Masked(Layer("conv2d1"), 0)

    def score(picture: jax.Array) -> jax.Array:
        return made(see(MODEL, picture, made, masks))

    gradient = jnp.abs(jax.jit(jax.grad(score))(picture)).mean((0, 2))
    assert float(gradient[:32].min()) > 0
    assert float(gradient[64:].max()) == 0


def test_masks_move_with_the_jitter():
    masks = jnp.zeros((48, 64, 1)).at[:24].set(1.0)
    picture = random_picture(48, 64)
    for jitter in (0, 17):
        options = Ascent(steps=3, octaves=1, jitter=jitter)
        made = Masked(Layer("conv2d0"), 0)
        changed = jnp.abs(dream(MODEL, picture, made, options, KEY, masks=masks) - picture)
        assert float(changed[:24].mean()) > 20 * float(changed[32:44].mean())


def test_a_balanced_sum_gives_each_term_its_weight():
    picture = noise(24, 24, 3)
    strong, weak = Layer(LAYER), Channel("conv2d1", 1.0) * 1.0

    def moved(made: Summand, balance: bool) -> jax.Array:
        climb = Climb(1, 1.5, 0, balance=balance)
        return take_step(MODEL, picture, (), made, climb, KEY, 0)[0] - picture

    def likeness(a: jax.Array, b: jax.Array) -> float:
        return float(jnp.sum(a * b) / jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b)))

    evenly = moved(strong, False) + moved(weak, False)
    assert likeness(moved(strong + weak, True), evenly) > 0.9999
    assert likeness(moved(strong + weak, False), evenly) < 0.99


def test_what_compares_pictures_needs_several():
    with pytest.raises(DreamError, match="dreamed together"):
        dream(MODEL, random_picture(32, 32), Layer(LAYER) + Diversity(LAYER), Ascent(), KEY)


def test_a_mix_is_of_all_layers_that_a_clip_knows():
    assert of_layers(("a",), {"a": 1.0}) == Layer("a")
    mix = of_layers(("a", "b"), {"b": 1.0})
    assert isinstance(mix, Mix)
    np.testing.assert_array_equal(mix.weights, [0.0, 1.0])


def test_an_objective_of_ones_own_is_a_few_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(OBJECTIVES, "_things", dict(OBJECTIVES._things))

    @objective("contrast")
    class Contrast(Summand):
        layer: str

        def __call__(self, activations: dict[str, jax.Array]) -> jax.Array:
            return activations[self.layer].std()

    made = 2.0 * OBJECTIVES["contrast"](LAYER)  # type: ignore[call-arg]
    picture = random_picture(32, 32)
    dreamed = dream(MODEL, picture, made, Ascent(steps=3, octaves=1), KEY)
    score = jax.jit(lambda picture: made(see(MODEL, picture, made)))
    assert score(dreamed) > score(picture)
    assert Contrast(LAYER) == Contrast(LAYER)  # type: ignore[call-arg]
