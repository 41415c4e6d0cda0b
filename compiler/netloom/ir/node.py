"""How an operator is written in ONNX, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netloom.ir.graph import Value

Attributes = Mapping[str, Any]
"""ONNX attributes: numbers, strings, and tuples of one kind of them."""


@dataclass(frozen=True)
class Weight:
    """An initializer made of the operator's own parameters.

    `arrange` turns their arrays (numpy) into the one that ONNX wants; without it there is one
    parameter and it is taken as it is.
    """

    parameters: tuple[str, ...]
    arrange: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Constant:
    """A small constant: its dtype, and its elements as a scalar or a one-dimensional list."""

    dtype: str
    elements: float | int | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Local:
    """A tensor that only the nodes of one operator know."""

    name: str


@dataclass(frozen=True)
class Node:
    """One ONNX node. `outputs` are results of the operator by index, or locals.

    Every attribute is stated, also where it has ONNX's default: defaults and conventions differ
    between versions and readers.
    """

    op_type: str
    inputs: "tuple[Value | Weight | Constant | Local | None, ...]"
    attributes: Attributes = field(default_factory=dict)
    outputs: tuple[int | Local | None, ...] = (0,)
