"""What is computed and then not looked at: channels and positions that nothing reads."""

import math
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.op import Op
from netloom.ir.types import spatial_axes
from netloom.ir.window import POINT, Window
from netloom.ops.border import Crop
from netloom.ops.merge import Add, Concat, Mul
from netloom.ops.operands import channel_axis
from netloom.ops.shape import Split

Ranges = list[tuple[int, int]]
"""Channels from the first to before the second number, in order and apart."""

CHANNELWISE = (
    "relu", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hardsigmoid", "hardswish",
    "tanh", "sigmoid", "batchnorm", "dropout", "drop_path", "scale", "maxpool", "avgpool",
    "global_avgpool", "upsample", "pad", "same_pad", "crop",
)  # fmt: skip
"""Operators whose results depend, in each channel, on that channel only."""


def unread_channels(graph: Graph) -> dict[Layer, int]:
    """The layers with channels on which no head depends, and how many of them there are.

    Only those that make channels of their own are named, not those that hand them on.
    """
    read: dict[int, Ranges] = {id(head.value): _all(head.value) for head in graph.heads}
    unread: dict[Layer, int] = {}
    for layer in reversed(graph.layers):
        if not any(id(result) in read for result in layer.results):
            continue
        _spread(layer, read)
        (first, *_) = layer.results
        count = sum(end - begin for begin, end in read.get(id(first), []))
        total = _channels(first) or 0
        if 0 < count < total and not _hands_on(layer.op):
            unread[layer] = total - count
    return unread


def _hands_on(op: Op) -> bool:
    """Whether its channels are those of its operands."""
    return isinstance(op, Concat | Split | Add | Mul) or op.name in CHANNELWISE


def _spread(layer: Layer, read: dict[int, Ranges]) -> None:
    """Notes which channels of the operands are needed for those of the results that are read."""
    op = layer.op
    results = [read.get(id(result), []) for result in layer.results]
    if isinstance(op, Split):
        part = _channels(layer.results[0]) or 0
        moved = [(a + i * part, b + i * part) for i, each in enumerate(results) for a, b in each]
        _note(op.x, moved, read)
        return
    begin = 0
    for operand in op.reads():
        total = _channels(operand)
        if total is None:
            continue
        if isinstance(op, Concat):
            inside = [
                (max(a - begin, 0), min(b - begin, total))
                for a, b in results[0]
                if a < begin + total and b > begin
            ]
            _note(operand, inside, read)
            begin += total
        elif isinstance(op, Add | Mul) or op.name in CHANNELWISE:
            _note(operand, [pair for each in results for pair in each], read)
        else:
            _note(operand, _all(operand), read)


def _note(value: Value, ranges: Ranges, read: dict[int, Ranges]) -> None:
    read[id(value)] = _merged([*read.get(id(value), []), *ranges])


def _merged(ranges: Ranges) -> Ranges:
    merged: Ranges = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _all(value: Value) -> Ranges:
    total = _channels(value)
    return [] if total is None else [(0, total)]


def _channels(value: Value) -> int | None:
    if value.type.rank not in (2, 3, 4):
        return None
    channels = value.type.shape[channel_axis(value.type.rank)]
    return channels if isinstance(channels, int) else None


def unread_positions(graph: Graph) -> dict[Layer, Fraction]:
    """The layers of whose map some positions are read by nobody, and the share of these.

    Of maps of unknown size the share is that of a large one, which is where steps are larger than
    windows; of others also what windows leave out at the end.
    """
    looks = _looks(graph)
    unread: dict[Layer, Fraction] = {}
    for layer in graph.layers_for(graph.heads):
        found = looks.get(id(layer.results[0]))
        if found and layer.op.window() is not POINT:
            share = _unread_share(layer.results[0], found)
            if share:
                unread[layer] = share
    return unread


class _Look(NamedTuple):
    """A layer that reads a value, or what elementwise layers behind it make of it."""

    reader: Layer
    operand: Value


def _looks(graph: Graph) -> dict[int, list[_Look] | None]:
    """The windows that look at each value; None where all of it is needed, as for a head."""
    looks: dict[int, list[_Look] | None] = {id(head.value): None for head in graph.heads}
    for layer in reversed(graph.layers_for(graph.heads)):
        for operand in layer.op.operands():
            behind: list[_Look] | None = [_Look(layer, operand)]
            if layer.op.window() is POINT and len(layer.results) == 1:
                behind = looks.get(id(layer.results[0]))
            before = looks.get(id(operand), [])
            both = None if before is None or behind is None else [*before, *behind]
            # That many windows together leave nothing out, and a list of all would have no end.
            looks[id(operand)] = both if both is None or len(both) <= MOST_LOOKS else None
    return looks


MOST_LOOKS = 100

LARGEST_MAP = 10_000
"""The side of maps beyond which nothing is counted."""


def _unread_share(value: Value, looks: list[_Look]) -> Fraction:
    """1 minus the share of the positions that are read: the union of a product for each look."""
    if len(spatial_axes(value.type.rank)) != 2:
        return Fraction(0)
    rows, columns = lengths = [_length(value, number, looks) for number in range(2)]
    if max(lengths) > LARGEST_MAP:
        return Fraction(0)
    read = [[_read(look, number, lengths[number]) for number in range(2)] for look in looks]
    # Rows at which the same looks are had are covered alike.
    alike = Counter(tuple(row in each[0] for each in read) for row in range(rows))
    covered = 0
    for had, times in alike.items():
        together = (each[1] for each, is_had in zip(read, had, strict=True) if is_had)
        covered += times * len(set().union(*together))
    return 1 - Fraction(covered, rows * columns)


def _length(value: Value, number: int, looks: list[_Look]) -> int:
    """How many positions to look at: all, or a period of the steps if the size is free."""
    length = value.type.shape[2 + number]
    if isinstance(length, int):
        return length
    return math.lcm(*(window.step for look in looks if (window := _window(look, number))))


def _read(look: _Look, number: int, length: int) -> set[int]:
    """The positions that a look sees along one of the axes."""
    window = _window(look, number)
    if window is None:
        return set(range(length))
    out = look.reader.results[0].type.shape[2 + number]
    if isinstance(look.operand.type.shape[2 + number], int) and isinstance(out, int):
        return {tap for position in range(out) for tap in window.inside(position, length)}
    return {tap % length for position in range(length) for tap in window.taps(position)}


def _window(look: _Look, number: int) -> Window | None:
    """The window through which a layer looks; None if it sees all, or is meant to cut off."""
    if isinstance(look.reader.op, Crop):
        return None
    reach = look.reader.op.window_of(look.operand, 0)
    along = reach[number] if isinstance(reach, tuple) else reach
    return along if isinstance(along, Window) else None
