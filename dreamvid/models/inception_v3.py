"""Inception V3: Keras's, torchvision's and timm's.

Source: Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", as the
frameworks published it. Blocks carry Keras's names, branches torchvision's.
"""

from dataclasses import dataclass
from typing import ClassVar

from dreamvid.models.network import (
    ARCHITECTURES,
    LOGITS,
    PIXELS,
    AveragePool,
    Classifier,
    Convolution,
    Join,
    MaxPool,
    Network,
    Node,
    widths_of,
)
from dreamvid.models.spec import ModelSpec
from dreamvid.registry import Registry

POOL, INPUT = "pool of the block's input", "the block's input"


@dataclass(frozen=True)
class Branch:
    """One convolution of a block."""

    name: str
    source: str = INPUT
    """INPUT, POOL, or another convolution of the block."""
    kernel: tuple[int, int] = (1, 1)
    halves: bool = False
    """Whether it takes every other position, and only whole windows."""


@dataclass(frozen=True)
class Block:
    """The convolutions of a block, and what is joined to its output."""

    branches: tuple[Branch, ...]
    joined: tuple[str, ...]
    halves: bool = False
    """Whether its pool is a max-pool that takes every other position; else it is an average."""


WIDE, TALL, SQUARE = (1, 7), (7, 1), (3, 3)

# The paper's figure 5.
GRAINS = Block(
    (
        Branch("1x1"),
        Branch("5x5_1"),
        Branch("5x5_2", "5x5_1", (5, 5)),
        Branch("3x3dbl_1"),
        Branch("3x3dbl_2", "3x3dbl_1", SQUARE),
        Branch("3x3dbl_3", "3x3dbl_2", SQUARE),
        Branch("pool", POOL),
    ),
    ("1x1", "5x5_2", "3x3dbl_3", "pool"),
)
# Figure 10.
FIRST_REDUCTION = Block(
    (
        Branch("3x3", kernel=SQUARE, halves=True),
        Branch("3x3dbl_1"),
        Branch("3x3dbl_2", "3x3dbl_1", SQUARE),
        Branch("3x3dbl_3", "3x3dbl_2", SQUARE, halves=True),
    ),
    ("3x3", "3x3dbl_3", POOL),
    halves=True,
)
# Figure 6.
PARTS = Block(
    (
        Branch("1x1"),
        Branch("7x7_1"),
        Branch("7x7_2", "7x7_1", WIDE),
        Branch("7x7_3", "7x7_2", TALL),
        Branch("7x7dbl_1"),
        Branch("7x7dbl_2", "7x7dbl_1", TALL),
        Branch("7x7dbl_3", "7x7dbl_2", WIDE),
        Branch("7x7dbl_4", "7x7dbl_3", TALL),
        Branch("7x7dbl_5", "7x7dbl_4", WIDE),
        Branch("pool", POOL),
    ),
    ("1x1", "7x7_3", "7x7dbl_5", "pool"),
)
SECOND_REDUCTION = Block(
    (
        Branch("3x3_1"),
        Branch("3x3_2", "3x3_1", SQUARE, halves=True),
        Branch("7x7x3_1"),
        Branch("7x7x3_2", "7x7x3_1", WIDE),
        Branch("7x7x3_3", "7x7x3_2", TALL),
        Branch("7x7x3_4", "7x7x3_3", SQUARE, halves=True),
    ),
    ("3x3_2", "7x7x3_4", POOL),
    halves=True,
)
# Figure 7.
THINGS = Block(
    (
        Branch("1x1"),
        Branch("3x3_1"),
        Branch("3x3_2a", "3x3_1", (1, 3)),
        Branch("3x3_2b", "3x3_1", (3, 1)),
        Branch("3x3dbl_1"),
        Branch("3x3dbl_2", "3x3dbl_1", SQUARE),
        Branch("3x3dbl_3a", "3x3dbl_2", (1, 3)),
        Branch("3x3dbl_3b", "3x3dbl_2", (3, 1)),
        Branch("pool", POOL),
    ),
    ("1x1", "3x3_2a", "3x3_2b", "3x3dbl_3a", "3x3dbl_3b", "pool"),
)
STEM = ("conv2d0", "conv2d1", "conv2d2", "conv2d3", "conv2d4")
BLOCKS = {
    **dict.fromkeys(("mixed0", "mixed1", "mixed2"), GRAINS),
    "mixed3": FIRST_REDUCTION,
    **dict.fromkeys(("mixed4", "mixed5", "mixed6", "mixed7"), PARTS),
    "mixed8": SECOND_REDUCTION,
    **dict.fromkeys(("mixed9", "mixed10"), THINGS),
}

WIDTHS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("conv2d0", (32,)),
    ("conv2d1", (32,)),
    ("conv2d2", (64,)),
    ("conv2d3", (80,)),
    ("conv2d4", (192,)),
    ("mixed0", (64, 48, 64, 64, 96, 96, 32)),
    ("mixed1", (64, 48, 64, 64, 96, 96, 64)),
    ("mixed2", (64, 48, 64, 64, 96, 96, 64)),
    ("mixed3", (384, 64, 96, 96)),
    ("mixed4", (192, 128, 128, 192, 128, 128, 128, 128, 192, 192)),
    ("mixed5", (192, 160, 160, 192, 160, 160, 160, 160, 192, 192)),
    ("mixed6", (192, 160, 160, 192, 160, 160, 160, 160, 192, 192)),
    ("mixed7", (192, 192, 192, 192, 192, 192, 192, 192, 192, 192)),
    ("mixed8", (192, 320, 192, 192, 192, 192)),
    ("mixed9", (320, 384, 384, 384, 448, 384, 384, 384, 192)),
    ("mixed10", (320, 384, 384, 384, 448, 384, 384, 384, 192)),
)
"""Of all published networks: a block's branches in the order above."""


@dataclass(frozen=True)
class Family:
    """What differs between the published variants."""

    count_padding: bool
    """Whether average pools count the padded zeros."""


FAMILIES: Registry[Family] = Registry("family of inception_v3")
FAMILIES.register("keras")(Family(count_padding=False))
# torchvision's and timm's.
FAMILIES.register("torch")(Family(count_padding=True))


@ARCHITECTURES.register("inception_v3")
class InceptionV3(Network):
    """The stem, eleven blocks, and the classifier; batch norms are folded into the kernels."""

    # The deeper one of those in TensorFlow 2's tutorial.
    FAVOURITES: ClassVar[dict[str, str]] = {
        "image": "mixed5",
        "zoom": "mixed5",
        "video": "mixed5",
    }

    @staticmethod
    def nodes(spec: ModelSpec) -> tuple[Node, ...]:
        """See `Network`."""
        widths = widths_of(spec, {name: len(counts) for name, counts in WIDTHS})
        family = FAMILIES[spec.family]
        halving, average = MaxPool(3, 2, "none"), AveragePool(3, 1, "same", family.count_padding)
        first, second, third, fourth, fifth = (widths[name][0] for name in STEM)
        made = [
            Node("conv2d0", Convolution(first, SQUARE, 2, "none"), (PIXELS,)),
            Node("conv2d1", Convolution(second, SQUARE, 1, "none"), ("conv2d0",)),
            Node("conv2d2", Convolution(third, SQUARE), ("conv2d1",)),
            Node("maxpool0", halving, ("conv2d2",)),
            Node("conv2d3", Convolution(fourth), ("maxpool0",)),
            Node("conv2d4", Convolution(fifth, SQUARE, 1, "none"), ("conv2d3",)),
            Node("maxpool1", halving, ("conv2d4",)),
        ]
        x = "maxpool1"
        for name, block in BLOCKS.items():
            places = {INPUT: x, POOL: f"{name}_pooled"}
            places |= {branch.name: f"{name}_{branch.name}" for branch in block.branches}
            made.append(Node(places[POOL], halving if block.halves else average, (x,)))
            for branch, width in zip(block.branches, widths[name], strict=True):
                stride, padding = (2, "none") if branch.halves else (1, "symmetric")
                layer = Convolution(width, branch.kernel, stride, padding)
                made.append(Node(places[branch.name], layer, (places[branch.source],)))
            made.append(Node(name, Join(), tuple(places[joined] for joined in block.joined)))
            x = name
        if spec.labels:
            made.append(Node(LOGITS, Classifier(len(spec.labels)), (x,)))
        return tuple(made)


CONVOLUTIONS = (
    *STEM,
    *(f"{name}_{branch.name}" for name, block in BLOCKS.items() for branch in block.branches),
)
"""All of them, in the order in which Keras makes them."""


def _torchvisions() -> dict[str, str]:
    stem = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
    names = dict(zip(STEM, stem, strict=True)) | {LOGITS: "fc"}
    letters = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
    for (name, block), letter in zip(BLOCKS.items(), letters, strict=True):
        names[name] = f"Mixed_{letter}"
        for branch in block.branches:
            joint = "_" if branch.name == "pool" else ""
            names[f"{name}_{branch.name}"] = f"Mixed_{letter}.branch{joint}{branch.name}"
    return names


def _kerases() -> dict[str, str]:
    # As numbered in the first network of a session.
    numbers = ("", *(f"_{index}" for index in range(1, len(CONVOLUTIONS))))
    names = {c: f"activation{n}" for c, n in zip(CONVOLUTIONS, numbers, strict=True)}
    return names | {LOGITS: "predictions"}


InceptionV3.NAMES = {"torchvision": _torchvisions(), "keras": _kerases()}
NAMES = InceptionV3.NAMES
