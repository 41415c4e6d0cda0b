"""PyTorch as the reference: the network in float64, and in the precision of the model."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy

from netloom.emit.torch import module
from netloom.emit.weights import Weights
from netloom.extras import need
from netloom.ir.graph import Graph
from netloom.runtime.proof.policy import Precision

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = numpy.ndarray[Any, Any]

TorchType = Literal["float64", "float32", "float16"]

Outputs = dict[str, Array]


class References(NamedTuple):
    """What the network gives for some inputs.

    `truth` is in float64; `own` in the precision of the model, None where PyTorch lacks a kernel.
    """

    truth: Outputs
    own: Outputs | None


class EmittedModule:
    """The module that the compiler emits, with weights, in float64 and in another precision."""

    def __init__(self, graph: Graph, weights: Weights, precision: Precision) -> None:
        need("torch", "train")
        self._head = graph.heads[0].name
        self._inputs = [value.name for value in graph.inputs]
        self._exact = _loaded(graph, weights).double()
        self._rounded = _loaded(graph, weights)
        if precision == "float16":
            self._rounded.half()
        self._own_type = own_type(precision)

    def references(self, inputs: Mapping[str, Array]) -> References:
        """The heads by name, for inputs by name."""
        own = or_none(lambda: self._run(self._rounded, inputs, self._own_type))
        return References(self._run(self._exact, inputs, "float64"), own)

    def _run(
        self, network: "nn.Module", inputs: Mapping[str, Array], precision: TorchType
    ) -> Outputs:
        tensors = as_tensors(inputs, precision)
        with need("torch", "train").no_grad():
            given = network(*(tensors[name] for name in self._inputs))
        found = given if isinstance(given, dict) else {self._head: given}
        return {name: tensor.numpy() for name, tensor in found.items()}


def or_none(compute: Callable[[], Outputs]) -> Outputs | None:
    """What PyTorch gives, or None where it has no kernel for float16."""
    try:
        return compute()
    except (RuntimeError, NotImplementedError) as problem:
        if "not implemented for" in str(problem):
            return None
        raise


def _loaded(graph: Graph, weights: Weights) -> "nn.Module":
    torch = need("torch", "train")
    with torch.device("meta"):  # initial values would be drawn for nothing
        network = module(graph).eval()
    network.load_state_dict(state_of(weights), assign=True)
    return network


def state_of(weights: Weights) -> "dict[str, Tensor]":
    """Weights as tensors, without a copy where the array's memory can be shared."""
    torch = need("torch", "train")
    return {name: torch.from_numpy(_writable(array)) for name, array in weights.items()}


def _writable(array: Array) -> Array:
    """PyTorch warns of memory that it could write to but must not."""
    whole = numpy.ascontiguousarray(array).reshape(array.shape)
    return whole if whole.flags.writeable else whole.copy()


def own_type(precision: Precision) -> TorchType:
    """The type in which PyTorch computes what is compared; it has no int8 of its own."""
    return "float16" if precision == "float16" else "float32"


def as_tensors(inputs: Mapping[str, Array], precision: TorchType) -> "dict[str, Tensor]":
    """Inputs as tensors; floating-point ones in a precision."""
    torch = need("torch", "train")
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    return {
        name: tensor.to(getattr(torch, precision)) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
