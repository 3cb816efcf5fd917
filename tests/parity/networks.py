"""The networks and the picture on which the original frameworks and dreamvid are compared.

NumPy only, because every framework's environment runs this file, and so do the tests without any
framework. Each tensor is made from nothing but its name, so that recorded results can be compared
with weights that lie in no file.

Sources: Szegedy et al. 2014, "Going Deeper with Convolutions", table 1; Szegedy et al. 2015,
"Rethinking the Inception Architecture for Computer Vision", figures 5 to 7; the tensors' names and
sizes are those of the published files.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIZES = ((224, 224), (225, 301))
"""Height and width of the pictures that everything is compared on."""


@dataclass(frozen=True)
class Facts:
    """What is recorded of one family."""

    objective: str
    """The layer whose 0.5 * sum(activation ** 2) is differentiated by the picture."""
    golden: tuple[int, int]
    """Height and width of the picture of which results are kept with the tests."""
    pictures: tuple[int, int, int]
    """Which picture is taken at each of `SIZES` and at the golden size; see steady_pictures.py."""

    @property
    def shown(self) -> dict[tuple[int, int], int]:
        """{size: number of the picture}."""
        return dict(zip((*SIZES, self.golden), self.pictures, strict=True))


FAMILIES = {
    "inception5h": Facts("mixed4c", (61, 78), (30, 3, 50)),
    "bvlc_googlenet": Facts("mixed4c", (61, 78), (2, 43, 12)),
    "torchvision_googlenet": Facts("mixed4c", (61, 78), (98, 6, 9)),
    "torchvision_inception_v3": Facts("mixed6", (107, 138), (9, 2, 11)),
    "timm_inception_v3": Facts("mixed6", (107, 138), (28, 34, 8)),
    "keras_inception_v3": Facts("mixed6", (107, 138), (25, 7, 37)),
}


@dataclass(frozen=True)
class Convolution:
    """One convolution, by dreamvid's name of its layer."""

    layer: str
    kernel: tuple[int, int]
    inputs: int
    outputs: int

    @property
    def hwio(self) -> tuple[int, ...]:
        return (*self.kernel, self.inputs, self.outputs)

    @property
    def oihw(self) -> tuple[int, ...]:
        return (self.outputs, self.inputs, *self.kernel)


V1_BLOCKS = {
    "mixed3a": (64, 96, 128, 16, 32, 32),
    "mixed3b": (128, 128, 192, 32, 96, 64),
    "mixed4a": (192, 96, 208, 16, 48, 64),
    "mixed4b": (160, 112, 224, 24, 64, 64),
    "mixed4c": (128, 128, 256, 24, 64, 64),
    "mixed4d": (112, 144, 288, 32, 64, 64),
    "mixed4e": (256, 160, 320, 32, 128, 128),
    "mixed5a": (256, 160, 320, 32, 128, 128),
    "mixed5b": (384, 192, 384, 48, 128, 128),
}
"""1x1, 3x3 bottleneck, 3x3, 5x5 bottleneck, 5x5, pool reduce."""
V1_BLOCKS_5H = V1_BLOCKS | {
    "mixed4a": (192, 96, 204, 16, 48, 64),
    "mixed5a": (256, 160, 320, 48, 128, 128),
}
"""inception5h's two departures from the paper's table."""


def v1_convolutions(blocks: dict[str, tuple[int, ...]], five: int) -> Iterator[Convolution]:
    """Inception V1 in the order of computation; `five` is the side of the "5x5" kernels."""
    yield Convolution("conv2d0", (7, 7), 3, 64)
    yield Convolution("conv2d1", (1, 1), 64, 64)
    yield Convolution("conv2d2", (3, 3), 64, 192)
    inputs = 192
    for block, (one, three_before, three, five_before, fives, pooled) in blocks.items():
        yield Convolution(f"{block}_1x1", (1, 1), inputs, one)
        yield Convolution(f"{block}_3x3_bottleneck", (1, 1), inputs, three_before)
        yield Convolution(f"{block}_3x3", (3, 3), three_before, three)
        yield Convolution(f"{block}_5x5_bottleneck", (1, 1), inputs, five_before)
        yield Convolution(f"{block}_5x5", (five, five), five_before, fives)
        yield Convolution(f"{block}_pool_reduce", (1, 1), inputs, pooled)
        inputs = one + three + fives + pooled


def v3_convolutions() -> Iterator[Convolution]:
    """Inception V3 in the order in which Keras creates its convolutions."""
    stem = ((3, 3, 32), (3, 32, 32), (3, 32, 64), (1, 64, 80), (3, 80, 192))
    for i, (side, inputs, outputs) in enumerate(stem):
        yield Convolution(f"conv2d{i}", (side, side), inputs, outputs)
    inputs = 192
    for block in range(11):
        outputs = 0
        if block < 3:
            branches = (
                (("1x1", 1, 1, 64),),
                (("5x5_1", 1, 1, 48), ("5x5_2", 5, 5, 64)),
                (("3x3dbl_1", 1, 1, 64), ("3x3dbl_2", 3, 3, 96), ("3x3dbl_3", 3, 3, 96)),
                (("pool", 1, 1, 64 if block else 32),),
            )
        elif block == 3:
            outputs = inputs  # the pool's, which no convolution follows
            branches = (
                (("3x3", 3, 3, 384),),
                (("3x3dbl_1", 1, 1, 64), ("3x3dbl_2", 3, 3, 96), ("3x3dbl_3", 3, 3, 96)),
            )
        elif block < 8:
            c = {4: 128, 5: 160, 6: 160, 7: 192}[block]
            branches = (
                (("1x1", 1, 1, 192),),
                (("7x7_1", 1, 1, c), ("7x7_2", 1, 7, c), ("7x7_3", 7, 1, 192)),
                (
                    ("7x7dbl_1", 1, 1, c),
                    *(("7x7dbl_2", 7, 1, c), ("7x7dbl_3", 1, 7, c)),
                    *(("7x7dbl_4", 7, 1, c), ("7x7dbl_5", 1, 7, 192)),
                ),
                (("pool", 1, 1, 192),),
            )
        elif block == 8:
            outputs = inputs
            branches = (
                (("3x3_1", 1, 1, 192), ("3x3_2", 3, 3, 320)),
                (
                    *(("7x7x3_1", 1, 1, 192), ("7x7x3_2", 1, 7, 192)),
                    *(("7x7x3_3", 7, 1, 192), ("7x7x3_4", 3, 3, 192)),
                ),
            )
        else:
            branches = (
                (("1x1", 1, 1, 320),),
                (("3x3_1", 1, 1, 384), ("3x3_2a", 1, 3, 384)),
                (("3x3_2b", 3, 1, 384),),
                (("3x3dbl_1", 1, 1, 448), ("3x3dbl_2", 3, 3, 384), ("3x3dbl_3a", 1, 3, 384)),
                (("3x3dbl_3b", 3, 1, 384),),
                (("pool", 1, 1, 192),),
            )
        for branch in branches:
            before = 384 if branch[0][0].endswith("b") else inputs  # forks off within its branch
            for name, height, width, width_out in branch:
                yield Convolution(f"mixed{block}_{name}", (height, width), before, width_out)
                before = width_out
            outputs += before
        inputs = outputs


def tensor(name: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Numbers spread evenly over [low, high), float32, the same for a name wherever it runs.

    From the generator's raw bits: NumPy keeps those from version to version, and its distributions
    not.
    """
    count = int(np.prod(shape))
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(-(-count // 4))
    sixteen = raw.astype("<u8").view("<u2")[:count].astype(np.float64)
    return (low + (high - low) * (sixteen + 0.5) / 65536).astype(np.float32).reshape(shape)


def picture(height: int, width: int, number: int = 0) -> np.ndarray:
    """8-bit levels (height, width, 3), RGB, as float32: noise at four scales, one of many."""
    levels = np.zeros((height, width, 3))
    for cell, share in ((1, 40), (4, 60), (12, 80), (40, 75)):
        shape = (-(-height // cell), -(-width // cell), 3)
        noise = tensor(f"picture/{number}/{cell}", shape, 0, share)
        levels += noise.repeat(cell, 0).repeat(cell, 1)[:height, :width]
    return np.floor(levels).astype(np.float32)


def inception5h() -> dict[str, np.ndarray]:
    """The constants of the TensorFlow graph, kernels HWIO."""
    found = {}

    def add(name: str, shape: tuple[int, ...]) -> None:
        limit = np.sqrt(6 / np.prod(shape[:-1]))
        found[f"{name}_w"] = tensor(f"inception5h/{name}_w", shape, -limit, limit)
        found[f"{name}_b"] = tensor(f"inception5h/{name}_b", shape[-1:], -8, 8)

    for conv in v1_convolutions(V1_BLOCKS_5H, 5):
        add(conv.layer, conv.hwio)
    for head, inputs in (("0", 508), ("1", 528)):  # classifiers that only training needed
        add(f"head{head}_bottleneck", (1, 1, inputs, 128))
        add(f"nn{head}", (2048, 1024))
        add(f"softmax{head}", (1024, 1008))
    add("softmax2", (1024, 1008))
    return found


CAFFE_BRANCHES = {
    "1x1": "1x1",
    "3x3_bottleneck": "3x3_reduce",
    "3x3": "3x3",
    "5x5_bottleneck": "5x5_reduce",
    "5x5": "5x5",
    "pool_reduce": "pool_proj",
}


def caffe_name(layer: str) -> str:
    """What bvlc_googlenet calls a layer of ours."""
    stem = {"conv2d0": "conv1/7x7_s2", "conv2d1": "conv2/3x3_reduce", "conv2d2": "conv2/3x3"}
    if layer in stem:
        return stem[layer]
    block, _, branch = layer.partition("_")
    return f"inception_{block.removeprefix('mixed')}/{CAFFE_BRANCHES.get(branch, 'output')}"


def bvlc_googlenet() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each Caffe layer's blobs: its kernel, OIHW or (outputs, inputs), and its bias."""
    found = {}

    def add(name: str, shape: tuple[int, ...]) -> None:
        limit = np.sqrt(6 / np.prod(shape[1:]))
        kernel = tensor(f"bvlc_googlenet/{name}/0", shape, -limit, limit)
        found[name] = (kernel, tensor(f"bvlc_googlenet/{name}/1", shape[:1], -8, 8))

    for conv in v1_convolutions(V1_BLOCKS, 5):
        add(caffe_name(conv.layer), conv.oihw)
    for head, inputs in (("loss1", 512), ("loss2", 528)):  # classifiers that only training needed
        add(f"{head}/conv", (128, inputs, 1, 1))
        add(f"{head}/fc", (1024, 2048))
        add(f"{head}/classifier", (1000, 1024))
    add("loss3/classifier", (1000, 1024))
    return found


def torchvision_v1_name(layer: str) -> str:
    """The module of torchvision's GoogLeNet that computes a layer of ours."""
    if layer.startswith("conv2d"):
        return f"conv{int(layer[-1]) + 1}"
    block, _, branch = layer.partition("_")
    branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    at = f".{dict(zip(CAFFE_BRANCHES, branches, strict=True))[branch]}" if branch else ""
    return f"inception{block.removeprefix('mixed')}{at}"


V3_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
V3_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")


def torch_v3_name(layer: str) -> str:
    """The module of torchvision's and timm's InceptionV3 that computes a layer of ours."""
    if layer.startswith("conv2d"):
        return V3_STEM[int(layer[-1])]
    block, _, branch = layer.partition("_")
    branch = {"": "", "pool": ".branch_pool"}.get(branch, f".branch{branch}")
    return f"Mixed_{V3_BLOCKS[int(block[len('mixed') :])]}{branch}"


def torch_tensors(family: str) -> dict[str, np.ndarray]:
    """The state dict of one of the three PyTorch networks, but for its counts of batches."""
    found = {}

    def add(name: str, shape: tuple[int, ...], low: float, high: float) -> None:
        found[name] = tensor(f"{family}/{name}", shape, low, high)

    def convolution(name: str, oihw: tuple[int, ...]) -> None:
        limit = np.sqrt(6 / np.prod(oihw[1:]))
        add(f"{name}.conv.weight", oihw, -limit, limit)
        add(f"{name}.bn.weight", oihw[:1], 0.8, 1.2)
        add(f"{name}.bn.bias", oihw[:1], -0.5, 0.5)
        add(f"{name}.bn.running_mean", oihw[:1], -0.5, 0.5)
        add(f"{name}.bn.running_var", oihw[:1], 0.5, 1.5)

    def dense(name: str, inputs: int, outputs: int) -> None:
        limit = np.sqrt(3 / inputs)
        add(f"{name}.weight", (outputs, inputs), -limit, limit)
        add(f"{name}.bias", (outputs,), -0.5, 0.5)

    if family == "torchvision_googlenet":
        for conv in v1_convolutions(V1_BLOCKS, 3):
            convolution(torchvision_v1_name(conv.layer), conv.oihw)
        for head, inputs in (("aux1", 512), ("aux2", 528)):
            convolution(f"{head}.conv", (128, inputs, 1, 1))
            dense(f"{head}.fc1", 2048, 1024)
            dense(f"{head}.fc2", 1024, 1000)
        dense("fc", 1024, 1000)
        return found
    for conv in v3_convolutions():
        convolution(torch_v3_name(conv.layer), conv.oihw)
    if family == "torchvision_inception_v3":  # timm's published files are without
        convolution("AuxLogits.conv0", (128, 768, 1, 1))
        convolution("AuxLogits.conv1", (768, 128, 5, 5))
        dense("AuxLogits.fc", 768, 1000)
    dense("fc", 2048, 1000)
    return found


def keras_inception_v3() -> dict[str, np.ndarray]:
    """Each weight of Keras's InceptionV3 with its top, as "<layer>/<variable>"."""
    found = {}

    def add(name: str, shape: tuple[int, ...], low: float, high: float) -> None:
        found[name] = tensor(f"keras_inception_v3/{name}", shape, low, high)

    for i, conv in enumerate(v3_convolutions()):
        number = f"_{i}" if i else ""
        limit = np.sqrt(6 / np.prod(conv.hwio[:-1]))
        add(f"conv2d{number}/kernel", conv.hwio, -limit, limit)
        add(f"batch_normalization{number}/beta", conv.hwio[-1:], -0.5, 0.5)
        add(f"batch_normalization{number}/moving_mean", conv.hwio[-1:], -0.5, 0.5)
        add(f"batch_normalization{number}/moving_variance", conv.hwio[-1:], 0.5, 1.5)
    add("predictions/kernel", (2048, 1000), -np.sqrt(3 / 2048), np.sqrt(3 / 2048))
    add("predictions/bias", (1000,), -0.5, 0.5)
    return found


def contents(family: str) -> dict[str, np.ndarray]:
    """All tensors of a family's file, by the names that dreamvid's readers give them."""
    if family == "inception5h":
        return inception5h()
    if family == "bvlc_googlenet":
        layers = bvlc_googlenet().items()
        return {f"{name}/{i}": blob for name, blobs in layers for i, blob in enumerate(blobs)}
    return keras_inception_v3() if family.startswith("keras") else torch_tensors(family)


def save(
    folder: Path, family: str, size: tuple[int, int], layers: dict[str, np.ndarray], by: np.ndarray
) -> None:
    """Keep what an original computed from `picture` of one size.

    Args:
      folder: Where to.
      family: One of `FAMILIES`.
      size: Height and width.
      layers: {dreamvid's name of the layer: (h, w, channels)}.
      by: (h, w, 3), the gradient of the family's objective by the picture, RGB in [0, 1].
    """
    found = {name: np.asarray(value, np.float32) for name, value in layers.items()}
    name = f"{family}-{size[0]}x{size[1]}.npz"
    found["gradient"] = np.asarray(by, np.float32)
    np.savez(folder / name, **found)  # type: ignore[arg-type]


def save_facts(folder: Path, family: str, framework: str, version: str, **more: object) -> None:
    """Keep who computed it; `more` are measurements that belong to the family."""
    facts = {"family": family, "framework": framework, "version": version} | more
    (folder / f"{family}.json").write_text(json.dumps(facts, indent=2) + "\n")
