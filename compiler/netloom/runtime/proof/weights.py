"""The weights of a model beside those of its network: finite numbers, and the same bits.

Outputs agree within rounding, so they do not tell that a low bit of a weight was lost. What an
export has not merged bears its key of the state dict, and can be compared for itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic
from netloom.emit.names import state_key
from netloom.emit.weights import Weights
from netloom.ir.graph import Graph
from netloom.runtime.proof.model_file import ModelFile

Array = numpy.ndarray[Any, Any]

MOST_NAMED = 3
"""How many weights a message names."""


class Carried(NamedTuple):
    """How the weights of inference stand in a model.

    `equal` are there bit for bit, `different` with so many other numbers; the rest of `all` was
    merged or arranged otherwise.
    """

    all: int
    equal: tuple[str, ...]
    different: Mapping[str, int]

    @property
    def words(self) -> str:
        """The same in a sentence."""
        if len(self.equal) == self.all:
            return f"all {self.all} weights are the network's, bit for bit"
        first = f"{len(self.equal)} of {self.all} weights are the network's, bit for bit"
        others = self.all - len(self.equal) - len(self.different)
        return f"{first}; {others} were merged or arranged otherwise" if others else first

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"all": self.all, "equal": len(self.equal), "different": dict(self.different)}

    def diagnostic(self) -> Diagnostic | None:
        """What is told of weights that are not those of the network (E619)."""
        if not self.different:
            return None
        numbers = sum(self.different.values())
        differ = f"{numbers:,} number{'s differ' if numbers > 1 else ' differs'}"
        message = f"{_listed(self.different)} of the model: {differ} from the network's"
        help = "the model was changed, or made from other weights; export it again"
        return Diagnostic("E619", message, help=help)


def compare_weights(graph: Graph, weights: Weights, file: ModelFile) -> Carried:
    """Compares what a model calls by a key of the state dict with the weight of that key."""
    equal, different = [], {}
    keys = list(_keys(graph))
    for key in keys:
        stored = file.weights.get(key)
        own = _bytes_of(weights[key])
        if stored is None or len(stored) != own.size:
            continue
        found = numpy.frombuffer(stored, "uint8")
        if numpy.array_equal(found, own):
            equal.append(key)
        else:
            different[key] = int((found != own).reshape(-1, 4).any(axis=1).sum())
    return Carried(len(keys), tuple(equal), different)


def not_finite(graph: Graph, weights: Weights) -> dict[str, int]:
    """The weights of inference that hold NaN or infinities, with how many."""
    counts = {key: int((~numpy.isfinite(weights[key])).sum()) for key in _keys(graph)}
    return {key: count for key, count in counts.items() if count}


def not_finite_diagnostic(found: Mapping[str, int]) -> Diagnostic:
    """What is told where weights that are not finite leave nothing to compare (E618)."""
    numbers = sum(found.values())
    are = "number is" if numbers == 1 else "numbers are"
    message = f"{numbers:,} {are} NaN or infinite in the weights {_listed(found)}"
    help = "did the training diverge? an earlier checkpoint may be sound"
    return Diagnostic("E618", message, help=help)


def _keys(graph: Graph) -> Iterator[str]:
    """The keys of the float32 weights that inference reads."""
    layers = {id(layer.weights_of): layer.weights_of for layer in graph.layers_in("infer")}
    for layer in layers.values():
        for name, parameter in layer.op.params().items():
            if parameter.dtype == "float32":
                yield state_key(f"{layer.name}.{name}")


def _bytes_of(array: Array) -> Array:
    return numpy.ascontiguousarray(array, "<f4").reshape(-1).view("uint8")


def _listed(names: Mapping[str, int]) -> str:
    shown = ", ".join(f"`{name}`" for name in list(names)[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
