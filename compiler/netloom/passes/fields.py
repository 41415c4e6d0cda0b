"""Receptive fields: what one position of a value sees of each network input, along each axis."""

import itertools
import math
from collections.abc import Mapping

from netloom.ir.dims import Dim, size, sizes
from netloom.ir.equality import common_divisor
from netloom.ir.field import Extent, Field, Fields, Varying
from netloom.ir.graph import Graph, Value
from netloom.ir.receptive import fields_of, itself, through
from netloom.ir.window import SizedShift

Table = dict[Value, Fields]

MAXIMUM_CASES = 256


def fields(graph: Graph) -> Table:
    """The receptive field of every value, for every input; one walk, linear in the layers."""
    table = {value: fields_of(value) for value in (*graph.inputs, *graph.targets)}
    for layer in graph.layers:
        for result in layer.results:
            table[result] = fields_of(result)
    if not any(layer.op.shifts_by_size for layer in graph.layers):
        return table
    cases = list(fields_by_size(graph).values())
    return {value: _merged([case[value] for case in cases]) for value in table} if cases else table


def fields_from(source: Value, graph: Graph) -> Table:
    """What each value that depends on an inner value sees of that: as if it were the input."""
    table: Table = {source: itself(source)}
    for layer in graph.layers:
        if layer is source.layer:
            continue
        if any(operand in table for operand in layer.op.operands()):
            for result in layer.results:
                table[result] = through(layer, result, lambda each: table.get(each, {}))
    return table


def fields_by_size(graph: Graph) -> dict[str, Table]:
    """The fields for each remainder of the sizes on which some of them depend.

    The keys say which: `h = 2, 4, 6, …`. Empty if there are more than `MAXIMUM_CASES`.
    """
    pads = [reach.pad for reach in _shifts(graph)]
    names = sorted({each.name for pad in pads for each in sizes(pad)})
    period = math.lcm(*(common_divisor(pad) for pad in pads))
    if period ** len(names) > MAXIMUM_CASES:
        return {}
    tables = {}
    for remainders in itertools.product(range(1, period + 1), repeat=len(names)):
        known = dict(zip(names, remainders, strict=True))
        title = ", ".join(f"{name} = {r}, {r + period}, …" for name, r in known.items())
        tables[title] = _fields_at(
            graph, {name: period * size(name) + r - period for name, r in known.items()}
        )
    return tables


def _shifts(graph: Graph) -> list[SizedShift]:
    found = []
    for layer in graph.layers:
        if layer.op.shifts_by_size:
            window = layer.op.window()
            reaches = window if isinstance(window, tuple) else (window,)
            found += [reach for reach in reaches if isinstance(reach, SizedShift)]
    return found


def _fields_at(graph: Graph, known: Mapping[str, Dim]) -> Table:
    table = {value: itself(value) for value in (*graph.inputs, *graph.targets)}
    for layer in graph.layers:
        for result in layer.results:
            table[result] = through(layer, result, table.__getitem__, known)
    return table


def _merged(cases: list[Fields]) -> Fields:
    """What is true for all sizes."""
    return {
        name: {axis: _common([case[name][axis] for case in cases]) for axis in axes}
        for name, axes in cases[0].items()
    }


def _common(extents: list[Extent]) -> Extent:
    different = list(dict.fromkeys(extents))
    if len(different) == 1:
        return different[0]
    fields = tuple(each for each in different if isinstance(each, Field))
    return Varying(fields) if len(fields) == len(different) else "varying"
