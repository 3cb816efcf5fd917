"""GoogLeNet and InceptionV3 of torchvision with random weights, saved as the published files are.

Run as: python torchvision_networks.py FOLDER [FAMILY ...]
"""
# pyright: reportMissingImports=false

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import networks
import torch_recording

# isort: split
import torchvision  # after torch_recording

# What the weights' own transform subtracts and divides by, before the network's transform_input.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(family: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    if family == "torchvision_googlenet":
        make = torchvision.models.googlenet
        layers = [c.layer for c in networks.v1_convolutions(networks.V1_BLOCKS, 3)]
        layers += networks.V1_BLOCKS
        module_of = networks.torchvision_v1_name
    else:
        make = torchvision.models.inception_v3
        layers = [c.layer for c in networks.v3_convolutions()] + [f"mixed{i}" for i in range(11)]
        module_of = networks.torch_v3_name
    model = make(weights=None, init_weights=False, transform_input=True, aux_logits=True)
    torch_recording.load(model, family)
    return model, torch_recording.listen(model, layers, module_of)


def main(folder: Path, families: list[str]) -> None:
    for family in families or ["torchvision_googlenet", "torchvision_inception_v3"]:
        model, heard = build(family)
        path = folder / f"{family}.pth"
        # Both containers that PyTorch has written over the years.
        zipped = family == "torchvision_inception_v3"
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=zipped)
        mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
        torch_recording.record(folder, family, lambda x: model((x - mean) / std), heard)  # noqa: B023
        versions = f"{torchvision.__version__} on PyTorch {torch.__version__}"
        networks.save_facts(folder, family, "torchvision", versions, file=path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
