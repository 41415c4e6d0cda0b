"""What is computed and then not looked at: channels and positions that nothing reads."""

import math
from collections import Counter
from fractions import Fraction

from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.op import Op
from netloom.ir.types import spatial_axes
from netloom.ir.window import POINT, Window
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


MAXIMUM_POSITIONS = 2**24
"""Positions, times readers, beyond which nothing is said: they would have to be counted."""


def unread_positions(graph: Graph) -> dict[Layer, Fraction]:
    """The layers of whose map some positions are read by nobody, and the share of these.

    Of maps of unknown size the share is that of a large one, which is where steps are larger than
    windows; of others also what windows leave out at the end.
    """
    readers: dict[int, list[Layer]] = {}
    for layer in graph.layers_for(graph.heads):
        for value in layer.op.operands():
            readers.setdefault(id(value), []).append(layer)
    heads = {id(head.value) for head in graph.heads}
    unread: dict[Layer, Fraction] = {}
    for layer in graph.layers_for(graph.heads):
        value = layer.results[0]
        if id(value) in heads or id(value) not in readers:
            continue
        share = _unread_share(value, readers[id(value)])
        if share and layer.op.window() is not POINT:
            unread[layer] = share
    return unread


def _unread_share(value: Value, readers: list[Layer]) -> Fraction:
    """1 minus the share of the positions that are read: the union of a product for each reader."""
    axes = spatial_axes(value.type.rank)
    if len(axes) != 2:
        return Fraction(0)
    rows, columns = (_length(value, number, readers) for number in range(2))
    if rows * columns * len(readers) > MAXIMUM_POSITIONS:
        return Fraction(0)
    read = [(_read(value, each, 0, rows), _read(value, each, 1, columns)) for each in readers]
    # Most rows are seen by the same readers, and then the same columns are.
    alike = Counter(tuple(row in seen for seen, _ in read) for row in range(rows))
    covered = 0
    for seers, times in alike.items():
        seen = (inside for (_, inside), sees in zip(read, seers, strict=True) if sees)
        covered += times * len(set().union(*seen))
    return 1 - Fraction(covered, rows * columns)


def _length(value: Value, number: int, readers: list[Layer]) -> int:
    """How many positions to look at: all, or a period of the steps if the size is free."""
    length = value.type.shape[2 + number]
    if isinstance(length, int):
        return length
    return math.lcm(
        *(reach.step for reader in readers if (reach := _window(reader, value, number)))
    )


def _read(value: Value, reader: Layer, number: int, length: int) -> set[int]:
    """The positions that a reader sees along one of the axes."""
    window = _window(reader, value, number)
    if window is None:
        return set(range(length))
    out = reader.results[0].type.shape[2 + number]
    if isinstance(value.type.shape[2 + number], int) and isinstance(out, int):
        return {tap for position in range(out) for tap in window.inside(position, length)}
    return {tap % length for position in range(length) for tap in window.taps(position)}


def _window(reader: Layer, value: Value, number: int) -> Window | None:
    """The window through which a reader sees a value; None if it sees all of it."""
    reach = reader.op.window_of(value, 0)
    along = reach[number] if isinstance(reach, tuple) else reach
    return along if isinstance(along, Window) else None
