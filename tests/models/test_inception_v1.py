"""Laws of Inception V1, and a second, plain-NumPy reading of its four families."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.errors import DreamError, UnknownNameError, WeightsError
from dreamvid.models import Model, ModelSpec
from dreamvid.models.inception_v1 import WIDTHS
from small import TINY_WIDTHS, random_picture, tiny_model


def test_layers_are_inception5hs_in_order(model: Model):
    after = [name for name in model.layers if not name.endswith("_pre_relu")]
    assert after[:3] == ["conv2d0", "conv2d1", "conv2d2"]
    assert [name.removeprefix("mixed3a") for name in after[3:10]] == [
        *("_1x1", "_3x3_bottleneck", "_3x3", "_5x5_bottleneck", "_5x5", "_pool_reduce", "")
    ]
    blocks = [name for name in after if name.startswith("mixed") and "_" not in name]
    assert blocks == [f"mixed{b}" for b in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    assert set(model.layers) == {*after, *(f"{name}_pre_relu" for name in after)}


def test_full_width_has_the_papers_channels():
    spec = ModelSpec("inception_v1", "caffe", WIDTHS, (0, 0, 0), (1, 1, 1))
    model = Model(spec, None, None)  # type: ignore[arg-type]
    channels = [model.layer(f"mixed{b}").channels for b in ("3a", "3b", "4a", "4e", "5a", "5b")]
    assert channels == [256, 480, 512, 832, 832, 1024]


@pytest.mark.parametrize(
    ("alias", "ours"),
    [
        ("inception_4c/output", "mixed4c"),
        ("inception_3b/5x5_reduce", "mixed3b_5x5_bottleneck"),
        ("inception_4c/output_pre_relu", "mixed4c_pre_relu"),
        ("conv2/3x3_reduce", "conv2d1"),
        ("inception4c", "mixed4c"),
        ("inception5b.branch4.1", "mixed5b_pool_reduce"),
        ("conv3", "conv2d2"),
    ],
)
def test_other_frameworks_names_lead_to_our_layers(model: Model, alias: str, ours: str):
    assert model.layer(alias).name == ours


def test_an_alias_is_answered_under_its_own_name(model: Model):
    acts = model.activations(random_picture(32, 32), ["inception_3a/output", "mixed3a"])
    assert list(acts) == ["inception_3a/output", "mixed3a"]
    np.testing.assert_array_equal(acts["inception_3a/output"], acts["mixed3a"])


def test_receptive_fields_and_work_are_as_published():
    spec = ModelSpec("inception_v1", "caffe", WIDTHS, (0, 0, 0), (1, 1, 1))
    model = Model(spec, None, None)  # type: ignore[arg-type]
    assert model.layer("mixed4c").field == (299, 299)
    assert model.layer("mixed5b").field == (715, 715)
    # "about 1.5 billion multiply-adds" at 224x224, says the paper.
    assert model.layer("mixed5b").flops * 224**2 / 2 == pytest.approx(1.5e9, rel=0.1)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (64, 45)])
def test_any_size_gives_every_layer_as_described(any_model: Model, size: tuple[int, int]):
    picture = jax.ShapeDtypeStruct((*size, 3), jnp.float32)
    acts = jax.eval_shape(partial(any_model.activations, layers=any_model.layers), picture)
    assert acts.keys() == set(any_model.layers)
    for info in any_model.describe():
        act = acts[info.name]
        assert act.dtype == jnp.float32
        assert act.shape[2] == info.channels
        for side, positions in zip(size, act.shape, strict=False):
            assert max(side // info.stride, 1) <= positions <= side / info.stride + 1


def test_a_layer_is_the_rectified_one_before(any_model: Model):
    acts = any_model.activations(random_picture(17, 31), any_model.layers)
    assert tuple(acts) == any_model.layers
    for name in any_model.layers:
        assert jnp.isfinite(acts[name]).all()
        if f"{name}_pre_relu" in acts:
            np.testing.assert_array_equal(acts[name], jax.nn.relu(acts[f"{name}_pre_relu"]))


def test_the_stem_of_tensorflow_rounds_up():
    acts = tiny_model("tf").activations(random_picture(225, 225), ["conv2d0"])
    assert acts["conv2d0"].shape[:2] == (113, 113)


@pytest.mark.parametrize("size", [(33, 40)])
def test_a_plain_numpy_reading_of_the_network_agrees(any_model: Model, size: tuple[int, int]):
    image = random_picture(*size)
    spec = any_model.spec
    expected = forward(any_model.to_tensors(), spec.family, image, spec.mean, spec.scale)
    found = any_model.activations(image, expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4 * np.abs(value).max())


def forward(
    t: dict[str, np.ndarray],
    family: str,
    image: jax.Array,
    mean: tuple[float, float, float],
    scale: tuple[float, float, float],
) -> dict[str, np.ndarray]:
    """Each block of the network, written from the published definitions of the four families."""
    found = {}

    def windows(x: np.ndarray, k: int, stride: int, how: str, fill: float) -> np.ndarray:
        pads = []
        for side in x.shape[:2]:
            if how == "tf":
                total = max((int(np.ceil(side / stride)) - 1) * stride + k - side, 0)
                pads.append((total // 2, total - total // 2))
            elif how == "pool that rounds up":
                pads.append((0, (int(np.ceil((side - k) / stride))) * stride + k - side))
            else:
                pads.append((k // 2, k // 2))
        padded = np.pad(x, [*pads, (0, 0)], constant_values=fill)
        view = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (0, 1))
        return view[::stride, ::stride]

    def conv(name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
        kernel = t[f"{name}/kernel"].astype(np.float64)
        patches = windows(x, kernel.shape[0], stride, family, 0.0)
        return np.maximum(np.einsum("hwiyx,yxio->hwo", patches, kernel) + t[f"{name}/bias"], 0)

    def pool(x: np.ndarray, stride: int, side: int = 3) -> np.ndarray:
        up = {"caffe": "pool that rounds up", "torchvision": "pool that rounds up"}
        how = up.get(family, family) if stride == 2 else "both sides"
        return windows(x, side, stride, how, -np.inf).max((-1, -2))

    def norm(x: np.ndarray) -> np.ndarray:
        if family in ("folded", "torchvision"):
            return x
        reach, bias, alpha, beta = {"tf": (5, 2, 1e-4, 0.5), "caffe": (2, 1, 1e-4 / 5, 0.75)}[
            family
        ]
        near = [x[..., max(c - reach, 0) : c + reach + 1] for c in range(x.shape[-1])]
        total = np.stack([(n**2).sum(-1) for n in near], -1)
        return x / (bias + alpha * total) ** beta

    x = (np.asarray(image, np.float64) * 255 - np.array(mean)) * np.array(scale)
    x = found["conv2d0"] = conv("conv2d0", x, stride=2)
    x = found["conv2d1"] = conv("conv2d1", norm(pool(x, 2)))
    x = found["conv2d2"] = conv("conv2d2", x)
    x = norm(x)
    for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        if block in ("3a", "4a", "5a"):
            x = pool(x, 2, side=2 if (family, block) == ("torchvision", "5a") else 3)
        b = f"mixed{block}"
        x = found[b] = np.concatenate(
            [
                conv(f"{b}/1x1", x),
                conv(f"{b}/3x3", conv(f"{b}/3x3_bottleneck", x)),
                conv(f"{b}/5x5", conv(f"{b}/5x5_bottleneck", x)),
                conv(f"{b}/pool_reduce", pool(x, 1)),
            ],
            axis=-1,
        )
    return found


def test_pictures_can_be_batched(model: Model):
    batch = jnp.stack([random_picture(32, 32, seed) for seed in range(2)])
    together = jax.vmap(lambda image: model.activations(image, ["mixed4a"])["mixed4a"])(batch)
    alone = [model.activations(image, ["mixed4a"])["mixed4a"] for image in batch]
    np.testing.assert_allclose(together, jnp.stack(alone), atol=1e-5)


def test_weights_are_arguments_and_never_baked_in():
    def seen(model: Model, image: jax.Array) -> jax.Array:
        return model.activations(image, ["mixed3a"])["mixed3a"]

    image = random_picture(16, 16)
    models = [tiny_model(seed=seed) for seed in (1, 2)]
    compiled = jax.jit(seen)
    answers = [compiled(model, image) for model in models]
    assert compiled._cache_size() == 1  # type: ignore[attr-defined]
    assert not np.allclose(*answers)
    assert sum(np.size(const) for const in jax.make_jaxpr(seen)(models[0], image).consts) < 10


@pytest.mark.parametrize("size", [(15, 16), (64, 1), (1, 1)])
def test_a_picture_too_small_is_refused(model: Model, size: tuple[int, int]):
    with pytest.raises(DreamError, match=f"has {size[1]}x{size[0]} pixels, too few"):
        model.activations(random_picture(*size), ["conv2d0"])


def test_what_is_no_rgb_picture_is_refused(model: Model):
    with pytest.raises(DreamError, match="shape"):
        model.activations(jnp.zeros((32, 32, 4)), ["conv2d0"])


def test_an_unknown_layer_is_answered_with_the_nearest(model: Model):
    with pytest.raises(
        UnknownNameError, match=r"unknown layer 'mixed4z' of inception_v1\. Did you mean 'mixed4"
    ):
        model.activations(random_picture(16, 16), ["mixed4z"])


@pytest.mark.parametrize(
    "widths", [TINY_WIDTHS[1:], (*TINY_WIDTHS[:-1], ("mixed5b", (1, 2))), (("conv2d0", (0,)),)]
)
def test_a_spec_with_other_widths_is_refused(widths: tuple):
    spec = ModelSpec("inception_v1", "folded", widths, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with pytest.raises(WeightsError, match="widths"):
        Model.from_tensors(spec, {})


def test_in_fewer_bits_it_sees_the_same(model: Model):
    picture = random_picture(48, 64)
    few = model.in_precision("bfloat16")
    for layer in ("conv2d0", "mixed4c"):
        exact, rounded = (one.activations(picture, [layer])[layer] for one in (model, few))
        assert rounded.dtype == jnp.float32
        error = float(jnp.linalg.norm(rounded - exact) / jnp.linalg.norm(exact))
        assert 1e-4 < error < 0.05
