"""Whether the paths that meet at a join look at the same place of the image."""

import itertools
from typing import NamedTuple

from netloom.ir.graph import Layer, Value
from netloom.passes.fields import Extent, Field, Fields


class Misalignment(NamedTuple):
    """A join of two paths that do not look at the same place, and in which way they differ."""

    layer: Layer
    reason: str


def misalignment(value: Value, table: dict[Value, Fields]) -> Misalignment | None:
    """The first join below a value at which strides or centres differ; None if all is aligned.

    The centre of a position is the middle of what it sees, on average over a period of positions.
    Paths that see the whole input, such as gates, have no place and cannot be misaligned.
    """
    for layer in _layers_below(value):
        operands = [operand for operand in layer.op.operands() if operand in table]
        for left, right in itertools.pairwise(operands):
            for name, axes in table[left].items():
                for axis, extent in axes.items():
                    other = table[right].get(name, {}).get(axis)
                    reason = _difference(extent, other) if other is not None else None
                    if reason:
                        return Misalignment(layer, f"{reason}, along {axis} of `{name}`")
    return None


def _layers_below(value: Value) -> list[Layer]:
    """The layers on which a value depends, in the order in which they were placed."""
    found: dict[int, Layer] = {}
    waiting = [value]
    while waiting:
        layer = waiting.pop().layer
        if layer is not None and id(layer) not in found:
            found[id(layer)] = layer
            waiting += layer.op.reads()
    return sorted(found.values(), key=lambda layer: layer.span.start)


def _difference(left: Extent, right: Extent) -> str | None:
    if "misaligned" in (left, right):
        return "one of the paths is misaligned in itself"
    if not isinstance(left, Field) or not isinstance(right, Field):
        return None
    if left.stride != right.stride:
        return f"the strides are {left.stride} and {right.stride} pixels"
    centres = (left.centre, right.centre)
    if centres[0] != centres[1]:
        return f"the centres lie at {float(centres[0]):g} and {float(centres[1]):g} pixels"
    return None
