"""gordicaleksa/pytorch-deepdream, from a checkout of it, none of whose files is changed.

A burst is its own `deep_dream_static_image` with a pyramid of one level. The only thing of it that
is replaced, from outside, is what loads the network: once, and not for every picture.
"""
# pyright: reportMissingImports=false

import functools
import importlib
import os
import sys
import types
from pathlib import Path

import numpy as np
import worker

UNUSED = ("matplotlib.pyplot", "scipy.ndimage", "imageio")
"""What its files import, and what is measured does not call; empty modules stand in for them."""
FILE = "googlenet-1378be20.pth"
"""As torchvision calls the state dict where it has downloaded it."""


def stand_in() -> list[str]:
    """Puts empty modules for those of UNUSED that are not there."""
    missing = []
    for name in UNUSED:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
            package, _, part = name.partition(".")
            sys.modules[package] = types.ModuleType(package)
            if part:
                sys.modules[name] = types.ModuleType(name)
                setattr(sys.modules[package], part, sys.modules[name])
    return missing


def import_torchvision() -> types.ModuleType:
    """torchvision, also where its compiled operators do not load beside the torch that is there.

    Its GoogLeNet uses none of them, but the import refers to two.
    """
    import torch

    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    import_torchvision.kept = library  # or they would go with it
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision")


class Checkout:
    """Its loop, its network, its defaults."""

    def __init__(self, task: worker.Task):
        hub = Path(task.folder) / "hub" / "checkpoints"
        hub.mkdir(parents=True, exist_ok=True)
        (hub / FILE).symlink_to(Path(task.checkpoint).resolve())
        os.environ["TORCH_HOME"] = task.folder  # nothing is downloaded
        sys.path.insert(0, task.variant)
        missing = stand_in()
        import torch

        torch.set_num_threads(task.threads)
        torchvision = import_torchvision()
        import cv2
        import deepdream

        self.versions = {
            "PyTorch": torch.__version__,
            "torchvision": torchvision.__version__,
            "OpenCV": cv2.__version__,
        }
        if missing:
            self.versions["empty"] = ", ".join(missing)
        self._its = deepdream
        self._task, self._picture = task, task.picture
        self._dreamed = self._picture
        self._config = {
            "model_name": "GOOGLENET",
            "pretrained_weights": "IMAGENET",
            "layers_to_use": [task.name],
            "pyramid_size": 1,
            "pyramid_ratio": 1.8,
            "lr": 0.09,
            "spatial_shift_size": worker.JITTER,
            "smoothing_coefficient": 0.5,
        }
        fetch = functools.cache(deepdream.utils.fetch_and_prepare_model)
        deepdream.utils.fetch_and_prepare_model = fetch
        self._network = fetch("GOOGLENET", "IMAGENET", deepdream.DEVICE)
        if task.name not in self._network.layer_names:
            raise ValueError(f"its network has only {', '.join(self._network.layer_names)}")

    def burst(self, count: int) -> None:
        """See `Contender`."""
        config = self._config | {"num_gradient_ascent_iterations": count}
        np.random.seed(worker.SEED)
        self._dreamed = self._its.deep_dream_static_image(config, self._picture)

    def gradient(self, number: int) -> np.ndarray:
        """Of half of its loss, by what its network is given, and from there by RGB."""
        its, layer = self._its, self._config["layers_to_use"][0]
        seen = its.utils.pre_process_numpy_img(self._task.view(number))
        image = its.utils.pytorch_input_adapter(seen, its.DEVICE)
        act = getattr(self._network(image), layer)
        (0.5 * its.torch.nn.MSELoss()(act, its.torch.zeros_like(act))).backward()
        return its.utils.pytorch_output_adapter(image.grad) / its.IMAGENET_STD_1

    def dreamed(self) -> np.ndarray:
        """See `Contender`."""
        return self._dreamed


if __name__ == "__main__":
    worker.serve(Checkout)
