"""Parameters and multiply-accumulates."""

import math
from collections import Counter

from netloom.ir.dims import Dim, Size, Symbolic, evaluate, sizes, summed
from netloom.ir.graph import Graph, Layer


class Cost:
    """What a layer, or a whole network, costs. MACs are for one sample."""

    def __init__(self, params: int = 0, macs: Dim = 0) -> None:
        self.params, self.macs = params, macs


def costs(graph: Graph) -> dict[Layer, Cost]:
    """The cost of every layer; the batch, if it is free, is taken as 1."""
    batch = batch_size(graph)
    one = {batch.name: 1} if batch else {}
    for_one: dict[Dim, Dim] = {0: 0}
    free = Cost()
    found = {}
    for layer in graph.layers:
        macs, params = layer.op.macs(), layer.op.params()
        if macs == 0 and not params:
            found[layer] = free
            continue
        if macs not in for_one:
            for_one[macs] = evaluate(macs, one)
        learned = sum(math.prod(p.shape) for p in params.values() if p.learned)
        found[layer] = Cost(learned, for_one[macs])
    return found


def batch_size(graph: Graph) -> Size | None:
    """The free size that counts samples: the first input's first dimension, if it is a name.

    A name that an input has for another axis, too, is a size like others.
    """
    if not graph.inputs or not graph.inputs[0].type.shape:
        return None
    first = graph.inputs[0].type.shape[0]
    if isinstance(first, Symbolic) and len(first.terms) == 1:
        (monomial, coefficient) = first.terms[0]
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], Size):
            others = [dim for value in graph.inputs for dim in value.type.shape[1:]]
            return None if any(monomial[0] in sizes(dim) for dim in others) else monomial[0]
    return None


def total(layers: list[Layer], table: dict[Layer, Cost]) -> Cost:
    """The cost of some layers together; weights that several of them share count once."""
    owners = {id(layer.weights_of): table[layer].params for layer in layers}
    times = Counter(table[layer].macs for layer in layers)
    macs = summed(each * count for each, count in times.items())
    return Cost(sum(owners.values()), macs)
