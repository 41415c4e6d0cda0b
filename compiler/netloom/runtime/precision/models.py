"""Reading and changing ONNX models in memory."""

from collections.abc import Iterable, Mapping

import onnx
from onnx import ModelProto, NodeProto, TensorProto

from netloom.diagnostics import Diagnostic, Failed

LARGEST = 2**31 - 1
"""The bytes that one protobuf message can have."""


def read(content: bytes) -> ModelProto:
    """The model in a file's content. Raises `Failed` (E616) for one that is too large for that."""
    if len(content) > LARGEST:
        message = f"a model of {len(content):,} bytes cannot be converted: 2 GiB is the most"
        raise Failed(Diagnostic("E616", message, help="export it in float32"))
    return onnx.load_from_string(content)


def float_results(model: ModelProto) -> dict[str, NodeProto]:
    """The float32 values that nodes compute, in order, each with its node."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        value.name
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    return {name: node for node in model.graph.node for name in node.output if name in floats}


def replace_nodes(model: ModelProto, nodes: Iterable[NodeProto]) -> None:
    """Puts other nodes in place of a model's; what was known of the types of values goes."""
    kept = list(nodes)
    del model.graph.node[:]
    del model.graph.value_info[:]
    model.graph.node.extend(kept)


def with_metadata(content: bytes, more: Mapping[str, str]) -> bytes:
    """The same model that says more about itself."""
    model = onnx.load_from_string(content)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**entries, **more})
    return serialised(model)


def serialised(model: ModelProto) -> bytes:
    """The content of a model's file; equal models give equal bytes."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content
