"""dreamvid layers: what a network offers to dream of."""

from typing import Annotated

import typer

Network = Annotated[
    str, typer.Option(help="Network: a name (see: dreamvid weights list), or a file.")
]
Classes = Annotated[
    bool, typer.Option("--classes", help="List the classes instead, the channels of logits.")
]
Shown = Annotated[str, typer.Option(metavar="<size>", help="Picture whose work is counted.")]


def command(*, model: Network = "auto", size: Shown = "640x360", classes: Classes = False) -> None:
    """List a network's layers, low to high: channels, stride, what a position sees, work."""
    from dreamvid.checkpoints import store
    from dreamvid.errors import OptionError
    from dreamvid.fields import Size
    from dreamvid.models.network import LOGITS

    try:
        picture = Size.parse(size)
        if min(picture.width, picture.height) < 1:
            raise ValueError
    except ValueError:
        raise OptionError("--size", f"is {size!r}: write it like 640x360") from None
    name = store.resolve(model)
    network = store.load(name)
    if classes:
        if not network.spec.labels:
            raise OptionError("--classes", f"finds none: {name} has no classifier")
        for index, label in enumerate(network.spec.labels):
            print(f"{index:>5}  {label}")
        return
    layers = [layer for layer in network.describe() if not layer.name.endswith("_pre_relu")]
    width = max(len(layer.name) for layer in layers) + 2
    print(f"{name}: {network.spec.architecture}, {network.spec.family} family")
    print(f"{'layer':<{width}}channels  stride      field  GFLOP at {picture}")
    for layer in layers:
        # A classifier sees the whole picture, and has no stride.
        everywhere = layer.name == LOGITS
        stride = "-" if everywhere else layer.stride
        field = "all" if everywhere else "x".join(map(str, reversed(layer.field)))
        work = layer.flops * picture.width * picture.height / 1e9
        print(f"{layer.name:<{width}}{layer.channels:>8}{stride:>8}{field:>11}{work:>10.3g}")
    print("Stride and field (width x height) are in pixels of the picture.")
    print("Each but logits is there before its ReLU too, as NAME_pre_relu.")


command.__name__ = "layers"
