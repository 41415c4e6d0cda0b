"""Parameters and multiply-accumulates."""

import math
from dataclasses import dataclass

from netloom.ir.dims import Dim, Size, Symbolic, evaluate
from netloom.ir.graph import Graph, Layer


@dataclass(frozen=True)
class Cost:
    """What a layer, or a whole network, costs. MACs are for one sample."""

    params: int = 0
    macs: Dim = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.macs + other.macs)


def costs(graph: Graph) -> dict[Layer, Cost]:
    """The cost of every layer; the batch, if it is free, is taken as 1."""
    batch = batch_size(graph)
    return {
        layer: Cost(
            sum(math.prod(p.shape) for p in layer.op.params().values() if p.learned),
            evaluate(layer.op.macs(), {batch.name: 1} if batch else {}),
        )
        for layer in graph.layers
    }


def batch_size(graph: Graph) -> Size | None:
    """The free size that counts samples: the first input's first dimension, if it is a name."""
    if not graph.inputs or not graph.inputs[0].type.shape:
        return None
    first = graph.inputs[0].type.shape[0]
    if isinstance(first, Symbolic) and len(first.terms) == 1:
        (monomial, coefficient) = first.terms[0]
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], Size):
            return monomial[0]
    return None


def total(layers: list[Layer], table: dict[Layer, Cost]) -> Cost:
    """The cost of some layers together."""
    return sum((table[layer] for layer in layers), Cost())
