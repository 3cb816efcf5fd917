"""dreamvid layers: what a network offers to dream of."""

from typing import Annotated

import typer


def command(
    model: Annotated[
        str, typer.Option(help="Network: builtin, or a .safetensors file.")
    ] = "builtin",
) -> None:
    """List a network's layers, low to high, with their channels and strides."""
    from dreamvid.checkpoints.store import load

    described = load(model).describe()
    print(f"{'layer':<24}channels  stride (pixels)")
    for layer in described:
        if not layer.name.endswith("_pre_relu"):
            print(f"{layer.name:<24}{layer.channels:>8}{layer.stride:>8}")
    print("Each is there before its ReLU too, as NAME_pre_relu.")


command.__name__ = "layers"
