"""What the scripts for torchvision and timm share: to import torchvision, load, listen, record."""
# pyright: reportMissingImports=false

from collections.abc import Callable, Iterable
from pathlib import Path

import networks
import torch

# torchvision, which timm imports too, has compiled operators, which do not load beside a torch they
# were not built for. No network here uses them, but the import refers to these two.
DECLARED = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    DECLARED.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def load(model: torch.nn.Module, family: str) -> None:
    """Put our tensors into a model; only its counts of training batches stay as they are."""
    weights = {k: torch.from_numpy(v) for k, v in networks.torch_tensors(family).items()}
    left = model.load_state_dict(weights, strict=False)
    assert not left.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in left.missing_keys)
    model.eval().requires_grad_(False)


def listen(
    model: torch.nn.Module,
    layers: Iterable[str],
    module_of: Callable[[str], str],
    *,
    fused: bool = False,
) -> dict[str, torch.Tensor]:
    """A dict that every later pass through the model fills with its layers.

    Args:
      model: The original.
      layers: Our names of them.
      module_of: Our name -> the module's.
      fused: The rectifier is a part of the batch norm, as in timm.
    """
    heard = {}

    def hear(name: str) -> Callable[..., None]:
        def keep(module: torch.nn.Module, inputs: tuple, output: torch.Tensor | None = None):
            # A copy: the rectifiers work in place. Before a module there is no output yet.
            heard[name] = (inputs[0] if output is None else output).clone()

        return keep

    for layer in layers:
        module = model.get_submodule(module_of(layer))
        module.register_forward_hook(hear(layer))
        if hasattr(module, "bn"):
            before = hear(f"{layer}_pre_relu")
            if fused:
                module.bn.act.register_forward_pre_hook(before)
            else:
                module.bn.register_forward_hook(before)
    return heard


def record(
    folder: Path,
    family: str,
    forward: Callable[[torch.Tensor], torch.Tensor],
    heard: dict[str, torch.Tensor],
) -> None:
    """Save every layer, the classifier's outputs and the gradient at each size.

    Args:
      folder: Where to.
      family: One of `networks.FAMILIES`.
      forward: (1, 3, h, w), RGB in [0, 1] -> the outputs, by way of the published preprocessing.
      heard: What `listen` gave.
    """
    facts = networks.FAMILIES[family]
    for size, number in facts.shown.items():
        levels = torch.from_numpy(networks.picture(*size, number))
        image = (levels / 255).permute(2, 0, 1)[None].requires_grad_()
        logits = forward(image)
        score = 0.5 * heard[facts.objective].square().sum()
        (by,) = torch.autograd.grad(score, image)
        layers = {name: as_hwc(value) for name, value in heard.items()}
        layers["logits"] = logits.detach()[None].numpy()
        networks.save(folder, family, size, layers, as_hwc(by))


def as_hwc(value: torch.Tensor):
    """(1, c, h, w) -> a NumPy array (h, w, c)."""
    return value.detach()[0].permute(1, 2, 0).numpy()
