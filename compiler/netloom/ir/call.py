"""How an operator is written in PyTorch, as data.

Operators describe calls; `emit/torch` alone turns them into text, through one writer for literals
and one for names. Targets are dotted names under `nn`, `F`, `torch` or `torchvision.ops`, or
classes of `emit/torch/library.py`, which PyTorch lacks and the emitted file contains.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from netloom.ir.graph import Value

Literal = None | bool | int | float | str | tuple["Literal", ...]


class Option(NamedTuple):
    """A keyword argument; it is left out of the source where it equals the callee's default."""

    value: Literal
    default: Literal = None


NONE: Mapping[str, Any] = MappingProxyType({})


class Function:
    """A function applied in `forward`: `torch.cat([a, b], dim=1)`.

    `name` may be an infix operator such as `+`. Arguments are values, lists of values or literals.
    """

    def __init__(
        self,
        name: str,
        arguments: "tuple[Value | list[Value] | Literal, ...]",
        options: Mapping[str, Option] = NONE,
    ) -> None:
        self.name, self.arguments, self.options = name, arguments, options


class Module:
    """A layer made in `__init__` and called in `forward` with `inputs` and `call_options`.

    `function` is the stateless way to write the same thing in `forward`, where there is one.
    A value among the `call_options` stands for its size.
    `picks` says for each result of the operator how to reach it in what the call returns, as a
    path of indices; the empty path is the returned value itself.
    """

    def __init__(
        self,
        target: str,
        arguments: tuple[Literal, ...],
        inputs: "tuple[Value, ...]",
        options: Mapping[str, Option] = NONE,
        call_options: "Mapping[str, Value | Literal]" = NONE,
        function: Function | None = None,
        picks: tuple[tuple[int, ...], ...] = ((),),
    ) -> None:
        self.target, self.arguments, self.inputs = target, arguments, inputs
        self.options, self.call_options = options, call_options
        self.function, self.picks = function, picks


Call = Function | Module
