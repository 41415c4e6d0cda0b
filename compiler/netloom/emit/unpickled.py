"""`python -m netloom.emit.unpickled FROM TO`: a pickled state dict as a safetensors file.

It runs in a process of its own, because unpickling is where a hostile file would do harm.
`weights_only` makes tensors and plain containers, and refuses everything else.
"""

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
        sys.exit(str(problem).strip().partition("\n")[0] or type(problem).__name__)
    state = _state_dict(found)
    if state is None:
        sys.exit("it holds no state dict")
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, target)


def _state_dict(found: Any) -> dict[str, Tensor] | None:
    if not isinstance(found, dict):
        return None
    inner = next((found[name] for name in AROUND if isinstance(found.get(name), dict)), found)
    tensors = {name: tensor for name, tensor in inner.items() if isinstance(tensor, Tensor)}
    return tensors if tensors and len(tensors) == len(inner) else None


if __name__ == "__main__":
    main(*sys.argv[1:])
