"""float32 models as float16 models.

ONNX Runtime's own converter does it; inputs and outputs stay float32. What it leaves to be mended
here: it puts its casts behind the nodes that read them, casts a value once for each reader, and
changes weights that float16 cannot hold without saying so.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from netloom.diagnostics import Diagnostic, Failed
from netloom.extras import need
from netloom.runtime.precision.models import float_results, read, replace_nodes, serialised
from netloom.runtime.precision.running import Array, Session

LARGEST = 65504.0
"""The largest float16."""

SMALLEST = 2.0**-24
"""The smallest float16 above 0."""


BOUNDS = ("Clip", "Pad")
"""Their constants are bounds, and stay the same bounds where float16 ends before them."""


class Converted(NamedTuple):
    """A float16 model, the nodes that were kept in float32 by operator, and what is to be told."""

    content: bytes
    stayed_float: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def converted(content: bytes) -> Converted:
    """The model in float16. Raises `Failed` (E616) where a weight is larger than any float16."""
    model = read(content)
    notes = _check_weights(model)
    kept = _crashing(model)
    convert = need("onnxruntime.transformers.float16", "gpu").convert_float_to_float16
    lower: ModelProto = convert(model, keep_io_types=True, node_block_list=kept)
    replace_nodes(lower, _in_order(lower.graph.node))
    onnx.checker.check_model(lower)
    return Converted(serialised(lower), {"Transpose": tuple(kept)} if kept else {}, notes)


def _crashing(model: ModelProto) -> list[str]:
    """The nodes that bring ONNX Runtime down if they are float16.

    On CPUs it puts a cast between a transposition in float16 and the matrix product that reads it;
    merging the three ends in a null pointer when a sequence has a free length (onnxruntime #28392).
    """
    read = {name for node in model.graph.node if node.op_type == "MatMul" for name in node.input}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Transpose" and node.output[0] in read
    ]


def rounded_everywhere(content: bytes) -> bytes:
    """A float32 model that rounds inputs, weights and every result to float16 and back.

    So it computes as a device with float16 kernels does. ONNX Runtime has few for CPUs: there it
    computes the float16 model in float32, where nothing overflows and only weights are rounded.
    """
    model = read(content)
    results = float_results(model)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(_rounded(tensor), tensor.name))
    renamed = {
        each.name: f"{each.name}/rounded"
        for each in model.graph.input
        if each.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    nodes = [cast for name, new in renamed.items() for cast in _to_float16_and_back(name, new)]
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        made = [name for name in node.output if name in results]
        node.output[:] = [f"{name}/exact" if name in results else name for name in node.output]
        nodes.append(node)
        nodes += [cast for name in made for cast in _to_float16_and_back(f"{name}/exact", name)]
    replace_nodes(model, nodes)
    return serialised(model)


class Probe(NamedTuple):
    """A float32 model that also gives the largest magnitude of every value: `peaks`, by value."""

    content: bytes
    peaks: dict[str, str]


def probe(content: bytes) -> Probe:
    """A model whose values can be watched for what float16 cannot hold."""
    model = read(content)
    peaks = {}
    for index, name in enumerate(float_results(model)):
        size, peaks[name] = f"peak/{index}/size", f"peak/{index}"
        model.graph.node.append(helper.make_node("Abs", [name], [size]))
        model.graph.node.append(helper.make_node("ReduceMax", [size], [peaks[name]], keepdims=0))
        described = helper.make_tensor_value_info(peaks[name], TensorProto.FLOAT, [])
        model.graph.output.append(described)
    return Probe(serialised(model), peaks)


def overflowing(
    probe: Probe, session: Session, feeds: Iterable[Mapping[str, Array]]
) -> dict[str, float]:
    """The values of a float32 model that are too large for float16, in order, with their peaks."""
    wanted = list(probe.peaks.values())
    largest = numpy.zeros(len(wanted))
    for feed in feeds:
        found = session.run(feed, wanted)
        largest = numpy.maximum(largest, [found[peak] for peak in wanted])
    return {
        name: float(peak)
        for name, peak in zip(probe.peaks, largest, strict=True)
        if not peak <= LARGEST
    }


def _check_weights(model: ModelProto) -> tuple[str, ...]:
    """Refuses weights that are too large; tells of those that are too small."""
    read = {name for node in model.graph.node if node.op_type not in BOUNDS for name in node.input}
    arrays = {
        tensor.name: numpy.abs(numpy_helper.to_array(tensor))
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and tensor.name in read
    }
    large = [name for name, array in arrays.items() if not (array <= LARGEST).all()]
    if large:
        message = f"{_listed(large)} has weights beyond {LARGEST:.0f}, where float16 ends"
        raise Failed(Diagnostic("E616", message, help="export it in float32, or with `--int8`"))
    small = [name for name, array in arrays.items() if ((array > 0) & (array < SMALLEST)).any()]
    if not small:
        return ()
    return (f"weights below {SMALLEST:.0e} become that, in {_listed(small)}",)


def _in_order(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, each behind those that it reads, and each value made once."""
    given = list(nodes)
    makers = {name: node for node in given for name in node.output if name}
    made: set[str] = set()

    def placed(node: NodeProto) -> Iterator[NodeProto]:
        if made.issuperset(node.output):
            return
        for name in node.input:
            if name in makers and name not in made:
                yield from placed(makers[name])
        made.update(node.output)
        yield node

    for node in given:
        yield from placed(node)


def _to_float16_and_back(source: str, result: str) -> tuple[NodeProto, NodeProto]:
    half = f"{result}/float16"
    return (
        helper.make_node("Cast", [source], [half], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [half], [result], to=TensorProto.FLOAT),
    )


def _rounded(tensor: TensorProto) -> Array:
    array = numpy.clip(numpy_helper.to_array(tensor), -LARGEST, LARGEST)
    rounded: Array = array.astype("float16").astype("float32")
    return rounded


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
