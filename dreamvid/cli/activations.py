"""dreamvid activations: what a layer sees in a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dreamvid.cli.flags import Network, Overwrite, output
from dreamvid.errors import OptionError

if TYPE_CHECKING:
    import numpy as np

    from dreamvid.models import Model
    from dreamvid.models.spec import LayerInfo, ModelSpec

ARRAYS = ".npz"
SHOWN = 640
"""Pixels: heat maps on a sheet have no longer side, since layers are much coarser than that."""

Layer = Annotated[str, typer.Option(help="Layer to look through. See: dreamvid layers.")]
Channels = Annotated[
    str,
    typer.Option(metavar="<count>", help="Show so many, the most excited ones, or all."),
]
LongestSide = Annotated[
    int, typer.Option("--max-side", min=16, help="Scale larger pictures down to this, in pixels.")
]


def command(
    picture: Annotated[Path, typer.Argument(metavar="IMAGE", help="The picture to look at.")],
    *,
    output: output(  # type: ignore[valid-type]
        "A sheet, .png; a page to search in, .html; or the numbers as arrays, .npz."
    ),
    layer: Layer,
    model: Network = "auto",
    channels: Channels = "24",
    max_side: LongestSide = 1024,
    overwrite: Overwrite = False,
) -> None:
    """Show what a layer sees in a picture: heat maps of its channels, laid over it.

    A heat map is scaled to its channel's own maximum. The .npz holds `activations`, float32
    (rows, columns, channels) with all channels; `image`, uint8; `layer`, `model` and `stride`.
    """
    from dreamvid.checkpoints import store
    from dreamvid.media.stills import read_picture, within
    from dreamvid.media.target import check_target
    from dreamvid.opening import is_same
    from dreamvid.sheets import FORMATS, write_sheet

    count = _count(channels)
    check_target(output, (*FORMATS, ARRAYS), overwrite)
    if is_same(picture, output):
        raise OptionError("--output", f"{output} is the picture itself: choose another name")
    pixels = within(read_picture(picture).flattened(), max_side)
    name = store.resolve(model)
    network = store.load(name)
    info = _layer(network, layer, name, pixels)
    activations, shown = _look(network, pixels, info)
    if output.suffix.lower() == ARRAYS:
        facts = {"layer": info.name, "model": name, "stride": info.stride}
        _write_arrays(output, {"activations": activations, "image": shown, **facts}, overwrite)
    else:
        title = f"What {info.name} of {name} sees in {picture.name}"
        tiles = _tiles(picture.name, shown, activations, network.spec, info.name, count)
        write_sheet(output, tiles, title, _about(picture, name, info.name), overwrite)
    print(output)


command.__name__ = "activations"


def _count(channels: str) -> int | None:
    """How many channels to show; None for all."""
    if channels == "all":
        return None
    if not (channels.isascii() and channels.isdigit() and int(channels) > 0):
        raise OptionError("--channels", f"is {channels!r}: give how many to show, or all")
    return int(channels)


def _layer(network: "Model", layer: str, name: str, pixels: "np.ndarray") -> "LayerInfo":
    """What is known of a layer that the network has and that the picture is large enough for."""
    from dreamvid.models.model import check_size
    from dreamvid.plan import find_layer

    info = find_layer(network, layer, name)
    height, width = pixels.shape[:2]
    check_size(width, height, f"the picture seen by {info.name}", info.smallest)
    return info


def _look(
    network: "Model", pixels: "np.ndarray", info: "LayerInfo"
) -> tuple["np.ndarray", "np.ndarray"]:
    """The activations, float32 (h', w', c), and what was looked at, uint8 (h, w, 3)."""
    import jax.numpy as jnp
    import numpy as np

    from dreamvid.ops import to_8bit

    image = jnp.asarray(pixels)
    seen = network.activations(image, [info.name])[info.name]
    return np.asarray(seen), np.asarray(to_8bit(image))


def _tiles(
    name: str,
    picture: "np.ndarray",
    activations: "np.ndarray",
    spec: "ModelSpec",
    layer: str,
    count: int | None,
) -> list[Any]:
    """The picture itself, then the heat of the most excited channels."""
    import numpy as np

    from dreamvid.heat import centres, energy, overlays
    from dreamvid.media.stills import within
    from dreamvid.models.network import LOGITS
    from dreamvid.sheets import Tile

    energies = energy(activations)
    # Of equals, the first.
    channels = [int(channel) for channel in np.argsort(-energies, kind="stable")[:count]]
    height, width = picture.shape[:2]
    small = within(picture.astype(np.float32) / 255, SHOWN)
    small = np.round(255 * small).astype(np.uint8)
    rows, columns, total = activations.shape
    note = f"{width}x{height} pixels, {columns}x{rows} places, {len(channels)} of {total} channels"
    tiles = [Tile(name, small, note=note)]
    places = [centres(spec, layer, side) for side in (height, width)]
    heats = overlays(small, activations, channels, *places)
    for channel, heat in zip(channels, heats, strict=True):
        values = activations[..., channel]
        if values.size == 1:
            note = f"{values.item():.3g}; brightest at the largest of all"
        else:
            note = f"mean {values.mean():.3g}; brightest at its max {values.max():.3g}"
        title = f"{layer}:{channel}"
        if layer == LOGITS and spec.labels:
            title = f"{spec.labels[channel]} ({channel})"
        score = float(energies[channel])
        tiles.append(Tile(title, heat, f"{layer}:{channel}", note, score))
    return tiles


def _about(picture: Path, model: str, layer: str) -> str:
    from dreamvid.checkpoints.store import digest
    from dreamvid.paths import sha256_of
    from dreamvid.plan import NETWORK_DIGEST

    facts = {
        "activations of": picture.name,
        "picture sha256": sha256_of(picture),
        "layer": layer,
        "network": model,
        NETWORK_DIGEST: digest(model),
    }
    return "\n".join(f"{name}: {fact}" for name, fact in facts.items())


def _write_arrays(path: Path, arrays: dict[str, Any], overwrite: bool) -> None:
    import io

    import numpy as np

    from dreamvid.media.target import replacing, writing

    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    with replacing(path, overwrite) as scratch, writing(path):
        scratch.write_bytes(data.getvalue())
