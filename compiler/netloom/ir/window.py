"""Which inputs one output of an operator sees, along one axis.

Each of these maps an output position to the interval of input positions that it depends on, before
clipping at the borders. A map is periodic: moving the output by `period` moves the interval by
`advance`. Compositions and unions of these maps are the business of `passes/fields.py`.
"""

from typing import ClassVar, Literal


class Window:
    """A sliding window: convolution and pooling.

    `extent` is the distance from first to last pixel, `dilation * (kernel - 1) + 1`.
    """

    def __init__(self, extent: int = 1, step: int = 1, pad: int = 0) -> None:
        self.extent, self.step, self.pad = extent, step, pad

    period: ClassVar[int] = 1

    @property
    def advance(self) -> int:
        """Input pixels from one output to the next."""
        return self.step

    def interval(self, position: int) -> tuple[int, int]:
        """First and last input pixel under the window."""
        first = position * self.step - self.pad
        return first, first + self.extent - 1


class TransposedWindow:
    """A transposed convolution: the outputs that one input reaches, seen from the output."""

    def __init__(self, extent: int, step: int, pad: int = 0) -> None:
        self.extent, self.step, self.pad = extent, step, pad

    advance: ClassVar[int] = 1

    @property
    def period(self) -> int:
        """Outputs after which the interval has moved by one input."""
        return self.step

    def interval(self, position: int) -> tuple[int, int]:
        """First and last input whose window covers the output; empty where last < first."""
        return -((self.extent - 1 - position - self.pad) // self.step), (
            position + self.pad
        ) // self.step


class Stretch:
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


Reach = Window | TransposedWindow | Stretch | Literal["whole", "data-dependent"]
"""How far one operator sees along one axis; "whole" is the current input, whatever its size."""

POINT = Window()
