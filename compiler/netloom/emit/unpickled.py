"""`python -m netloom.emit.unpickled FROM TO`: a pickled state dict as a safetensors file.

It runs in a process of its own, because unpickling is where a hostile file would do harm.
`weights_only` makes tensors and plain containers, and refuses everything else.
"""

import re
import sys
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

AROUND = ("state_dict", "model")
"""Where a training script keeps the state dict beside other things."""


def main(source: str, target: str) -> None:
    """Reads `source` and writes `target`; exits with a line on stderr where that cannot be done."""
    try:
        found = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as problem:  # whatever a broken or hostile file brings about
        sys.exit(_reason(f"{problem}"))
    state = _state_dict(found)
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, target)


def _reason(told: str) -> str:
    """What is wrong with a file, of which PyTorch's own words say how to read it nevertheless."""
    refused = re.search(r"GLOBAL (\S+) was not an allowed", told)
    if refused:
        return f"it holds an object of `{refused[1]}`, and not tensors only"
    if "TorchScript" in told:
        return "it is a TorchScript program, not a state dict"
    return "it is damaged, or was not made by `torch.save`"


def _state_dict(found: Any) -> dict[str, Tensor]:
    """The tensors by name; exits with a reason where there is something else."""
    if not isinstance(found, dict):
        sys.exit(f"it holds no state dict but {type(found).__name__}")
    inner = next((found[name] for name in AROUND if isinstance(found.get(name), dict)), found)
    for name, each in inner.items():
        if not isinstance(each, Tensor):
            sys.exit(f"it is no state dict: `{name}` is {type(each).__name__}, not a tensor")
    return inner


if __name__ == "__main__":
    main(*sys.argv[1:])
