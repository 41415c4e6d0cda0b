"""Activation memory: what training keeps, and the peak of the exported graph; see docs/cost.md."""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from netloom.ir.dims import Dim, evaluate, product, size
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.types import DType
from netloom.passes.admissible import admissible_sizes
from netloom.passes.cost import one_sample, total_of

BYTES: dict[DType, int] = {"float32": 4, "int64": 8, "bool": 1}
"""The bytes of one element."""

PARAMETER_BYTES = BYTES["float32"]


class Peak(NamedTuple):
    """A moment at which the exported graph holds the most: while `layer` runs.

    Without layers, where a head only names an input, it is None.
    """

    bytes: Dim
    layer: Layer | None

    @property
    def made(self) -> str | None:
        """The name of the (first) value that is made then."""
        return self.layer.results[0].name if self.layer else None


class Memory(NamedTuple):
    """Bytes of activations for one sample.

    `values` has those of each input and each layer's results, `training` what a training step keeps
    for the backward pass. `peaks` are the moments of which one is the peak of the exported graph:
    several only where it depends on the free sizes which of them is.
    """

    values: dict[Value, Dim]
    training: Dim
    peaks: tuple[Peak, ...]


def memory(graph: Graph, sizes: Mapping[str, int] | None = None) -> Memory:
    """The memory of a network, with some of its free sizes given; the batch is taken as 1."""
    values = _bytes(graph, {**(sizes or {}), **one_sample(graph)})
    return Memory(values, _training(graph, values), _peaks(graph, values))


def _bytes(graph: Graph, sizes: Mapping[str, int]) -> dict[Value, Dim]:
    known: dict[tuple[DType, tuple[Dim, ...]], Dim] = {}
    found = {}
    for value in (*graph.inputs, *(result for layer in graph.layers for result in layer.results)):
        dtype, shape, _ = value.type
        if (dtype, shape) not in known:
            known[dtype, shape] = BYTES[dtype] * product(
                tuple(evaluate(dim, sizes) for dim in shape)
            )
        found[value] = known[dtype, shape]
    return found


def _training(graph: Graph, values: dict[Value, Dim]) -> Dim:
    """All results of the layers of training, and the inputs that it reads."""
    layers = graph.layers_in("train")
    kept = {value for layer in layers for value in (*layer.results, *layer.op.reads())}
    kept |= {head.value for head in graph.heads_in("train")}
    return total_of(values[value] for value in values if value in kept)


def _peaks(graph: Graph, values: dict[Value, Dim]) -> tuple[Peak, ...]:
    """The moments of the schedule at which the most is there.

    The layers run in the order of the graph. A value is there from the layer that makes it to the
    last that reads it, an input from the beginning, a head to the end. Operands and results of the
    running layer are there together.
    """
    layers = [each for each in graph.layers_in("infer") if not each.op.identity_in_inference]
    places = _places(graph)
    heads = {places.get(head.value, head.value) for head in graph.heads_in("infer")}
    last: dict[Value, Layer] = {}
    for layer in layers:
        for value in (*layer.results, *layer.op.reads()):
            last[places.get(value, value)] = layer
    ending = defaultdict(list)
    for value, layer in last.items():
        if value not in heads:
            ending[layer].append(value)
    there = total_of(values[each] for each in graph.inputs if each in last or each in heads)
    moments: dict[Dim, Layer | None] = {} if layers else {there: None}
    for layer in layers:
        there = there + total_of(values[result] for result in layer.results)
        moments.setdefault(there, layer)
        there = there - total_of(values[value] for value in ending[layer])
    smallest = {name: each.minimum for name, each in admissible_sizes(graph).bounds.items()}
    return _largest(moments, smallest)


def _places(graph: Graph) -> dict[Value, Value]:
    """The value in whose memory the result of a layer is that does nothing in inference."""
    found: dict[Value, Value] = {}
    for layer in graph.layers_in("infer"):
        if layer.op.identity_in_inference:
            (operand,) = layer.op.operands()
            found[layer.results[0]] = found.get(operand, operand)
    return found


def _largest(moments: dict[Dim, Layer | None], smallest: Mapping[str, int]) -> tuple[Peak, ...]:
    """The moments that no other exceeds at every size for which the network can be run.

    They are compared as polynomials in what each size has beyond its smallest value: none is
    negative, nor are their floors, so one whose coefficients are all as large is as large.
    """
    beyond = {name: size(name) + least for name, least in smallest.items()}
    kept: list[tuple[Dim, Peak]] = []
    for moment, layer in moments.items():
        shifted = evaluate(moment, beyond)
        if any(_is_at_most(shifted, other) for other, _ in kept):
            continue
        kept = [each for each in kept if not _is_at_most(each[0], shifted)]
        kept.append((shifted, Peak(moment, layer)))
    return tuple(peak for _, peak in kept)


def _is_at_most(left: Dim, right: Dim) -> bool:
    difference = right - left
    if isinstance(difference, int):
        return difference >= 0
    return all(coefficient >= 0 for _, coefficient in difference.terms)
