"""Receptive fields: what one position of a value sees of each network input, along each axis.

The theory is in docs/receptive-fields.md. A field maps a position u of the value to an interval
[first(u), last(u)] of input pixels, before clipping at the borders. Both ends are periodic-affine:
moving u by `period` moves them by `advance`. Without upsampling the period is 1. Fields compose
through the interval maps that operators state, and join by the hull of the union.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.types import spatial_axes
from netloom.ir.window import POINT, Reach

if TYPE_CHECKING:
    from fractions import Fraction

Interval = tuple[int, int]


class Field(NamedTuple):
    """A field with known extents; `intervals` holds one period of positions, from position 0.

    A position that sees nothing, in a gap of a transposed convolution, ends before it begins.
    """

    intervals: tuple[Interval, ...]
    advance: int

    @property
    def period(self) -> int:
        """Positions after which the extents repeat."""
        return len(self.intervals)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The different extents over one period, in pixels, smallest first."""
        return tuple(sorted({last - first + 1 for first, last in self.intervals}))

    @property
    def stride(self) -> "Fraction":
        """Input pixels from one position to the next, on average over a period."""
        from fractions import Fraction

        return Fraction(self.advance, self.period)

    @property
    def centre(self) -> "Fraction":
        """The middle of what position 0 sees, on average over a period; 0 is the first pixel."""
        from fractions import Fraction

        middles = sum(
            Fraction(first + last, 2) - Fraction(position * self.advance, self.period)
            for position, (first, last) in enumerate(self.intervals)
        )
        return Fraction(middles) / self.period

    @property
    def offset(self) -> int:
        """The first pixel that position 0 sees: minus the padding."""
        return self.intervals[0][0]

    def interval(self, position: int) -> Interval:
        """First and last input pixel that a position sees."""
        periods, phase = divmod(position, self.period)
        first, last = self.intervals[phase]
        return first + periods * self.advance, last + periods * self.advance


Extent = Field | Literal["whole", "data-dependent", "misaligned", "irregular"]
"""What is known of a field along one axis.

"whole" is the current input, whatever its size. "misaligned" says that paths of different stride
meet: the extent then grows from position to position and no one number describes it. "irregular"
has a period of more than `MAXIMUM_PERIOD` positions, which nobody would read.
"""

Fields = Mapping[str, Mapping[str, Extent]]
"""Input name to axis name to extent; an input that a value does not depend on is absent."""

_PRECEDENCE = ("whole", "data-dependent", "misaligned", "irregular")
"""Which word describes the union of two fields that have no extent in numbers."""

PIXEL = Field(((0, 0),), 1)

MAXIMUM_PERIOD = 1024


def fields(graph: Graph) -> dict[Value, Fields]:
    """The receptive field of every value, for every input; one walk, linear in the layers."""
    table: dict[Value, Fields] = {}
    for value in (*graph.inputs, *graph.targets):
        axes = spatial_axes(value.type.rank)
        table[value] = {value.name: dict.fromkeys(axes, PIXEL)}
    for layer in graph.layers:
        for result in layer.results:
            table[result] = _through(layer, result, table)
    return table


def _through(layer: Layer, result: Value, table: dict[Value, Fields]) -> Fields:
    """The fields of one result: the union over the operands, each seen through the operator."""
    operands = layer.op.operands()
    is_single = len(operands) == 1 and operands[0].type.rank == result.type.rank
    if is_single and layer.op.window() is POINT:
        return table[operands[0]]
    own_axes = spatial_axes(result.type.rank)
    joined: dict[str, dict[str, Extent]] = {}
    for operand in operands:
        window = layer.op.window_of(operand)
        reaches: dict[str, Reach] = (
            dict(zip(own_axes, window, strict=True))
            if isinstance(window, tuple)
            else dict.fromkeys(own_axes, window)
        )
        # An axis of the input that the result has no more is seen as a whole, or as the data says.
        lost: Reach = window if isinstance(window, str) else "whole"
        for name, axes in table[operand].items():
            entry = joined.setdefault(name, {})
            for axis, extent in axes.items():
                seen = compose(reaches.get(axis, lost), extent)
                entry[axis] = union(entry[axis], seen) if axis in entry else seen
    return joined


def compose(reach: Reach, below: Extent) -> Extent:
    """The field of an operator's result, from the field of its operand."""
    if reach == "whole" or below == "whole":
        return "whole"
    if isinstance(reach, str) or below == "data-dependent":
        return "data-dependent"
    if isinstance(below, str):
        return below
    if below.period == reach.period == 1 and 0 not in below.sizes:
        first, last = reach.interval(0)
        seen_by_first, seen_by_last = below.interval(first), below.interval(last)
        return Field(((seen_by_first[0], seen_by_last[1]),), below.advance * reach.advance)
    # The operand's phase repeats once its own period divides what the operator has advanced.
    rounds = below.period // math.gcd(below.period, reach.advance)
    if reach.period * rounds > MAXIMUM_PERIOD:
        return "irregular"
    seen = [
        _hull([below.interval(u) for u in _ends(below, *reach.interval(position))])
        for position in range(reach.period * rounds)
    ]
    advance = below.advance * (reach.advance * rounds // below.period)
    return _shortest(seen, advance)


def _ends(below: Field, first: int, last: int) -> Iterable[int]:
    """Positions that together see all that an interval sees: its ends, or a period at each end."""
    if last - first < 2 * below.period:
        return range(first, last + 1)
    if 0 not in below.sizes:
        return (first, last)
    return (*range(first, first + below.period), *range(last - below.period + 1, last + 1))


def _hull(intervals: Iterable[Interval]) -> Interval | None:
    """The smallest interval around those that are not empty; None if there are none."""
    seen = [(first, last) for first, last in intervals if first <= last]
    return (min(seen)[0], max(last for _, last in seen)) if seen else None


def union(left: Extent, right: Extent) -> Extent:
    """The hull of two fields of the same value, seen along two paths."""
    if not (isinstance(left, Field) and isinstance(right, Field)):
        words = [extent for extent in (left, right) if not isinstance(extent, Field)]
        return min(words, key=_PRECEDENCE.index)
    if left.advance * right.period != right.advance * left.period:  # their strides differ
        return "misaligned"
    period = math.lcm(left.period, right.period)
    if period > MAXIMUM_PERIOD:
        return "irregular"
    seen = [_hull((left.interval(u), right.interval(u))) for u in range(period)]
    return _shortest(seen, left.advance * (period // left.period))


def _shortest(seen: list[Interval | None], advance: int) -> Field:
    """The field with the smallest period that describes the same intervals."""
    gaps = ((u * advance // len(seen), u * advance // len(seen) - 1) for u in range(len(seen)))
    intervals = tuple(each or gap for each, gap in zip(seen, gaps, strict=True))
    whole = Field(intervals, advance)
    for period in range(1, len(intervals)):
        if len(intervals) % period or advance * period % len(intervals):
            continue
        shorter = Field(intervals[:period], advance * period // len(intervals))
        if all(shorter.interval(u) == whole.interval(u) for u in range(len(intervals))):
            return shorter
    return whole
