"""Makes the small PyTorch files beside it. Made with PyTorch 2.13.0."""

import warnings
from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent

values = torch.arange(24, dtype=torch.float32) / 8 - 1
state = OrderedDict(
    plain=values.reshape(2, 3, 4),
    transposed=values.reshape(4, 6).T,
    strided=values[3:20:4],
    half=values[:5].half(),
    bfloat16=values[:5].bfloat16(),
    double=values[:5].double(),
    parameter=torch.nn.Parameter(values[:4].clone()),
    empty=torch.zeros(0, 3),
    num_batches_tracked=torch.tensor(7),
)
state._metadata = OrderedDict({"": {"version": 1}})
wrapped = {"epoch": 3, "best": torch.tensor(0.5), "state_dict": {}}
wrapped["state_dict"] = {f"module.{name}": tensor for name, tensor in state.items()}

torch.save(state, HERE / "zip.pth")
torch.save(state, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(state, HERE / "protocol-4.pth", pickle_protocol=4)
torch.save(wrapped, HERE / "wrapped.pth")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.save(torch.nn.Linear(1, 1), HERE / "module.pth")
    legacy = {"_use_new_zipfile_serialization": False}
    torch.save(torch.nn.Linear(1, 1), HERE / "module-legacy.pth", **legacy)
