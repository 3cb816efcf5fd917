"""Caffe's layer rules for bvlc_googlenet in PyTorch, for the gradient that OpenCV does not have.

Takes up what opencv_googlenet.py left in the folder, and says how far the two are apart.

Source: Caffe's layer catalogue; pooling rounds its outputs up and cuts windows at the border, LRN
across channels is x / (1 + alpha / n * sum of x^2 over n channels) ** beta.

Run as: python torch_googlenet_caffe_rules.py FOLDER
"""
# pyright: reportMissingImports=false

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import networks

FAMILY = "bvlc_googlenet"


def pool(x: torch.Tensor, stride: int = 2, pad: int = 0) -> torch.Tensor:
    sides = []
    for side in x.shape[2:]:
        outputs = -(-(side + 2 * pad - 3) // stride) + 1
        # A last window must begin within the picture or the padding before it.
        if pad and (outputs - 1) * stride >= side + pad:
            outputs -= 1
        sides.append((pad, (outputs - 1) * stride + 3 - side - pad))
    (top, bottom), (left, right) = sides
    return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-torch.inf), 3, stride)


def normalise(x: torch.Tensor, n: int = 5, alpha: float = 1e-4, beta: float = 0.75) -> torch.Tensor:
    squares = F.pad(x.square(), (0, 0, 0, 0, n // 2, n // 2))
    total = sum(squares[:, i : i + x.shape[1]] for i in range(n))
    return x / (1 + alpha / n * total) ** beta


def forward(image: torch.Tensor, head: bool) -> dict[str, torch.Tensor]:
    """(1, 3, h, w), RGB in [0, 1] -> every layer, (1, c, h', w') each."""
    weights = {
        name: (torch.from_numpy(kernel), torch.from_numpy(bias))
        for name, (kernel, bias) in networks.bvlc_googlenet().items()
    }
    acts = {}

    def conv(layer: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        kernel, bias = weights[networks.caffe_name(layer)]
        pad = kernel.shape[-1] // 2
        acts[f"{layer}_pre_relu"] = F.conv2d(x, kernel, bias, stride, pad)
        acts[layer] = acts[f"{layer}_pre_relu"].clamp(min=0)
        return acts[layer]

    levels = 255 * image.flip(1) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    x = normalise(pool(conv("conv2d0", levels, 2)))
    x = pool(normalise(conv("conv2d2", conv("conv2d1", x))))
    for block in networks.V1_BLOCKS:
        if block in ("mixed4a", "mixed5a"):
            x = pool(x)
        branches = (
            conv(f"{block}_1x1", x),
            conv(f"{block}_3x3", conv(f"{block}_3x3_bottleneck", x)),
            conv(f"{block}_5x5", conv(f"{block}_5x5_bottleneck", x)),
            conv(f"{block}_pool_reduce", pool(x, 1, 1)),
        )
        x = acts[block] = torch.cat(branches, 1)
    if head:
        kernel, bias = weights["loss3/classifier"]
        assert x.shape[2:] == (7, 7)
        acts["logits"] = F.linear(x.mean((2, 3)), kernel, bias)[:, :, None, None]
    return acts


def main(folder: Path) -> None:
    facts = networks.FAMILIES[FAMILY]
    apart = {}
    for size, number in facts.shown.items():
        levels = torch.from_numpy(networks.picture(*size, number))
        image = (levels / 255).permute(2, 0, 1)[None].requires_grad_()
        with np.load(folder / f"{FAMILY}-{size[0]}x{size[1]}-opencv.npz") as file:
            original = dict(file)
        acts = forward(image, "logits" in original)
        (by,) = torch.autograd.grad(0.5 * acts[facts.objective].square().sum(), image)
        assert acts.keys() == original.keys()
        worst = {}
        for name, reference in original.items():
            found = acts[name].detach()[0].permute(1, 2, 0).numpy()
            worst[name] = float(np.abs(found - reference).max() / np.abs(reference).max())
        apart[f"{size[0]}x{size[1]}"] = max(worst.values())
        networks.save(folder, FAMILY, size, original, by[0].permute(1, 2, 0).numpy())
    told = json.loads((folder / f"{FAMILY}.json").read_text())
    told["gradient_from"] = f"Caffe's layer rules in PyTorch {torch.__version__}"
    told["transcription_apart"] = apart
    networks.save_facts(folder, **told)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
