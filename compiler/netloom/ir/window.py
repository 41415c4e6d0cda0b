"""Which inputs one output of an operator sees, along one axis.

Each of these maps an output position to the input positions that it depends on, before clipping at
the borders. A map is periodic: moving the output by `period` moves what it sees by `advance`.
Compositions and unions of these maps are the business of `ir/field.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal

from netloom.ir.dims import Dim, Symbolic, evaluate


class _Moving:
    """What moves with the position; it sees none of what lies beyond the borders."""

    def taps(self, position: int) -> Sequence[int]:
        """The input positions that an output position depends on, on an endless input."""
        raise NotImplementedError

    def inside(self, position: int, size: int) -> Iterable[int]:
        """The same on an input of that size."""
        return [each for each in self.taps(position) if 0 <= each < size]


class Window(_Moving):
    """A sliding window: convolution and pooling.

    A shift is a window of one pixel: `pad=1` puts one pixel before the first, `pad=-1` cuts it off.
    """

    def __init__(self, kernel: int = 1, step: int = 1, pad: int = 0, dilation: int = 1) -> None:
        self.kernel, self.step, self.pad, self.dilation = kernel, step, pad, dilation

    period: ClassVar[int] = 1

    @property
    def extent(self) -> int:
        """Pixels from the first to the last under the window."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def advance(self) -> int:
        """Input pixels from one output to the next."""
        return self.step

    def interval(self, position: int) -> tuple[int, int]:
        """First and last input pixel under the window."""
        first = position * self.step - self.pad
        return first, first + self.extent - 1

    def taps(self, position: int) -> Sequence[int]:
        """The input pixels under the window."""
        first, last = self.interval(position)
        return range(first, last + 1, self.dilation)


def windows(
    kernel: tuple[int, int], step: tuple[int, int], pad: tuple[int, int], dilation: tuple[int, int]
) -> tuple[Window, Window]:
    """A window for each of two axes; the same one for both where they do not differ."""
    height, width = zip(kernel, step, pad, dilation, strict=True)
    along_height = Window(*height)
    return along_height, along_height if height == width else Window(*width)


class TransposedWindow(_Moving):
    """A transposed convolution: the outputs that one input reaches, seen from the output."""

    def __init__(self, kernel: int, step: int, pad: int = 0, dilation: int = 1) -> None:
        self.kernel, self.step, self.pad, self.dilation = kernel, step, pad, dilation

    advance: ClassVar[int] = 1

    @property
    def period(self) -> int:
        """Outputs after which the interval has moved by one input."""
        return self.step

    @property
    def extent(self) -> int:
        """Outputs from the first to the last that one input reaches."""
        return self.dilation * (self.kernel - 1) + 1

    def interval(self, position: int) -> tuple[int, int]:
        """First and last input whose filter has a tap at the output; empty where last < first."""
        taps = self.taps(position)
        return (taps[0], taps[-1]) if taps else (0, -1)

    def taps(self, position: int) -> Sequence[int]:
        """The inputs whose filters have a tap at the output.

        Input i has one where `reached - step * i` is a multiple of the dilation, which holds for
        every `between`-th input, or for none where step and dilation have a common divisor.
        """
        reached = position + self.pad
        common = math.gcd(self.step, self.dilation)
        if reached % common:
            return range(0)
        between = self.dilation // common
        residue = reached // common * pow(self.step // common, -1, between) % between
        first, last = -((self.extent - 1 - reached) // self.step), reached // self.step
        return range(first + (residue - first) % between, last + 1, between)


class Stretch(_Moving):
    """An enlargement by a whole factor: nearest neighbour, or linear with half-pixel centres."""

    def __init__(self, factor: int, linear: bool = False) -> None:
        self.factor, self.linear = factor, linear

    advance: ClassVar[int] = 1

    @property
    def period(self) -> int:
        """Outputs after which the interval has moved by one input."""
        return self.factor

    def interval(self, position: int) -> tuple[int, int]:
        """The cell of the output; for linear also its neighbour, unless it hits the centre."""
        if not self.linear:
            return position // self.factor, position // self.factor
        # The source coordinate is (position + 1/2) / factor - 1/2.
        numerator, denominator = 2 * position + 1 - self.factor, 2 * self.factor
        first = numerator // denominator
        return first, first + (numerator % denominator > 0)

    def taps(self, position: int) -> Sequence[int]:
        """The same as single pixels."""
        first, last = self.interval(position)
        return range(first, last + 1)


class Past(_Moving):
    """What a recurrent layer has read when it comes to a step: that step and all before."""

    period: ClassVar[int] = 1
    advance: ClassVar[int] = 1

    def interval(self, position: int) -> tuple[float, int]:
        """From the beginning of all time."""
        return -math.inf, position

    def taps(self, position: int) -> Sequence[int]:
        """The steps up to this one."""
        return range(position + 1)


class Fold(_Moving):
    """A border that repeats what is inside: mirrored at the border pixel, or that pixel itself."""

    def __init__(self, pad: int, mirrored: bool) -> None:
        self.pad, self.mirrored = pad, mirrored

    period: ClassVar[int] = 1
    advance: ClassVar[int] = 1

    def interval(self, position: int) -> tuple[int, int]:
        """The pixel itself, as long as it is inside."""
        return position - self.pad, position - self.pad

    def taps(self, position: int) -> Sequence[int]:
        """The same."""
        return (position - self.pad,)

    def inside(self, position: int, size: int) -> Iterable[int]:
        """The pixel of which the border holds a copy."""
        at, last = position - self.pad, size - 1
        if not self.mirrored:
            return (min(max(at, 0), last),)
        return (last - abs(last - abs(at)),)


class SizedShift:
    """A shift by a number of pixels that depends on the size of the input."""

    def __init__(self, pad: Symbolic) -> None:
        self.pad = pad

    def at(self, sizes: Mapping[str, Dim]) -> "Window | SizedShift":
        """The shift for sizes of which more is known; a number where that is enough."""
        pad = evaluate(self.pad, sizes)
        return Window(pad=pad) if isinstance(pad, int) else SizedShift(pad)


Sliding = Window | TransposedWindow | Stretch | Past | Fold
"""A reach that moves with the position."""

Reach = Sliding | SizedShift | Literal["whole", "data-dependent"]
"""How far one operator sees along one axis; "whole" is the current input, whatever its size."""

POINT = Window()
