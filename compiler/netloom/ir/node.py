"""How an operator is written in ONNX, as data."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from netloom.ir.graph import Value

Attributes = Mapping[str, Any]
"""ONNX attributes: numbers, strings, and tuples of one kind of them."""

NONE: Attributes = MappingProxyType({})


class Weight(NamedTuple):
    """An initializer made of the operator's own parameters.

    `arrange` turns their arrays (numpy) into the one that ONNX wants; without it there is one
    parameter and it is taken as it is.
    """

    parameters: tuple[str, ...]
    arrange: Callable[..., Any] | None = None


class Constant(NamedTuple):
    """A small constant: its dtype, and its elements as a scalar or a one-dimensional list."""

    dtype: str
    elements: float | int | tuple[int, ...] | tuple[float, ...]


class Local(NamedTuple):
    """A tensor that only the nodes of one operator know."""

    name: str


class Node:
    """One ONNX node. `outputs` are results of the operator by index, or locals.

    Every attribute is stated, also where it has ONNX's default: defaults and conventions differ
    between versions and readers.
    """

    def __init__(
        self,
        op_type: str,
        inputs: "tuple[Value | Weight | Constant | Local | None, ...]",
        attributes: Attributes = NONE,
        outputs: tuple[int | Local | None, ...] = (0,),
    ) -> None:
        self.op_type, self.inputs = op_type, inputs
        self.attributes, self.outputs = attributes, outputs
