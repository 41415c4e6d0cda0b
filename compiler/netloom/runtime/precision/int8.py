"""float32 models as int8 models: weights by channel, activations by what calibration has seen."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import onnx
from onnx import ModelProto, NodeProto

from netloom.diagnostics import Diagnostic, Failed
from netloom.extras import need
from netloom.runtime.precision.models import float_results, read, serialised

Array = numpy.ndarray[Any, Any]

OPERATORS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul"),
    *("Relu", "Clip", "LeakyRelu", "Add", "Mul", "Concat", "Resize"),
    *("MaxPool", "AveragePool", "GlobalAveragePool"),
    *("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split"),
)
"""What computes in int8. Softmax and its like keep float32: 256 steps tell small values badly.

So does what pads, because max pooling pads with -inf, which has no place on a scale.
"""

_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""What ONNX Runtime would do before is done: batch normalisation is folded, shapes are known."""


class Quantised(NamedTuple):
    """An int8 model, and the nodes that compute in float32 still: names by operator."""

    content: bytes
    stayed_float: dict[str, tuple[str, ...]]


def quantised(content: bytes, feeds: Iterable[Mapping[str, Array]]) -> Quantised:
    """The model in int8, calibrated with inputs by name.

    Scales are from the smallest and largest value of each activation. Percentiles gave the same
    accuracy on digits, take longer, and cut off what is rare in the calibration data.
    Raises `Failed` (E616) if no layer can be int8.
    """
    model = read(content)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**metadata, _PREPARED[0]: _PREPARED[1]})
    for node in model.graph.node:
        _spare_dilations(node)
    lower = _quantised(model, feeds)
    onnx.helper.set_model_props(lower, metadata)
    lower.producer_name, lower.producer_version = model.producer_name, model.producer_version
    del lower.graph.value_info[:]
    if not any(node.op_type == "QuantizeLinear" for node in lower.graph.node):
        message = f"network `{model.graph.name}` has no layer that can be int8"
        raise Failed(Diagnostic("E616", message, help="`--fp16` converts every layer"))
    return Quantised(serialised(lower), _stayed_float(lower))


def _quantised(model: ModelProto, feeds: Iterable[Mapping[str, Array]]) -> ModelProto:
    quantization = need("onnxruntime.quantization", "gpu")
    excluded = [node.name for node in model.graph.node if _is_grouped_deconv(node)]
    with tempfile.TemporaryDirectory(prefix="netloom-") as folder, numpy.errstate(invalid="ignore"):
        path = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            model,
            path,
            _Reader(feeds),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=excluded,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        return onnx.load(path)


def _spare_dilations(node: NodeProto) -> None:
    """Leaves out dilations of 1: int8 average pooling does not know them (onnxruntime #26528)."""
    if node.op_type == "AveragePool":
        kept = [each for each in node.attribute if each.name != "dilations" or max(each.ints) > 1]
        del node.attribute[:]
        node.attribute.extend(kept)


def _is_grouped_deconv(node: NodeProto) -> bool:
    """The quantiser takes the channels of all groups for those of one, and fails."""
    is_grouped = any(each.name == "group" and each.i > 1 for each in node.attribute)
    return node.op_type == "ConvTranspose" and is_grouped


class _Reader:
    """The feeds as ONNX Runtime's calibration asks for them."""

    def __init__(self, feeds: Iterable[Mapping[str, Array]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        """The next inputs; None behind the last."""
        feed = next(self._feeds, None)
        return None if feed is None else dict(feed)


def _stayed_float(model: ModelProto) -> dict[str, tuple[str, ...]]:
    """The nodes that are no operator in int8, or read or make floats that are not quantised."""
    makers = {name: node for node in model.graph.node for name in node.output}
    results = float_results(model)
    floats = {*results, *(each.name for each in model.graph.input)}
    quantised_values = {
        each.input[0] for each in model.graph.node if each.op_type == "QuantizeLinear"
    }
    found: dict[str, list[str]] = {}
    for name, node in results.items():
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        reads = [each for each in node.input if each in floats]
        are_quantised = all(
            each in makers and makers[each].op_type == "DequantizeLinear" for each in reads
        )
        if not (are_quantised and name in quantised_values and node.op_type in OPERATORS):
            found.setdefault(node.op_type, []).append(node.name or name)
    return {operator: tuple(dict.fromkeys(names)) for operator, names in found.items()}
