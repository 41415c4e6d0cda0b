"""The receptive field of a value, from the operators on the way to it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from netloom.ir.dims import Dim
from netloom.ir.field import PIXEL, Extent, Fields, compose, union
from netloom.ir.graph import Layer, Value
from netloom.ir.types import spatial_axes
from netloom.ir.window import POINT, Reach, SizedShift


def fields_of(value: Value) -> Fields:
    """The receptive field of one value, for every input; it is found once and then remembered."""
    waiting = [value]
    while waiting:
        top = waiting[-1]
        if top.fields is not None:
            waiting.pop()
            continue
        unknown = [each for each in _operands(top) if each.fields is None]
        waiting += unknown
        if not unknown:
            top.fields = through(top.layer, top, _remembered) if top.layer else itself(top)
    return _remembered(value)


def _operands(value: Value) -> list[Value]:
    return value.layer.op.operands() if value.layer else []


def _remembered(value: Value) -> Fields:
    assert value.fields is not None, "operands come before what reads them"
    return value.fields


def itself(value: Value) -> Fields:
    """An input: each position sees itself."""
    return {value.name: dict.fromkeys(spatial_axes(value.type.rank), PIXEL)}


NO_SIZES: Mapping[str, Dim] = MappingProxyType({})


def through(
    layer: Layer,
    result: Value,
    known: Callable[[Value], Fields],
    sizes: Mapping[str, Dim] = NO_SIZES,
) -> Fields:
    """The fields of one result: the union over the operands, each seen through the operator.

    `known` are the fields of operands, `sizes` what is known of free sizes.
    """
    operands = layer.op.operands()
    is_single = len(operands) == 1 and operands[0].type.rank == result.type.rank
    if is_single and layer.op.window_of(operands[0], result.index) is POINT:
        return known(operands[0])
    own_axes = spatial_axes(result.type.rank)
    joined: dict[str, dict[str, Extent]] = {}
    for operand in operands:
        # Height and width are seen alike by most layers of most networks, and then composed once.
        composed: dict[tuple[int, int], Extent] = {}
        window = layer.op.window_of(operand, result.index)
        reaches: dict[str, Reach] = (
            dict(zip(own_axes, window, strict=True))
            if isinstance(window, tuple)
            else dict.fromkeys(own_axes, window)
        )
        # An axis of the input that the result has no more is seen as a whole, or as the data says.
        lost: Reach = window if isinstance(window, str) else "whole"
        for name, axes in known(operand).items():
            entry = joined.setdefault(name, {})
            for axis, extent in axes.items():
                reach = reaches.get(axis, lost)
                key = (id(reach), id(extent))
                if key not in composed:
                    settled = reach.at(sizes) if isinstance(reach, SizedShift) else reach
                    composed[key] = compose(settled, extent)
                seen = composed[key]
                entry[axis] = union(entry[axis], seen) if axis in entry else seen
    return joined
