"""From a network to the nodes of an ONNX graph: nothing is traced, and every attribute is stated.

What only training needs is not there: the walk starts at the heads of inference, and operators
that act in training only hand their operand on.
"""

import struct
from collections.abc import Sequence
from functools import partial
from typing import Any

from netloom.emit.checkpoint import Checkpoint
from netloom.emit.names import state_key
from netloom.emit.onnx.program import Program, Step, Tensor
from netloom.emit.weights import Weights
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.node import Constant, Local, Node, Weight

_LETTERS = {"float32": "f", "int64": "q"}
"""Element types of constants, as the struct module calls them."""


def lowered(graph: Graph, weights: Weights) -> Program:
    """The inference heads of a network as ONNX nodes, one or a few for each layer."""
    return _Lowering(graph, weights).program


class _Lowering:
    """One export: names for values, nodes in order, initializers beside them."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.weights = weights
        self.names: dict[int, str] = {}
        self.program = program = Program(graph.name)
        layers, heads = graph.layers_in("infer"), graph.heads_in("infer")
        read = {id(value) for layer in layers for value in layer.op.reads()}
        read |= {id(head.value) for head in heads}
        for value in graph.inputs:
            if id(value) in read:
                self.names[id(value)] = value.name
                program.inputs[value.name] = value.type
        program.types.update(program.inputs)
        for layer in layers:
            self._layer(layer)
        for head in heads:
            self._head(head.name, head.value)

    def _layer(self, layer: Layer) -> None:
        if layer.op.identity_in_inference:
            self.names[id(layer.results[0])] = self.names[id(layer.op.reads()[0])]
            return
        for result in layer.results:
            self.names[id(result)] = result.name
            self.program.types[result.name] = result.type
        nodes = layer.op.onnx()
        if isinstance(nodes, Node):
            self._node(layer, nodes, layer.name)
            return
        for node in nodes:
            (output, *_) = node.outputs
            own = output.name if isinstance(output, Local) else f"result{output}"
            name = layer.name if output == 0 else f"{layer.name}/{own}"
            self._node(layer, node, name)

    def _node(self, layer: Layer, node: Node, name: str) -> None:
        """Adds a node; names of nodes are unique, and a layer's own is that of its first result."""
        self.program.steps.append(
            Step(
                node.op_type,
                [self._input(layer, each) for each in node.inputs],
                [self._result(layer, output) for output in node.outputs],
                node.attributes,
                name,
                (layer.name,),
            )
        )

    def _result(self, layer: Layer, output: int | Local | None) -> str:
        if output is None:
            return ""
        if isinstance(output, Local):
            return f"{layer.name}/{output.name}"
        return self.names[id(layer.results[output])]

    def _input(self, layer: Layer, given: Value | Weight | Constant | Local | None) -> str:
        match given:
            case None:
                return ""
            case Value():
                return self.names[id(given)]
            case Local():
                return f"{layer.name}/{given.name}"
            case Weight():
                return self._weight(layer, given)
            case Constant():
                return self._constant(layer, given)

    def _weight(self, layer: Layer, weight: Weight) -> str:
        keys = [state_key(f"{layer.weights_of.name}.{each}") for each in weight.parameters]
        name = keys[0]
        if weight.arrange:  # it is not what the state dict has under that name
            name = f"{layer.weights_of.name}/{weight.parameters[0]}"
        if name in self.program.tensors:
            return name
        if weight.arrange:
            arranged = weight.arrange(*(self.weights[key] for key in keys))
            self.program.tensors[name] = tensor_of(arranged)
        elif isinstance(self.weights, Checkpoint):
            stored = self.weights.tensors[name]
            read = partial(_bytes_of, self.weights, name)
            self.program.tensors[name] = Tensor(stored.dtype, stored.shape, read, stored)
        else:
            self.program.tensors[name] = tensor_of(self.weights[name])
        return name

    def _constant(self, layer: Layer, constant: Constant) -> str:
        given = constant.elements
        elements = given if isinstance(given, tuple) else (given,)
        shape = (len(elements),) if isinstance(given, tuple) else ()
        shown = "x".join(str(each) for each in elements[:8]).replace(".", "_")
        name = f"{layer.name}/{constant.dtype}_{shown}{'_scalar' * (not shape)}"
        self.program.tensors[name] = constant_of(constant.dtype, shape, elements)
        return name

    def _head(self, name: str, value: Value) -> None:
        """A head; one that shares its value with another, or only names an input, gets its own."""
        own = self.names[id(value)]
        if own != name:
            self.program.steps.append(Step("Identity", [own], [name], {}, f"head/{name}", ()))
        self.program.outputs[name] = self.program.types[name] = value.type


def constant_of(dtype: str, shape: tuple[int, ...], elements: Sequence[float]) -> Tensor:
    """An initializer of these numbers, in row order."""
    content = struct.pack(f"<{len(elements)}{_LETTERS[dtype]}", *elements)
    return Tensor(dtype, shape, lambda: content)


def tensor_of(array: Any) -> Tensor:
    """An initializer of the elements of a numpy array, which is not copied if it is contiguous."""
    return Tensor(str(array.dtype), array.shape, partial(_contiguous, array))


def _contiguous(array: Any) -> Any:
    import numpy

    little_endian = numpy.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little_endian.reshape(-1).view(numpy.uint8).data


def _bytes_of(checkpoint: Checkpoint, name: str) -> Any:
    return _contiguous(checkpoint[name])
