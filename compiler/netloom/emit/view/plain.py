"""Sizes and reaches as plain data, which the page evaluates without running any text as code."""

from netloom.ir.dims import Dim, Floor
from netloom.ir.graph import Value
from netloom.ir.types import spatial_axes
from netloom.ir.window import (
    Fold,
    Past,
    Reach,
    SizedShift,
    Stretch,
    TransposedWindow,
    Window,
)

Plain = int | bool | str | None | list["Plain"] | dict[str, "Plain"]
"""What JSON can hold, without fractions."""


def plain_dim(dim: Dim) -> Plain:
    """A number as it is; else a list of products, each a coefficient and its factors.

    A factor is the name of a size, or `{"floor": …, "by": m}`: `2*h + (w + 1)//2` is
    `[[2, "h"], [1, {"floor": [[1, "w"], [1]], "by": 2}]]`.
    """
    if isinstance(dim, int):
        return dim
    return [[coefficient, *map(_plain_factor, monomial)] for monomial, coefficient in dim.terms]


def _plain_factor(atom: object) -> Plain:
    if isinstance(atom, Floor):
        return {"floor": plain_dim(atom.numerator), "by": atom.divisor}
    return str(atom)


def plain_reaches(value: Value, operand: Value) -> Plain:
    """What one position of a value sees of an operand, by the operand's axes.

    None where it is the same position of a map that is as large.
    """
    assert value.layer is not None, "an input has no operands"
    window = value.layer.op.window_of(operand, value.index)
    own_axes, axes = spatial_axes(value.type.rank), spatial_axes(operand.type.rank)
    reaches = window if isinstance(window, tuple) else (window,) * len(own_axes)
    is_as_large = own_axes == axes and all(
        value.type.shape[index] == operand.type.shape[index] for index in axes.values()
    )
    if is_as_large and all(map(_is_point, reaches)):
        return None
    by_axis = dict(zip(own_axes, reaches, strict=True))
    return {axis: _plain_reach(by_axis.get(axis, "whole")) for axis in axes}


def _is_point(reach: Reach) -> bool:
    return isinstance(reach, Window) and (reach.kernel, reach.step, reach.pad) == (1, 1, 0)


def _plain_reach(reach: Reach) -> Plain:
    match reach:
        case Window():
            return ["window", reach.kernel, reach.step, reach.pad, reach.dilation]
        case TransposedWindow():
            return ["transposed", reach.kernel, reach.step, reach.pad, reach.dilation]
        case Stretch():
            return ["stretch", reach.factor, reach.linear]
        case Past():
            return ["past"]
        case Fold():
            return ["fold", reach.pad, reach.mirrored]
        case SizedShift():
            return ["shift", plain_dim(reach.pad)]
    return ["whole"]
