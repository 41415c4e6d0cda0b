"""Warns of joins whose paths look at different places, and finds what would align them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Diagnostics, Note, Source, Span
from netloom.ir.declared import Pair
from netloom.ir.dims import Dim
from netloom.ir.equality import Proved, equal
from netloom.ir.field import Field
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.types import spatial_axes
from netloom.ir.window import Window
from netloom.ops.border import Crop, Pad
from netloom.ops.conv import Conv
from netloom.ops.pool import AvgPool, MaxPool
from netloom.passes.alignment import Alignment, Misalignment


def report_misaligned(
    alignments: Iterable[Alignment], source: Source, diagnostics: Diagnostics
) -> None:
    """Warns (W202) of each join of a spec that is misaligned and does not say so.

    A join in a block is told once, however often the block is called.
    """
    told: set[Span] = set()
    for alignment in alignments:
        for each in alignment.joins:
            span = each.layer.span
            if each.layer.unaligned or span in told or span.source is not source:
                continue
            told.add(span)
            diagnostics.report(_warning(each, alignment.graph))


def _warning(found: Misalignment, graph: Graph) -> Diagnostic:
    message = f"these paths look at different places: {found.reason}"
    notes = tuple(
        Note(f"`{path.name}`: {_place_of(field)}", path.span)
        for path, field in zip(found.paths, found.seen, strict=True)
    )
    remedy = realigning(found, graph)
    meant = f"`{found.layer.op.name} unaligned {{ … }}`"
    if found.layer.op.name == "add" and _word(found.layer) == "residual":
        meant = "`residual unaligned { … }`"
    help = f"{remedy}; " * bool(remedy) + f"{meant} says that it is meant"
    return Diagnostic("W202", message, found.layer.span, notes=notes, help=help)


def _word(layer: Layer) -> str:
    return layer.span.source.text[layer.span.start : layer.span.end]


def _place_of(field: Field) -> str:
    centre = f"{float(field.centre or 0):g}"
    return f"stride {field.stride}, first centre at {centre} pixels"


NEAR = 3
"""How far from the kernel that is written others are tried."""


class Change(NamedTuple):
    """Another kernel or padding of one layer, as a call writes it; `effort` orders changes."""

    layer: Layer
    arguments: str
    effort: int


def realigning(found: Misalignment, graph: Graph) -> str | None:
    """The smallest change of a kernel, padding or crop on one of the paths that aligns them."""
    changes = [
        *_changes(found.paths[0], found.paths[1], found, graph, 1),
        *_changes(found.paths[1], found.paths[0], found, graph, -1),
    ]
    if not changes:
        return None
    best = min(changes, key=lambda change: change.effort)
    return f"{best.arguments} in `{best.layer.name}` would align them"


def _changes(
    path: Value, other: Value, found: Misalignment, graph: Graph, sign: int
) -> Iterator[Change]:
    """Changes on one path that move its centre onto that of the other."""
    one, two = found.seen
    if one.stride != two.stride or one.centre is None or two.centre is None:
        return
    wanted = sign * (two.centre - one.centre)
    for layer in _own_layers(path, other, graph):
        index = spatial_axes(4)[found.axes[0]] - 2 if found.axes[0] in spatial_axes(4) else None
        window = layer.op.window()
        below = _below(layer, found)
        if index is None or below is None or not isinstance(window, tuple):
            continue
        reach = window[index]
        pixels = wanted / below.stride
        if not isinstance(reach, Window) or (2 * pixels).denominator != 1:
            continue
        if isinstance(layer.op, Crop):
            yield Change(layer, "`crop(like=…)` without an offset of its own", 0)
        elif isinstance(layer.op, Conv | MaxPool | AvgPool):
            length = layer.op.operands()[0].type.shape[index + 2]
            yield from _windows(layer, found, reach, int(2 * pixels), length)
        elif isinstance(layer.op, Pad) and pixels.denominator == 1:
            yield from _borders(layer, layer.op, found, int(pixels))


def _windows(
    layer: Layer, found: Misalignment, window: Window, doubled: int, length: Dim
) -> Iterator[Change]:
    """Windows that give as many positions, centred `doubled / 2` pixels farther to the right."""
    positions = (length + 2 * window.pad - window.extent) // window.step + 1
    for kernel in range(max(1, window.kernel - NEAR), window.kernel + NEAR + 1):
        extent = window.dilation * (kernel - 1) + 1
        twice_pad = extent - window.extent + 2 * window.pad - doubled
        if twice_pad % 2 or not 0 <= twice_pad // 2 < extent:
            continue
        pad = twice_pad // 2
        out = (length + 2 * pad - extent) // window.step + 1
        if isinstance(equal(out, positions), Proved):
            # People widen a kernel rather than narrow it, and prefer odd ones.
            unusual = 3 * (kernel < window.kernel) + 2 * (kernel % 2 == 0)
            effort = 2 * abs(kernel - window.kernel) + abs(pad - window.pad) + unusual
            op = layer.op
            assert isinstance(op, Conv | MaxPool | AvgPool)
            written = _written(found, {"kernel": (op.kernel, kernel), "pad": (op.pad, pad)})
            if op.stride is None:  # it would become the new kernel
                written += f", stride={_plain(op.kernel)}"
            yield Change(layer, f"`{written}`", effort)


def _borders(layer: Layer, op: Pad, found: Misalignment, pixels: int) -> Iterator[Change]:
    """A border of the same width, more of it on one side."""
    index = spatial_axes(4)[found.axes[0]] - 2
    before, after = op.sides()
    moved = {
        "before": (before, before[index] - pixels),
        "after": (after, after[index] + pixels),
    }
    if min(number for _, number in moved.values()) >= 0:
        yield Change(layer, f"`{_written(found, moved)}`", 1)


def _written(found: Misalignment, changed: dict[str, tuple[Pair, int]]) -> str:
    """Arguments of a layer: pairs, with other numbers along the axes that are misaligned."""
    texts = []
    for name, (sides, number) in changed.items():
        pair = list(sides)
        for axis in found.axes:
            pair[spatial_axes(4)[axis] - 2] = number
        texts.append(f"{name}={_plain((pair[0], pair[1]))}")
    return ", ".join(texts)


def _plain(pair: Pair) -> int | list[int]:
    """As a spec writes it: one number for both axes."""
    return pair[0] if pair[0] == pair[1] else list(pair)


def _own_layers(path: Value, other: Value, graph: Graph) -> list[Layer]:
    """The layers of one path that the other does not have."""
    shared = {id(layer) for layer in graph.layers_below([other])}
    return [layer for layer in graph.layers_below([path]) if id(layer) not in shared]


def _below(layer: Layer, found: Misalignment) -> Field | None:
    """What the operand of a layer sees along the first axis that is misaligned."""
    operands = layer.op.operands()
    if len(operands) != 1 or operands[0].fields is None:
        return None
    extent = operands[0].fields.get(found.input, {}).get(found.axes[0])
    return extent if isinstance(extent, Field) else None
