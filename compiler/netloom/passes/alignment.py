"""Whether the paths that meet at a join look at the same place of the image.

Two paths are aligned if their strides and their centres are equal (Araujo et al., "Computing
Receptive Fields of Convolutional Neural Networks", Distill 2019). The centre of a position is the
middle of what it sees, on average over a period of positions. Paths that see the whole input, such
as a gate's factors for channels, have no place and cannot be misaligned.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from netloom.ir.field import Extent, Field, Fields
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.receptive import through

Known = Callable[[Value], Fields]


class Misalignment(NamedTuple):
    """A join at which two paths do not look at the same place along some axes of an input."""

    layer: Layer
    paths: tuple[Value, Value]
    axes: tuple[str, ...]
    input: str
    seen: tuple[Field, Field]
    """What both see along the first of the axes."""
    sizes: tuple[str, ...] = ()
    """The sizes of the input for which that is so; none if it is for all."""

    @property
    def reason(self) -> str:
        """How the two differ."""
        one, other = self.seen
        where = f"along {' and '.join(self.axes)} of `{self.input}`"
        when = f", for {' or '.join(self.sizes)}" if self.sizes else ""
        if one.stride != other.stride:
            return f"the strides are {one.stride} and {other.stride} pixels, {where}{when}"
        centres = " and ".join(f"{float(each.centre or 0):g}" for each in self.seen)
        return f"the centres lie at {centres} pixels, {where}{when}"


class Alignment:
    """The misaligned joins of a network.

    `tables` are the fields of its values, one table, or one for each remainder of sizes on which
    they depend (`field_tables`). Behind a misaligned join its first path is taken for the whole,
    so that one mistake is not told again at every later join.
    """

    def __init__(self, graph: Graph, tables: Mapping[str, Mapping[Value, Fields]]) -> None:
        self.graph, self.tables = graph, tables

    @cached_property
    def joins(self) -> list[Misalignment]:
        """All of them, in the order of the layers."""
        found: dict[int, dict[str, Misalignment]] = {}
        for sizes, table in self.tables.items():
            for each in _misaligned(self.graph, table):
                found.setdefault(id(each.layer), {})[sizes] = each
        told = [found[id(layer)] for layer in self.graph.layers if id(layer) in found]
        return [self._together(each) for each in told]

    def _together(self, cases: dict[str, Misalignment]) -> Misalignment:
        """The first case, with the sizes of all that are like it; no sizes if it is so for all."""
        first = next(iter(cases.values()))
        same = tuple(title for title, each in cases.items() if each.axes == first.axes)
        return first._replace(sizes=() if len(cases) == len(self.tables) else same)

    def of(self, value: Value) -> Misalignment | None:
        """The first misaligned join on which a value depends; None if all is aligned."""
        if not self.joins:
            return None
        below = {id(layer) for layer in self.graph.layers_below([value])}
        return next((each for each in self.joins if id(each.layer) in below), None)


def _misaligned(graph: Graph, table: Mapping[Value, Fields]) -> list[Misalignment]:
    found: list[Misalignment] = []
    assumed: dict[Value, Fields] = {}

    def known(value: Value) -> Fields:
        return assumed[value] if value in assumed else table.get(value, {})

    for layer in graph.layers:
        operands = layer.op.operands()
        own = _at(layer, operands, known) if len(operands) > 1 else None
        if own:
            found.append(own)
        if own or (assumed and any(operand in assumed for operand in operands)):
            for result in layer.results:
                assumed[result] = known(operands[0]) if own else through(layer, result, known)
    return found


def _at(layer: Layer, operands: Sequence[Value], known: Known) -> Misalignment | None:
    """How a path differs from the first that has a place at all."""
    placed = [each for each in operands if layer.op.window_of(each, 0) != "whole"]
    for name in {name: None for operand in placed for name in known(operand)}:
        first: dict[str, tuple[Value, Field]] = {}
        for operand in placed:
            places = _places(known(operand).get(name, {}))
            for axis, field in places.items():
                first.setdefault(axis, (operand, field))
            axes = tuple(axis for axis, field in places.items() if differ(first[axis][1], field))
            if axes:
                other, field = first[axes[0]]
                return Misalignment(layer, (other, operand), axes, name, (field, places[axes[0]]))
    return None


def _places(axes: Mapping[str, Extent]) -> dict[str, Field]:
    """The fields that have a centre, by axis."""
    return {
        axis: extent
        for axis, extent in axes.items()
        if isinstance(extent, Field) and extent.middle is not None
    }


def differ(one: Field, other: Field) -> bool:
    """Whether strides or centres differ."""
    if one.advance * other.period != other.advance * one.period:
        return True
    left, right = one.middle, other.middle
    return left is not None and right is not None and left[0] * right[1] != right[0] * left[1]
