"""Receptive fields as interval maps, how they compose, and how they join.

The theory is in docs/receptive-fields.md. A field maps a position u of a value to an interval
[first(u), last(u)] of input pixels, before clipping at the borders. Both ends are periodic-affine:
moving u by `period` moves them by `advance`. Without upsampling the period is 1. Fields compose
through the interval maps that operators state, and join by the hull of the union.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from netloom.ir.window import Past, Reach, SizedShift, Window

if TYPE_CHECKING:
    from fractions import Fraction

Interval = tuple[float, int]
"""First and last pixel; the first is minus infinity where all that came before is seen."""


class Field(NamedTuple):
    """A field with known ends; `intervals` holds one period of positions, from position 0.

    A position that sees nothing, in a gap of a transposed convolution, ends before it begins.
    """

    intervals: tuple[Interval, ...]
    advance: int

    @property
    def period(self) -> int:
        """Positions after which the extents repeat."""
        return len(self.intervals)

    @property
    def is_bounded(self) -> bool:
        """Whether it begins somewhere; behind a recurrent layer it does not."""
        return all(first > -math.inf for first, _ in self.intervals)

    @property
    def sizes(self) -> tuple[int | str, ...]:
        """The different extents over one period, in pixels, smallest first.

        `("past",)` for a field that begins nowhere.
        """
        if not self.is_bounded:
            return ("past",)
        return tuple(sorted({int(last - first) + 1 for first, last in self.intervals}))

    @property
    def stride(self) -> "Fraction":
        """Input pixels from one position to the next, on average over a period."""
        from fractions import Fraction

        return Fraction(self.advance, self.period)

    @property
    def centre(self) -> "Fraction | None":
        """The middle of what position 0 sees, on average over a period; 0 is the first pixel.

        None for a field that begins nowhere, or sees nothing.
        """
        from fractions import Fraction

        middle = self.middle
        return Fraction(*middle) if middle else None

    @property
    def middle(self) -> tuple[int, int] | None:
        """The centre as numerator and denominator; positions that see nothing do not count."""
        if not self.is_bounded:
            return None
        doubled = [
            self.period * int(first + last) - 2 * position * self.advance
            for position, (first, last) in enumerate(self.intervals)
            if first <= last
        ]
        return (sum(doubled), 2 * self.period * len(doubled)) if doubled else None

    @property
    def offset(self) -> int | None:
        """The first pixel that position 0 sees, minus the padding; None if there is no first."""
        return int(self.intervals[0][0]) if self.is_bounded else None

    def interval(self, position: int) -> Interval:
        """First and last input pixel that a position sees."""
        periods, phase = divmod(position, self.period)
        first, last = self.intervals[phase]
        return first + periods * self.advance, last + periods * self.advance


class Varying(NamedTuple):
    """A field that depends on the size of the input: another one for each of some remainders."""

    cases: tuple[Field, ...]

    @property
    def sizes(self) -> tuple[int | str, ...]:
        """The different extents of all cases, smallest first."""
        found = {each for case in self.cases for each in case.sizes}
        return tuple(sorted(found, key=lambda each: (isinstance(each, str), each)))

    @property
    def strides(self) -> "tuple[Fraction, ...]":
        """The different strides of all cases, smallest first."""
        return tuple(sorted({case.stride for case in self.cases}))


Extent = Field | Varying | Literal["whole", "data-dependent", "misaligned", "irregular", "varying"]
"""What is known of a field along one axis.

"whole" is the current input, whatever its size. "misaligned" says that paths of different stride
meet: the extent then grows from position to position and no one number describes it. "irregular"
has a period of more than `MAXIMUM_PERIOD` positions, which nobody would read. "varying" depends on
the size of the input, as with `same_pad`, and in more ways than `Varying` could list.
"""

Fields = Mapping[str, Mapping[str, Extent]]
"""Input name to axis name to extent; an input that a value does not depend on is absent."""

_PRECEDENCE = ("whole", "data-dependent", "misaligned", "irregular", "varying")
"""Which word describes the union of two fields that have no extent in numbers."""


def extent_words(extent: Extent) -> tuple[str, str, str]:
    """Size, stride and offset as people read them; sizes of different phases joined by `|`."""
    if isinstance(extent, str):
        return extent, "", ""
    sizes = "|".join(map(str, extent.sizes))
    if isinstance(extent, Varying):
        return sizes, "|".join(map(str, extent.strides)), "varying"
    return sizes, str(extent.stride), "" if extent.offset is None else str(extent.offset)


PIXEL = Field(((0, 0),), 1)

MAXIMUM_PERIOD = 1024


def compose(reach: Reach, below: Extent) -> Extent:
    """The field of an operator's result, from the field of its operand."""
    if type(reach) is Window and type(below) is Field and len(below.intervals) == 1:
        ((first, last),) = below.intervals
        if first <= last:
            begin = -reach.pad * below.advance
            end = begin + (reach.extent - 1) * below.advance
            return Field(((first + begin, last + end),), below.advance * reach.step)
    if reach == "whole" or below == "whole":
        return "whole"
    if isinstance(reach, str) or below == "data-dependent":
        return "data-dependent"
    if isinstance(below, str):
        return below
    if isinstance(reach, SizedShift) or isinstance(below, Varying):
        return "varying"
    if isinstance(reach, Past):
        return _past(below)
    # The operand's phase repeats once its own period divides what the operator has advanced.
    rounds = below.period // math.gcd(below.period, reach.advance)
    if reach.period * rounds > MAXIMUM_PERIOD:
        return "irregular"
    seen = [
        _hull([below.interval(u) for u in _ends(reach.taps(position), below.period)])
        for position in range(reach.period * rounds)
    ]
    advance = below.advance * (reach.advance * rounds // below.period)
    return _shortest(seen, advance)


def _past(below: Field) -> Field:
    """What a position and all before it see: up to the farthest of the last period."""
    intervals = tuple(
        (-math.inf, max(below.interval(u - back)[1] for back in range(below.period)))
        for u in range(below.period)
    )
    return _shortest(list(intervals), below.advance)


def _ends(taps: Sequence[int], period: int) -> Iterable[int]:
    """Taps that together reach as far as all of them: all phases are among the first, and last."""
    if len(taps) <= 2 * period:
        return taps
    return (*taps[:period], *taps[-period:])


def _hull(intervals: Iterable[Interval]) -> Interval | None:
    """The smallest interval around those that are not empty; None if there are none."""
    seen = [(first, last) for first, last in intervals if first <= last]
    return (min(seen)[0], max(last for _, last in seen)) if seen else None


def union(left: Extent, right: Extent) -> Extent:
    """The hull of two fields of the same value, seen along two paths."""
    if left == right:
        return left
    if not (isinstance(left, Field) and isinstance(right, Field)):
        words = [extent for extent in (left, right) if isinstance(extent, str)] or ["varying"]
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
