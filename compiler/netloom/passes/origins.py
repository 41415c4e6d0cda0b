"""Where a size of a value comes from: the layer that last changed it."""

from collections.abc import Iterable

from netloom.diagnostics import Note, Source, Span
from netloom.ir.dims import evaluate, size, sizes
from netloom.ir.equality import Proved, equal
from netloom.ir.graph import Value
from netloom.ir.window import Window
from netloom.ops.operands import channel_axis

_AXES = {
    2: ("batch size", "feature count"),
    3: ("batch size", "length", "channel count"),
    4: ("batch size", "channel count", "height", "width"),
}


def origins(values: Iterable[Value], axis: int, shown: Iterable[Span | None]) -> tuple[Note, ...]:
    """One note for each value, at the layer that gave it its size along an axis.

    A size that an input has needs no note, nor does a layer on a line that is `shown` already.
    """
    notes: list[Note] = []
    lines = {_line(span) for span in shown if span}
    for value in values:
        first = origin(value, axis)
        if first.layer and first.span and _line(first.span) not in lines:
            lines.add(_line(first.span))
            name = _AXES[first.type.rank][axis]
            notes.append(Note(f"here the {name} becomes {first.type.shape[axis]}", first.span))
    return tuple(notes)


def _line(span: Span) -> tuple[Source, int]:
    return span.source, span.source.position(span.start)[0]


def origin(value: Value, axis: int) -> Value:
    """The earliest value on the way to this one that has its size along an axis.

    The way leads through the first operand of each layer, and ends at one that states its channels.
    """
    while value.layer:
        states_channels = hasattr(value.layer.op, "out")
        if states_channels and axis == channel_axis(value.type.rank):
            break
        before = value.layer.op.operands()[:1]
        if not before or before[0].type.rank != value.type.rank:
            break
        if not isinstance(equal(before[0].type.shape[axis], value.type.shape[axis]), Proved):
            break
        value = before[0]
    return value


def remedy(one: Value, other: Value, axis: int) -> str | None:
    """What would make two values agree along an axis, if that is a padding or a multiple."""
    left, right = one.type.shape[axis], other.type.shape[axis]
    names = {each.name for dim in (left, right) for each in sizes(dim)}
    for multiple in range(2, 65) if len(names) == 1 else ():
        (name,) = names
        binding = {name: multiple * size(name)}
        if isinstance(equal(evaluate(left, binding), evaluate(right, binding)), Proved):
            return (
                f"they agree where {name} is a multiple of {multiple}: declare `{multiple}*{name}`"
            )
    for value in (one, other):
        layer = origin(value, axis).layer
        window = layer.op.window() if layer and axis >= 2 else None
        reach = window[axis - 2] if isinstance(window, tuple) else window
        if not layer or not isinstance(reach, Window) or reach.step != 1:
            continue
        if reach.extent % 2 and reach.pad != reach.extent // 2:
            return f"`pad={reach.extent // 2}` in that `{layer.op.name}` keeps the {_AXES[4][axis]}"
    return None
