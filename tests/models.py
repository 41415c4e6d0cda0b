"""Small exported models for tests of what runs them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper

from netloom.compile import check
from netloom.diagnostics import Source
from netloom.emit.onnx import program
from netloom.emit.onnx.files import write_model
from netloom.emit.weights import initial
from netloom.runtime.metadata import model_metadata
from netloom.train.preprocessing import Preprocessing

DIGITS = """
network digits {
    input image: float32[N, 1, 8, 8]
    head logits = conv(4, 3) -> relu -> flatten -> linear(3)
    infer head probabilities = logits -> softmax
}
"""

TWO_INPUTS = """
network pair {
    input a: float32[N, 4]
    input b: float32[N, 4]
    head sum = add { a  b }
}
"""

FREE = """
network free {
    input image: float32[N, 2, h, w]
    head map = conv(3, 3, pad=1)
}
"""

CLASSES = ("nought", "one", "=two")


def exported(path: Path, text: str, external: bool = False, **metadata: Any) -> Path:
    """Writes the model of the only network of a spec, with untrained weights."""
    spec = check(Source("net.loom", text))
    (name,) = spec.networks
    graph = spec.networks[name].graph
    made, _ = program(graph, initial(graph))
    write_model(path, made, model_metadata(spec, name, **metadata), external=external)
    return path


def digits(path: Path, external: bool = False) -> Path:
    """A model that takes images and knows its classes."""
    preprocessing = {"image": Preprocessing("grey", 8, 8).as_json()}
    return exported(path, DIGITS, external, classes=CLASSES, preprocessing=preprocessing)


def foreign(
    path: Path,
    inputs: Mapping[str, tuple[int, list[Any]]],
    outputs: Mapping[str, tuple[int, list[Any] | None]],
    nodes: list[onnx.NodeProto],
    **header: int,
) -> Path:
    """A model that netloom did not write: inputs and outputs by element type and shape."""
    taken, given = (
        [helper.make_tensor_value_info(name, *of) for name, of in each.items()]
        for each in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "foreign", taken, given)
    opset = helper.make_opsetid("", header.get("opset", 21))
    model = helper.make_model(graph, opset_imports=[opset], ir_version=header.get("ir", 10))
    onnx.save(model, path)
    return path


def rectifier(path: Path, shape: list[Any], element_type: int = TensorProto.FLOAT) -> Path:
    """`y = relu(x)` for that shape."""
    node = helper.make_node("Relu", ["x"], ["y"])
    return foreign(path, {"x": (element_type, shape)}, {"y": (element_type, shape)}, [node])


def drawn(*shape: int, seed: int = 0) -> "numpy.ndarray[Any, Any]":
    """Random float32."""
    return numpy.random.default_rng(seed).normal(size=shape).astype("float32")
