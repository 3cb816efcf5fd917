"""Inception V1 (GoogLeNet): TensorFlow's, Caffe's, torchvision's, and one with its norms folded.

Source: Szegedy et al. 2014, "Going Deeper with Convolutions", table 1. Layers carry the names of
the TensorFlow network "inception5h".
"""

from dataclasses import dataclass
from typing import ClassVar

from dreamvid.models.layers import LocalResponseNorm, Padding
from dreamvid.models.network import (
    ARCHITECTURES,
    LOGITS,
    PIXELS,
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

# A block's convolutions, in the order of the widths in a spec ...
BRANCHES = ("1x1", "3x3_bottleneck", "3x3", "5x5_bottleneck", "5x5", "pool_reduce")
# ... and those whose outputs are the block's.
JOINED = ("1x1", "3x3", "5x5", "pool_reduce")

WIDTHS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("conv2d0", (64,)),
    ("conv2d1", (64,)),
    ("conv2d2", (192,)),
    ("mixed3a", (64, 96, 128, 16, 32, 32)),
    ("mixed3b", (128, 128, 192, 32, 96, 64)),
    ("mixed4a", (192, 96, 208, 16, 48, 64)),
    ("mixed4b", (160, 112, 224, 24, 64, 64)),
    ("mixed4c", (128, 128, 256, 24, 64, 64)),
    ("mixed4d", (112, 144, 288, 32, 64, 64)),
    ("mixed4e", (256, 160, 320, 32, 128, 128)),
    ("mixed5a", (256, 160, 320, 32, 128, 128)),
    ("mixed5b", (384, 192, 384, 48, 128, 128)),
)
"""Of the paper, as Caffe's and torchvision's networks have them."""
WIDTHS_5H = tuple(
    {
        **dict(WIDTHS),
        "mixed4a": (192, 96, 204, 16, 48, 64),
        "mixed5a": (256, 160, 320, 48, 128, 128),
    }.items()
)
"""Of TensorFlow's inception5h, which departs from the paper in two places."""
BLOCKS = tuple(name for name, widths in WIDTHS if len(widths) == len(BRANCHES))


@dataclass(frozen=True)
class Family:
    """What differs between the published variants."""

    conv_padding: Padding
    pool_padding: Padding
    normalise: LocalResponseNorm | None
    five: int = 5
    """Side of the "5x5" convolutions' kernels."""
    last_pool: int = 3
    """Side of the window of the pool before mixed5a."""


FAMILIES: Registry[Family] = Registry("family of inception_v1")
# inception5h: SAME padding everywhere.
FAMILIES.register("tf")(Family("same", "same", LocalResponseNorm(5, 2.0, 1e-4, 0.5)))
# bvlc_googlenet and its kin: explicit padding, pools that round up.
FAMILIES.register("caffe")(Family("symmetric", "ceil", LocalResponseNorm(2, 1.0, 1e-4 / 5, 0.75)))
# Trained with batch norm, which is folded into the kernels: torchvision's, and our own.
FAMILIES.register("torchvision")(Family("symmetric", "ceil", None, five=3, last_pool=2))
FAMILIES.register("folded")(Family("symmetric", "symmetric", None))


@ARCHITECTURES.register("inception_v1")
class InceptionV1(Network):
    """The stem, nine blocks of four branches each, and the classifier."""

    # The still's is that of the 2015 program.
    FAVOURITES: ClassVar[dict[str, str]] = {
        "image": "mixed4c",
        "zoom": "mixed4e",
        "video": "mixed4c",
    }

    @classmethod
    def favourites(cls, spec: ModelSpec) -> dict[str, str]:
        """See `Network`. Our own, trained on few pictures, know whole things at the top only."""
        return cls.FAVOURITES | ({"zoom": "mixed5a"} if spec.family == "folded" else {})

    @staticmethod
    def nodes(spec: ModelSpec) -> tuple[Node, ...]:
        """See `Network`."""
        widths = widths_of(spec, {name: len(counts) for name, counts in WIDTHS})
        family = FAMILIES[spec.family]
        made: list[Node] = []

        def convolve(name: str, source: str, width: int, side: int, stride: int = 1) -> str:
            layer = Convolution(width, (side, side), stride, family.conv_padding)
            made.append(Node(name, layer, (source,)))
            return name

        def pool(name: str, source: str, side: int = 3) -> str:
            made.append(Node(name, MaxPool(side, 2, family.pool_padding), (source,)))
            return name

        def normalise(name: str, source: str) -> str:
            if family.normalise is None:
                return source
            made.append(Node(name, family.normalise, (source,)))
            return name

        x = pool("maxpool0", convolve("conv2d0", PIXELS, *widths["conv2d0"], side=7, stride=2))
        x = normalise("localresponsenorm0", x)
        x = convolve("conv2d1", x, *widths["conv2d1"], side=1)
        x = convolve("conv2d2", x, *widths["conv2d2"], side=3)
        x = pool("maxpool1", normalise("localresponsenorm1", x))
        for block in BLOCKS:
            if block == "mixed4a":
                x = pool("maxpool4", x)
            elif block == "mixed5a":
                x = pool("maxpool10", x, family.last_pool)
            for branch, width in zip(BRANCHES, widths[block], strict=True):
                if branch == "pool_reduce":
                    made.append(Node(f"{block}_pool", MaxPool(3, 1, "symmetric"), (x,)))
                side = {"3x3": 3, "5x5": family.five}.get(branch, 1)
                source = {
                    "3x3": f"{block}_3x3_bottleneck",
                    "5x5": f"{block}_5x5_bottleneck",
                    "pool_reduce": f"{block}_pool",
                }.get(branch, x)
                convolve(f"{block}_{branch}", source, width, side)
            made.append(Node(block, Join(), tuple(f"{block}_{branch}" for branch in JOINED)))
            x = block
        if spec.labels:
            made.append(Node(LOGITS, Classifier(len(spec.labels)), (x,)))
        return tuple(made)


def _names(
    stem: tuple[str, str, str], block: str, branches: str, whole: str, head: str
) -> dict[str, str]:
    """What a framework calls our layers.

    Args:
      stem: The first three convolutions.
      block: What stands before "4c".
      branches: What stands behind it, for each of BRANCHES, separated by spaces.
      whole: What stands behind it for the block itself.
      head: The classifier.
    """
    names: dict[str, str] = dict(zip(("conv2d0", "conv2d1", "conv2d2"), stem, strict=True))
    for name in BLOCKS:
        prefix = block + name.removeprefix("mixed")
        names[name] = prefix + whole
        for ours, theirs in zip(BRANCHES, branches.split(), strict=True):
            names[f"{name}_{ours}"] = prefix + theirs
    return names | {LOGITS: head}


InceptionV1.NAMES = {
    "caffe": _names(
        ("conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3"),
        "inception_",
        "/1x1 /3x3_reduce /3x3 /5x5_reduce /5x5 /pool_proj",
        "/output",
        "loss3/classifier",
    ),
    "torchvision": _names(
        ("conv1", "conv2", "conv3"),
        "inception",
        ".branch1 .branch2.0 .branch2.1 .branch3.0 .branch3.1 .branch4.1",
        "",
        "fc",
    ),
    "tensorflow": {LOGITS: "softmax2_pre_activation"},
}
NAMES = InceptionV1.NAMES
