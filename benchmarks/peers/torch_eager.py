"""PyTorch, tuned by hand: the classic step, in one of its layouts or compiled.

Batch norm is folded into the convolutions, rectifiers work in place, the network ends at the layer,
and no parameter has a gradient.
"""
# pyright: reportMissingImports=false

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everyone calls it
import worker

VARIANTS = {
    "channels-first": torch.contiguous_format,
    "channels-last": torch.channels_last,
    "compiled": torch.channels_last,
}


class GoogLeNet(torch.nn.Module):
    """torchvision's, up to a layer."""

    def __init__(self, weights: dict[str, np.ndarray], last: str):
        super().__init__()
        self._last = last
        self._convolutions = torch.nn.ModuleDict()
        for name, kernel in weights.items():
            layer, _, part = name.rpartition("/")
            if part == "kernel" and kernel.ndim == 4:
                height, width, inputs, outputs = kernel.shape
                made = torch.nn.Conv2d(
                    inputs,
                    outputs,
                    (height, width),
                    stride=2 if height == 7 else 1,
                    padding=(height // 2, width // 2),
                )
                made.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
                made.bias.data = torch.from_numpy(weights[f"{layer}/bias"])
                self._convolutions[layer] = made
        mean, scale = (torch.from_numpy(weights[name]) for name in ("mean", "scale"))
        self.register_buffer("_factor", (255 * scale)[:, None, None])
        self.register_buffer("_shift", (-mean * scale)[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, h, w), RGB in [0, 1] -> the layer."""
        x = self._convolve("conv2d0", x * self._factor + self._shift)
        x = self._convolve("conv2d1", _halve(x))
        x = _halve(self._convolve("conv2d2", x))
        for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            if block == "4a":
                x = _halve(x)
            elif block == "5a":
                x = _halve(x, 2)
            x = self._block(f"mixed{block}", x)
            if f"mixed{block}" == self._last:
                break
        return x

    def _block(self, name: str, x: torch.Tensor) -> torch.Tensor:
        three = self._convolve(f"{name}/3x3", self._convolve(f"{name}/3x3_bottleneck", x))
        five = self._convolve(f"{name}/5x5", self._convolve(f"{name}/5x5_bottleneck", x))
        pooled = self._convolve(f"{name}/pool_reduce", F.max_pool2d(x, 3, 1, 1))
        return torch.cat((self._convolve(f"{name}/1x1", x), three, five, pooled), 1)

    def _convolve(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self._convolutions[name](x), inplace=True)


def _halve(x: torch.Tensor, side: int = 3) -> torch.Tensor:
    return F.max_pool2d(x, side, 2, ceil_mode=True)


class Eager:
    """The classic step."""

    def __init__(self, task: worker.Task):
        torch.set_num_threads(task.threads)
        self.versions = {"PyTorch": torch.__version__}
        self._task, self._format = task, VARIANTS[task.variant]
        self._shifts = task.shifts
        network = GoogLeNet(task.weights, task.layer).eval().requires_grad_(False)
        self._network = network.to(memory_format=self._format)
        if task.variant == "compiled":
            self._network = torch.compile(self._network, dynamic=False)
        self._image = self._dreamed = self._from_hwc(task.picture)

    def burst(self, count: int) -> None:
        """See `Contender`."""
        image = self._image
        for shift in self._shifts[:count]:
            gradient = self._slope(image.roll(shift, (2, 3)))
            gradient = gradient.roll([-by for by in shift], (2, 3))
            gradient *= worker.RATE / 255 / gradient.abs().mean()
            image = (image + gradient).clamp_(0, 1)
        self._dreamed = image

    def gradient(self, number: int) -> np.ndarray:
        """See `Contender`."""
        return _as_hwc(self._slope(self._from_hwc(self._task.view(number))))

    def dreamed(self) -> np.ndarray:
        """See `Contender`."""
        return _as_hwc(self._dreamed)

    def _from_hwc(self, picture: np.ndarray) -> torch.Tensor:
        image = torch.from_numpy(picture).permute(2, 0, 1)[None]
        return image.contiguous(memory_format=self._format)

    def _slope(self, image: torch.Tensor) -> torch.Tensor:
        image = image.contiguous(memory_format=self._format).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(0.5 * self._network(image).square().mean(), image)
        return gradient


def _as_hwc(value: torch.Tensor) -> np.ndarray:
    """(1, 3, h, w) -> (h, w, 3)."""
    return value.detach()[0].permute(1, 2, 0).numpy()


if __name__ == "__main__":
    worker.serve(Eager)
