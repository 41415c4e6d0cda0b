"""The network run layer by layer in PyTorch, without the emitted module.

Each layer's call (`ir/call.py`) is carried out as it stands, so every value of the graph can be
looked at. That this gives what the emitted module gives is a check on the emitter, too.
"""

import functools
import operator
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy

from netloom.emit.names import state_key
from netloom.emit.weights import Weights
from netloom.extras import need
from netloom.ir.call import Function, Module
from netloom.ir.graph import Graph, Layer, Value
from netloom.runtime.proof.references import TorchType, as_tensors, state_of

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = numpy.ndarray[Any, Any]

INFIX = {"+": operator.add, "*": operator.mul}


class Interpreter:
    """A network's layers of inference, with their weights, in one precision."""

    def __init__(self, graph: Graph, weights: Weights, precision: TorchType) -> None:
        torch = need("torch", "train")
        self.graph, self.precision = graph, precision
        self.layers = graph.layers_in("infer")
        self.modules: dict[int, nn.Module] = {}
        for layer in self.layers:
            call = layer.op.torch()
            if isinstance(call, Module) and id(layer.weights_of) not in self.modules:
                module = _module(call, _state(layer, weights)).to(getattr(torch, precision))
                self.modules[id(layer.weights_of)] = module

    def run(self, inputs: Mapping[str, Array]) -> "Iterator[tuple[Layer, tuple[Tensor, ...]]]":
        """The layers in order, each with its results; a value is forgotten after its last use."""
        torch = need("torch", "train")
        tensors = as_tensors(inputs, self.precision)
        known = {id(value): tensors[value.name] for value in self.graph.inputs}
        last_uses = _last_uses(self.layers)
        with torch.no_grad():
            for layer in self.layers:
                results = self._results(layer, known)
                known |= zip(map(id, layer.results), results, strict=True)
                yield layer, results
                for value in last_uses.get(id(layer), ()):
                    known.pop(id(value), None)

    def _results(self, layer: Layer, known: "Mapping[int, Tensor]") -> "tuple[Tensor, ...]":
        call = layer.op.torch()
        if isinstance(call, Function):
            given = _apply(call, known)
            return tuple(given) if isinstance(given, (tuple, list)) else (given,)
        operands = [known[id(value)] for value in call.inputs]
        options = {
            name: known[id(each)].size() if isinstance(each, Value) else each
            for name, each in call.call_options.items()
        }
        given = self.modules[id(layer.weights_of)](*operands, **options)
        return tuple(functools.reduce(operator.getitem, path, given) for path in call.picks)


def _apply(call: Function, known: "Mapping[int, Tensor]") -> Any:
    arguments = [_argument(each, known) for each in call.arguments]
    if call.name in INFIX:
        return functools.reduce(INFIX[call.name], arguments)
    options = {name: option.value for name, option in call.options.items()}
    return _target(call.name)(*arguments, **options)


def _argument(given: Any, known: "Mapping[int, Tensor]") -> Any:
    if isinstance(given, list):
        return [_argument(each, known) for each in given]
    return known[id(given)] if isinstance(given, Value) else given


def _module(call: Module, state: Weights) -> "nn.Module":
    """The module of a layer, with its weights, as it is in inference."""
    torch = need("torch", "train")
    options = {name: option.value for name, option in call.options.items()}
    with torch.device("meta"):  # initial values would be drawn for nothing
        made: nn.Module = _target(call.target)(*call.arguments, **options)
    made.load_state_dict(state_of(state), assign=True)
    return made.eval()


def _state(layer: Layer, weights: Weights) -> Weights:
    """The layer's weights by the names of its parameters; shared ones are those of their owner."""
    owner = layer.weights_of.name
    return {name: weights[state_key(f"{owner}.{name}")] for name in layer.op.params()}


def _target(name: str) -> Any:
    """What a dotted name of a call means; one without a dot is a class of the library."""
    first, *rest = name.split(".")
    if not rest:
        return getattr(need("netloom.emit.torch.library", "train"), first)
    modules = {"nn": "torch.nn", "F": "torch.nn.functional", "torch": "torch"}
    module = need(modules.get(first, first), "train")
    if first == "torchvision":
        module = need(".".join([first, *rest[:-1]]), "train")
        rest = rest[-1:]
    return functools.reduce(getattr, rest, module)


def _last_uses(layers: list[Layer]) -> dict[int, list[Value]]:
    """By layer, the values that no later one reads."""
    found: dict[int, list[Value]] = {}
    seen: set[int] = set()
    for layer in reversed(layers):
        for value in (*layer.results, *layer.op.reads()):
            if id(value) not in seen:
                seen.add(id(value))
                found.setdefault(id(layer), []).append(value)
    return found
