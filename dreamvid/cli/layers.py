"""dreamvid layers: what a network offers to dream of."""

import dataclasses
from collections.abc import Iterator
from typing import Annotated

import typer

from dreamvid.cli.flags import Network

Classes = Annotated[
    bool, typer.Option("--classes", help="List the classes instead, the channels of logits.")
]
Objectives = Annotated[
    bool, typer.Option("--objectives", help="List instead what --objective can say.")
]
Shown = Annotated[str, typer.Option(metavar="<size>", help="Picture whose work is counted.")]


def command(
    *,
    model: Network = "auto",
    size: Shown = "640x360",
    classes: Classes = False,
    objectives: Objectives = False,
) -> None:
    """List a network's layers, low to high: channels, stride, what a position sees, work."""
    from dreamvid.checkpoints import store
    from dreamvid.errors import OptionError
    from dreamvid.fields import Size
    from dreamvid.models.network import LOGITS

    if objectives:
        print("\n".join(_objectives()))
        return
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


def _objectives() -> Iterator[str]:
    """What an objective's text may say, a line each."""
    from dreamvid.objectives import OBJECTIVES
    from dreamvid.shapes import SHAPES

    yield 'An objective is a sum such as "mixed4c:61 + 0.3*mixed3b - 0.1*tv". Numbers may be'
    yield "schedules in parentheses, (0:(1), 2s:(0.2))*mixed3b; names of files stand in quotes."
    yield ""
    yield _entry("mixed4c", "A layer: short for layer(mixed4c).")
    yield _entry("mixed4c:61", "A channel: short for channel(mixed4c, 61).")
    yield _entry("class:sunflower", "A class: short for class(sunflower).")
    for name in OBJECTIVES:
        yield _described(name, OBJECTIVES[name])
    yield ""
    yield "A guide is a picture, a folder or a film. Of a folder, picture=3 chooses one; otherwise"
    yield "they take turns over the clip. Behind a term stands where it counts:"
    yield ""
    yield _entry('mixed4c:61 @ "mask.png"', "A picture, a folder or a film: where it is white.")
    for name in SHAPES:
        yield _described(f"mixed4c:61 @ {name}", SHAPES[name])


def _described(name: str, kind: type) -> str:
    """A name with its arguments, and what it is."""
    words = []
    for f in dataclasses.fields(kind):
        default = "" if f.default is dataclasses.MISSING else f"={f.default}"
        is_file = f.metadata.get("kind") in ("picture", "table")
        words.append(f'"{f.name}"' if is_file else f.name + default)
    call = f"{name}({', '.join(words)})" if words else name
    return _entry(call, (kind.__doc__ or "").splitlines()[0])


def _entry(call: str, told: str) -> str:
    return f"{call:<26}{told}" if len(call) < 26 else f"{call}\n{'':<26}{told}"


command.__name__ = "layers"
