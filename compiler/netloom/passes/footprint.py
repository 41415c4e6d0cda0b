"""Exactly what a position sees, where all sizes are known: gaps, borders and padding included.

A receptive field (`passes/fields.py`) is the hull of this for an endless input. Here every layer
clips at its own borders, so a position near them may see less than its field clipped to the image:
a pixel that a pooling leaves out at the end of an odd map is seen by nobody.
"""

from collections.abc import Iterable, Mapping

from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.types import spatial_axes
from netloom.ir.window import Reach, SizedShift

Positions = dict[str, set[int]]
"""Axis name to positions along it. Axes are independent: what is seen of a map is their product."""


def footprint(
    graph: Graph, value: Value, positions: Positions, sizes: Mapping[str, int]
) -> dict[Value, Positions]:
    """What positions of a value see of each value below it, from the top down to the inputs.

    `positions` are by axis, such as `{"h": {3}, "w": {5}}` for one of them; `sizes` are the free
    sizes of the inputs by name. Values that they do not depend on are absent.

    Raises:
        ValueError: a size is not given.
    """
    seen: dict[Value, Positions] = {value: positions}
    for layer in reversed(graph.layers_below([value])):
        for result in layer.results:
            if result in seen and all(seen[result].values()):
                _spread(layer, result, seen, sizes)
    return seen


def _spread(
    layer: Layer, result: Value, seen: dict[Value, Positions], sizes: Mapping[str, int]
) -> None:
    """Adds what the seen positions of a result see of the layer's operands."""
    axes = spatial_axes(result.type.rank)
    for operand in layer.op.operands():
        window = layer.op.window_of(operand, result.index)
        reaches = window if isinstance(window, tuple) else (window,) * len(axes)
        by_axis = dict(zip(axes, reaches, strict=True))
        found: Positions = {}
        for axis, index in spatial_axes(operand.type.rank).items():
            size = evaluate_to_int(operand.type.shape[index], sizes)
            reach = by_axis.get(axis, "whole")
            found[axis] = set(_through(reach, seen[result].get(axis, ()), size, sizes))
        if all(found.values()):  # beside the map along one axis is beside it
            before = seen.setdefault(operand, {})
            for axis, positions in found.items():
                before.setdefault(axis, set()).update(positions)


def _through(
    reach: Reach, positions: Iterable[int], size: int, sizes: Mapping[str, int]
) -> Iterable[int]:
    if isinstance(reach, SizedShift):
        reach = reach.at(sizes)
    if isinstance(reach, str | SizedShift):
        return range(size)
    return (tap for position in positions for tap in reach.inside(position, size))
