"""A spec beside the same network written by hand in PyTorch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Sizes = Mapping[str, int]
"""What the letters of the input shapes stand for."""

MAPS: tuple[Sizes, ...] = (
    {"N": 1, "h": 9, "w": 11},
    {"N": 2, "h": 16, "w": 13},
    {"N": 3, "h": 17, "w": 10},
    {"N": 1, "h": 12, "w": 19},
)
"""Feature maps: batch 1 and larger, odd, prime and even sides."""

PROBE: Sizes = {"N": 1, "h": 29, "w": 31}
"""A map that is large enough for an interior, where receptive fields are measured."""


@dataclass(frozen=True)
class Case:
    """One network twice: `text` is the spec, `reference` the module that means the same.

    `shapes` are the shapes of the inputs with letters for sizes, `sizes` what to put for them.
    `reference().forward` takes the inputs in order and returns the heads in order, and its
    parameters have the names that the spec documents. `draw` makes inputs where random numbers
    will not do.
    """

    title: str
    text: str
    shapes: tuple[tuple[int | str, ...], ...]
    reference: Callable[[], nn.Module]
    heads: tuple[str, ...]
    sizes: tuple[Sizes, ...]
    probe: Sizes
    draw: Callable[[torch.Generator, list[tuple[int, ...]]], list[Tensor]] | None = None

    def __repr__(self) -> str:
        return self.title

    def inputs(self, sizes: Sizes, seed: int = 0) -> tuple[Tensor, ...]:
        """Inputs of those sizes in float64, positive and negative ones among them."""
        generator = torch.Generator().manual_seed(seed)
        shapes = [tuple(_number(dim, sizes) for dim in shape) for shape in self.shapes]
        if self.draw:
            return tuple(self.draw(generator, shapes))
        return tuple(
            torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
        )


def _number(dim: int | str, sizes: Sizes) -> int:
    """A side of a shape: a number, a letter, or `32*h`."""
    if isinstance(dim, int):
        return dim
    factor, _, letter = dim.rpartition("*")
    return int(factor or 1) * sizes[letter]


def network(inputs: Mapping[str, tuple[int | str, ...]], body: str, *heads: str) -> str:
    """The text of a spec with one network."""
    lines = [
        f"input {name}: float32[{', '.join(map(str, shape))}]" for name, shape in inputs.items()
    ]
    lines += [line.strip() for line in body.strip().splitlines()]
    lines += [f"head {name}" for name in heads]
    return "network net {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def layer(
    call: str,
    reference: Callable[[], nn.Module],
    shape: tuple[int | str, ...] = ("N", 6, "h", "w"),
    sizes: tuple[Sizes, ...] = MAPS,
    probe: Sizes = PROBE,
) -> Case:
    """A network of one layer named `y`."""
    body = f"y = {call}"
    return Case(
        f"{call} on [{', '.join(map(str, shape))}]",
        network({"x": shape}, body, "y"),
        (shape,),
        lambda: Chain(y=reference()),
        ("y",),
        sizes,
        probe,
    )


class Chain(nn.Module):
    """Named layers, one after the other; results that are tuples are passed on as they are."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, module in layers.items():
            self.add_module(name, module)

    def forward(self, *values: Any) -> tuple[Any, ...]:
        for module in self.children():
            result = module(*values)
            values = result if isinstance(result, tuple) else (result,)
        return values


class Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *values: Tensor) -> Any:
        return self.function(*values)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Gives weights and statistics values that are nobody's default, variances positive ones."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            tensor.fill_(3)
            continue
        drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
        drawn = drawn / max(1, tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else drawn
        tensor.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)


def make_positive(module: nn.Module, seed: int = 0) -> None:
    """Gives the module weights that hide no dependence: positive, and averaging rather than adding.

    Such a network is monotone, and without constants it is zero where it sees only zeros.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        drawn = 0.5 + torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
        if tensor.dim() > 1:
            tensor.copy_(drawn / tensor[0].numel())
        elif name.endswith("running_var"):
            tensor.fill_(1)
        else:
            tensor.copy_(drawn if name.endswith("weight") else torch.zeros_like(drawn))
