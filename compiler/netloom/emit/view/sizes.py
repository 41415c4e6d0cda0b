"""The sizes of the inputs with which a page opens."""

from collections.abc import Mapping

from netloom.ir.dims import Dim, Size, evaluate, sizes
from netloom.ir.graph import Graph
from netloom.ir.types import spatial_axes
from netloom.passes.admissible import small_sizes
from netloom.passes.cost import batch_size

WANTED = 192
"""Pixels along each axis of the picture, at least."""

LARGEST = 1024


def opening_sizes(graph: Graph) -> dict[str, int]:
    """A number for each free size of the inputs, in the order in which they are declared.

    Each is the smallest with which every axis that depends on it has `WANTED` pixels; all are
    doubled until every map has a position. The batch is 1.
    """
    names = _free_sizes(graph)
    batch = batch_size(graph)
    found = {name: _smallest(name, graph) for name in names}
    if batch:
        found[batch.name] = 1
    while max(found.values(), default=LARGEST) < LARGEST and not is_admissible(graph, found):
        found = {name: size if _is(batch, name) else 2 * size for name, size in found.items()}
    if is_admissible(graph, found):
        return found
    return next(small_sizes(graph), found)


def is_admissible(graph: Graph, binding: Mapping[str, int]) -> bool:
    """Whether every map has a position, and every operator what it needs, at these sizes."""
    return all(_at_least_one(dim, binding) for dim in needed(graph))


def needed(graph: Graph) -> list[Dim]:
    """The different sizes that depend on the inputs' and must be at least 1."""
    found: dict[Dim, None] = {}
    for layer in graph.layers:
        for result in layer.results:
            found.update(dict.fromkeys(result.type.shape))
        found.update(dict.fromkeys(layer.op.fits()))
    return [dim for dim in found if sizes(dim) and not any(each.from_data for each in sizes(dim))]


def _free_sizes(graph: Graph) -> list[str]:
    dims = [dim for value in (*graph.inputs, *graph.targets) for dim in value.type.shape]
    return list(dict.fromkeys(each.name for dim in dims for each in _in_order(dim)))


def _in_order(dim: Dim) -> list[Size]:
    return sorted(sizes(dim), key=str)


def _smallest(name: str, graph: Graph) -> int:
    """The smallest size of that name that fills the axes of the picture that depend on it."""
    axes = [
        value.type.shape[index]
        for value in graph.inputs
        for index in spatial_axes(value.type.rank).values()
    ]
    own = [dim for dim in axes if name in {each.name for each in sizes(dim)}]
    for size in range(1, WANTED if own else 1):
        if all(_length(dim, name, size) >= WANTED for dim in own):
            return size
    return WANTED if own else 1


def _length(dim: Dim, name: str, size: int) -> int:
    """A dimension with one size bound and the others 1."""
    length = evaluate(dim, {**dict.fromkeys((each.name for each in sizes(dim)), 1), name: size})
    assert isinstance(length, int)
    return length


def _at_least_one(dim: Dim, binding: Mapping[str, int]) -> bool:
    length = evaluate(dim, binding)
    return not isinstance(length, int) or length >= 1


def _is(batch: Size | None, name: str) -> bool:
    return batch is not None and batch.name == name
