"""InceptionV3 of timm with random weights, saved as safetensors.

Run as: python timm_inception_v3.py FOLDER
"""
# pyright: reportMissingImports=false

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import networks
import torch_recording

# isort: split
import timm  # imports torchvision, and so after torch_recording

FAMILY = "timm_inception_v3"


def main(folder: Path) -> None:
    model = timm.create_model("inception_v3.tv_in1k")
    torch_recording.load(model, FAMILY)
    layers = [c.layer for c in networks.v3_convolutions()] + [f"mixed{i}" for i in range(11)]
    heard = torch_recording.listen(model, layers, networks.torch_v3_name, fused=True)
    path = folder / f"{FAMILY}.safetensors"
    save_file(model.state_dict(), path)
    mean, std = (torch.tensor(model.default_cfg[k])[:, None, None] for k in ("mean", "std"))
    torch_recording.record(folder, FAMILY, lambda x: model((x - mean) / std), heard)
    versions = f"{timm.__version__} on PyTorch {torch.__version__}"
    networks.save_facts(folder, FAMILY, "timm", versions, file=path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
