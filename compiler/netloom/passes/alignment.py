"""Whether the paths that meet at a join look at the same place of the image."""

import itertools
from functools import cached_property
from typing import NamedTuple

from netloom.ir.field import Extent, Field, Fields
from netloom.ir.graph import Graph, Layer, Value


class Misalignment(NamedTuple):
    """A join of two paths that do not look at the same place, and in which way they differ."""

    layer: Layer
    reason: str


class Alignment:
    """Finds, for each value of a network, the first join below it that is misaligned.

    The centre of a position is the middle of what it sees, on average over a period of positions.
    Paths that see the whole input, such as gates, have no place and cannot be misaligned.
    """

    def __init__(self, graph: Graph, table: dict[Value, Fields]) -> None:
        self.graph, self.table = graph, table

    def of(self, value: Value) -> Misalignment | None:
        """The first join at which strides or centres differ; None if all is aligned."""
        found = self._below.get(id(value.layer))
        return found[1] if found else None

    @cached_property
    def _below(self) -> dict[int, tuple[int, Misalignment]]:
        """By layer, the first misalignment at or below it and its place in the order of layers."""
        below: dict[int, tuple[int, Misalignment]] = {}
        for index, layer in enumerate(self.graph.layers):
            found = [below[id(read.layer)] for read in layer.op.reads() if id(read.layer) in below]
            if not found:
                own = self._at(layer)
                found = [(index, own)] if own else []
            if found:
                below[id(layer)] = min(found, key=lambda each: each[0])
        return below

    def _at(self, layer: Layer) -> Misalignment | None:
        operands = [operand for operand in layer.op.operands() if operand in self.table]
        for left, right in itertools.pairwise(operands):
            for name, axes in self.table[left].items():
                for axis, extent in axes.items():
                    other = self.table[right].get(name, {}).get(axis)
                    reason = _difference(extent, other) if other is not None else None
                    if reason:
                        return Misalignment(layer, f"{reason}, along {axis} of `{name}`")
        return None


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
