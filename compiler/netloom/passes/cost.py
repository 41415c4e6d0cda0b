"""Parameters and multiply-accumulates."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from netloom.ir.dims import Dim, Size, Symbolic, evaluate, sizes, summed
from netloom.ir.graph import Graph, Layer
from netloom.ir.op import Op


class Cost:
    """What a layer, or a whole network, costs. MACs are for one sample."""

    def __init__(self, params: int = 0, macs: Dim = 0) -> None:
        self.params, self.macs = params, macs


def costs(graph: Graph, given: Mapping[str, int] | None = None) -> dict[Layer, Cost]:
    """The cost of every layer, with some free sizes given; a free batch is taken as 1."""
    known = {**(given or {}), **one_sample(graph)}
    for_one: dict[Dim, Dim] = {0: 0}
    free = Cost()
    found = {}
    for layer in graph.layers:
        macs, params = layer.op.macs(), layer.op.params()
        if macs == 0 and not params:
            found[layer] = free
            continue
        if macs not in for_one:
            for_one[macs] = evaluate(macs, known)
        found[layer] = Cost(learned(layer.op), for_one[macs])
    return found


def learned(op: Op) -> int:
    """The learned numbers that an operator owns."""
    return sum(math.prod(each.shape) for each in op.params().values() if each.learned)


def one_sample(graph: Graph) -> dict[str, int]:
    """What to put for the batch, if it is free."""
    batch = batch_size(graph)
    return {batch.name: 1} if batch else {}


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
    return Cost(sum(owners.values()), total_of(table[layer].macs for layer in layers))


def own_parameters(layer: Layer, table: dict[Layer, Cost]) -> int:
    """The parameters that a layer brings along: none where it uses those of another."""
    return table[layer].params if layer.weights_of is layer else 0


def total_of(dims: Iterable[Dim]) -> Dim:
    """The sum of many dimensions, most of which are the same few."""
    return summed(dim * times for dim, times in Counter(dims).items())
