"""ONNX models straight from the graph: nothing is traced, and every attribute is stated.

What only training needs is not there: the walk starts at the heads of inference, and operators
that act in training only hand their operand on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy
import onnx
from onnx import TensorProto, helper

import netloom
from netloom.emit.names import state_key
from netloom.emit.onnx_wire import Chunk, model_chunks
from netloom.emit.weights import Weights
from netloom.ir.dims import Dim
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.node import Constant, Local, Node, Weight
from netloom.ir.types import Type

OPSET = 21
"""The newest at which ONNX Runtime runs all operators in use; MaxRoiPool and RoiAlign end there."""

IR_VERSION = 10

_ELEMENT_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


def model_bytes(graph: Graph, weights: Weights, metadata: Mapping[str, str] | None = None) -> bytes:
    """The model of a network's inference heads as one ONNX file, in memory."""
    return b"".join(chunks(graph, weights, metadata))


def chunks(
    graph: Graph, weights: Weights, metadata: Mapping[str, str] | None = None
) -> list[Chunk]:
    """The same as pieces to be written one after the other; weights are not copied."""
    writer = _Writer(graph, weights)
    return model_chunks(writer.model(metadata or {}), writer.initializers)


def text(graph: Graph, weights: Weights) -> str:
    """The nodes in ONNX's own text form, without the weights."""
    return onnx.printer.to_text(_Writer(graph, weights).model({}))


@dataclass
class _Writer:
    """One export: names for values, nodes in order, initializers beside them."""

    graph: Graph
    weights: Weights
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.generic]]"] = field(
        default_factory=dict
    )
    names: dict[int, str] = field(default_factory=dict)

    def model(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The model without its initializers, which are gathered in `initializers`."""
        layers = self.graph.layers_in("infer")
        heads = self.graph.heads_in("infer")
        read = {id(value) for layer in layers for value in layer.op.reads()}
        read |= {id(head.value) for head in heads}
        inputs = [value for value in self.graph.inputs if id(value) in read]
        for value in inputs:
            self.names[id(value)] = value.name
        for layer in layers:
            self._layer(layer)
        outputs = [self._output(head.name, head.value) for head in heads]
        model = helper.make_model(
            helper.make_graph(
                self.nodes,
                self.graph.name,
                [_described(value.name, value.type) for value in inputs],
                outputs,
            ),
            producer_name="netloom",
            producer_version=netloom.__version__,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, dict(metadata))
        return model

    def _layer(self, layer: Layer) -> None:
        if layer.op.identity_in_inference:
            self.names[id(layer.results[0])] = self.names[id(layer.op.reads()[0])]
            return
        for result in layer.results:
            self.names[id(result)] = result.name
        nodes = layer.op.onnx()
        for node in nodes if isinstance(nodes, tuple) else (nodes,):
            self._node(layer, node)

    def _node(self, layer: Layer, node: Node) -> None:
        outputs = [self._result(layer, output) for output in node.outputs]
        is_whole = node.outputs == (0,)  # node names are unique, so the others go by their output
        self.nodes.append(
            helper.make_node(
                node.op_type,
                [self._input(layer, each) for each in node.inputs],
                outputs,
                name=layer.name if is_whole else outputs[0],
                **node.attributes,
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
        arrays = [self.weights[key] for key in keys]
        self.initializers[keys[0]] = weight.arrange(*arrays) if weight.arrange else arrays[0]
        return keys[0]

    def _constant(self, layer: Layer, constant: Constant) -> str:
        array = numpy.array(constant.elements, constant.dtype)
        shown = "x".join(str(each) for each in array.reshape(-1)[:8]).replace(".", "_")
        name = f"{layer.name}/{constant.dtype}_{shown}{'_scalar' * (array.ndim == 0)}"
        self.initializers[name] = array
        return name

    def _output(self, name: str, value: Value) -> onnx.ValueInfoProto:
        """A head; one that shares its value with another, or only names an input, gets its own."""
        if self.names[id(value)] != name:
            node = helper.make_node(
                "Identity", [self.names[id(value)]], [name], name=f"head/{name}"
            )
            self.nodes.append(node)
        return _described(name, value.type)


def _described(name: str, value_type: Type) -> onnx.ValueInfoProto:
    element_type = _ELEMENT_TYPES[value_type.dtype]
    return helper.make_tensor_value_info(name, element_type, list(_dims(value_type.shape)))


def _dims(shape: Iterable[Dim]) -> Iterable[int | str]:
    """Known sizes as numbers, others as their text: `N`, `32*h`."""
    return (dim if isinstance(dim, int) else str(dim) for dim in shape)
