"""Small input sizes with which a network can be run."""

import itertools
import random
from collections.abc import Iterator

from netloom.ir.dims import evaluate_to_int, sizes
from netloom.ir.graph import Graph
from netloom.passes.cost import batch_size

BATCHES = (1, 3)
LENGTHS = (1, 2, 3, 5, 7, 8, 11, 13, 16, 21, 32, 37, 48, 64, 97, 128, 224, 227, 256)

ATTEMPTS = 300


def small_sizes(graph: Graph) -> Iterator[dict[str, int]]:
    """Two bindings of the free sizes for which every value has at least one element.

    The batch is 1, then 3; the other sizes are the smallest that work, and differ from one another
    where there are several, so that exchanged axes are seen.
    """
    names = {each.name for value in graph.inputs for dim in value.type.shape for each in sizes(dim)}
    batch = batch_size(graph)
    free = sorted(names - {batch.name} if batch else names)
    working = _working_lengths(graph, free, {batch.name: 1} if batch else {})
    for number, lengths in zip(BATCHES, working, strict=False):
        yield {**lengths, **({batch.name: number} if batch else {})}


def _working_lengths(
    graph: Graph, free: list[str], fixed: dict[str, int]
) -> Iterator[dict[str, int]]:
    if not free:
        yield {}
        yield {}
    for length, following in itertools.pairwise(LENGTHS):
        lengths = {name: (length, following)[index % 2] for index, name in enumerate(free)}
        if free and _works(graph, {**lengths, **fixed}):
            yield lengths
    chance = random.Random(0)  # for sizes that depend on one another in other ways
    for _ in range(ATTEMPTS if free else 0):
        lengths = {name: chance.choice(LENGTHS) for name in free}
        if _works(graph, {**lengths, **fixed}):
            yield lengths


def _works(graph: Graph, binding: dict[str, int]) -> bool:
    for layer in graph.layers:
        for result in layer.results:
            for dim in result.type.shape:
                if any(each.from_data for each in sizes(dim)):
                    continue
                if evaluate_to_int(dim, binding) < 1:
                    return False
    return True
