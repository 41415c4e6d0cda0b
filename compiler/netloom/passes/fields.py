"""Receptive fields: what one position of a value sees of each network input, along each axis."""

import math
from collections.abc import Mapping

from netloom.ir.dims import Dim, Symbolic, evaluate_to_int, size, sizes
from netloom.ir.equality import period
from netloom.ir.field import Extent, Field, Fields, Varying
from netloom.ir.graph import Graph, Value
from netloom.ir.receptive import fields_of, itself, through
from netloom.ir.window import SizedShift

Table = dict[Value, Fields]
Sizes = Mapping[str, Dim]

MAXIMUM_CASES = 256

LONGEST_PERIOD = 2_000
"""Sizes of a longer period are not tried one by one."""


def field_tables(graph: Graph) -> dict[str, Table]:
    """The receptive field of every value, for every input; one walk, linear in the layers.

    One table, under the empty title; or, where fields depend on the size of the input, one for each
    remainder of that, under a title such as `h = 2, 4, …`.
    """
    cases = _cases(graph)
    if any(cases.values()):
        return {title: _fields_at(graph, known) for title, known in cases.items()}
    table = {value: fields_of(value) for value in (*graph.inputs, *graph.targets)}
    for layer in graph.layers:
        for result in layer.results:
            table[result] = fields_of(result)
    return {"": table}


def for_all_sizes(tables: dict[str, Table]) -> Table:
    """What is true for all sizes."""
    if len(tables) == 1:
        return next(iter(tables.values()))
    cases = list(tables.values())
    return {value: _merged([case[value] for case in cases]) for value in cases[0]}


def fields_from(source: Value, graph: Graph) -> Table:
    """What each value that depends on an inner value sees of that: as if it were the input."""
    return for_all_sizes(
        {title: _fields_from(source, graph, known) for title, known in _cases(graph).items()}
    )


def _fields_from(source: Value, graph: Graph, known: Sizes) -> Table:
    table: Table = {source: itself(source)}
    for layer in graph.layers:
        if layer is source.layer:
            continue
        if any(operand in table for operand in layer.op.operands()):
            for result in layer.results:
                table[result] = through(layer, result, lambda each: table.get(each, {}), known)
    return table


def _cases(graph: Graph) -> dict[str, Sizes]:
    """Sizes for which all shifts are the same numbers, by a title; an untitled one if that is all.

    Axes are independent, so one size at a time is enough; an axis that depends on several is told
    to vary. So are all that depend on any if there would be more than `MAXIMUM_CASES`.
    """
    pads = [reach.pad for reach in _shifts(graph)]
    always: dict[str, Dim] = {}
    cases: dict[str, Sizes] = {}
    for name in sorted({each.name for pad in pads for each in sizes(pad)}):
        alone = [pad for pad in pads if {each.name for each in pad.sizes} == {name}]
        length = math.lcm(*(period(pad, name) for pad in alone))
        alike = _alike(alone, name, length) if length <= LONGEST_PERIOD else []
        for same in alike:
            title = f"{name} = {', '.join(map(str, same[:2]))}, …"
            cases[title] = {name: length * (size(name) - 1) + same[0]}
        if len(alike) == 1:
            always |= cases.popitem()[1]
    if not 0 < len(cases) <= MAXIMUM_CASES:
        return {"": always}
    return {title: {**always, **known} for title, known in cases.items()}


def _alike(pads: list[Symbolic], name: str, length: int) -> list[list[int]]:
    """Sizes within two periods, those together for which all shifts are equal."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for remainder in range(1, 2 * length + 1):
        values = tuple(evaluate_to_int(pad, {name: remainder}) for pad in pads)
        alike.setdefault(values, []).append(remainder)
    return list(alike.values())


def _shifts(graph: Graph) -> list[SizedShift]:
    found = []
    for layer in graph.layers:
        if layer.op.shifts_by_size:
            window = layer.op.window()
            reaches = window if isinstance(window, tuple) else (window,)
            found += [reach for reach in reaches if isinstance(reach, SizedShift)]
    return found


def _fields_at(graph: Graph, known: Sizes) -> Table:
    table = {value: itself(value) for value in (*graph.inputs, *graph.targets)}
    for layer in graph.layers:
        for result in layer.results:
            table[result] = through(layer, result, table.__getitem__, known)
    return table


def _merged(cases: list[Fields]) -> Fields:
    return {
        name: {axis: _common([case[name][axis] for case in cases]) for axis in axes}
        for name, axes in cases[0].items()
    }


def _common(extents: list[Extent]) -> Extent:
    # Where one size is settled, axes that depend on another one still vary.
    settled = [extent for extent in extents if extent != "varying"] or extents[:1]
    different = list(dict.fromkeys(settled))
    if len(different) == 1:
        return different[0]
    fields = tuple(each for each in different if isinstance(each, Field))
    return Varying(fields) if len(fields) == len(different) else "varying"
