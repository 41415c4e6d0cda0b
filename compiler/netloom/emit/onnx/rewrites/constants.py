"""Constant folding: what only depends on known sizes is calculated now.

1. `Shape` of a value of the network whose asked sizes are numbers becomes these numbers.
2. A node of `_CALCULATED` all of whose inputs are small initializers becomes its result.

So the arithmetic that finds a crop or a padding from the size at hand is gone where sizes are
known.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from netloom.emit.onnx.lowering import tensor_of
from netloom.emit.onnx.program import Program, Step, Tensor, without
from netloom.emit.onnx.rewrites.change import Change

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

_LARGEST = 1024
"""Elements of what is calculated: these are sizes and positions, not maps."""


def fold_constants(program: Program) -> list[Change]:
    """Replaces nodes whose result is known by an initializer."""
    folded: dict[int, Step] = {}
    for step in program.steps:
        result = _known_shape(program, step) or _calculated(program, step)
        if result is not None:
            program.tensors[step.outputs[0]] = result
            folded[id(step)] = step
    program.steps = without(program.steps, set(folded))
    count: dict[tuple[str, ...], int] = {}
    for step in folded.values():
        count[step.layers] = count.get(step.layers, 0) + 1
    return [
        Change("constants", layers, f"{number} node{'s' * (number != 1)} of known sizes calculated")
        for layers, number in count.items()
    ]


def _known_shape(program: Program, step: Step) -> Tensor | None:
    if step.op_type != "Shape" or step.inputs[0] not in program.types:
        return None
    shape = program.types[step.inputs[0]].shape
    asked = shape[step.attributes["start"] : step.attributes.get("end")]
    if not all(isinstance(each, int) for each in asked):
        return None
    import numpy

    return tensor_of(numpy.array(asked, "int64"))


def _calculated(program: Program, step: Step) -> Tensor | None:
    calculate = _CALCULATED.get(step.op_type)
    given = [program.tensors.get(name) for name in step.inputs if name]
    if calculate is None or step.outputs[0] in program.outputs:
        return None
    if not all(each and each.dtype == "int64" and each.nbytes <= 8 * _LARGEST for each in given):
        return None
    return tensor_of(calculate(step.attributes, *(each.array() for each in given if each)))


def _add(_: Mapping[str, Any], left: "Array", right: "Array") -> "Array":
    return left + right


def _subtract(_: Mapping[str, Any], left: "Array", right: "Array") -> "Array":
    return left - right


def _multiply(_: Mapping[str, Any], left: "Array", right: "Array") -> "Array":
    return left * right


def _divide(_: Mapping[str, Any], left: "Array", right: "Array") -> "Array":
    """ONNX truncates, numpy floors; what is divided here is never negative."""
    return left // right


def _larger(_: Mapping[str, Any], left: "Array", right: "Array") -> "Array":
    import numpy

    larger: Array = numpy.maximum(left, right)
    return larger


def _joined(attributes: Mapping[str, Any], *arrays: "Array") -> "Array":
    import numpy

    return numpy.concatenate(arrays, attributes["axis"])


def _product(attributes: Mapping[str, Any], array: "Array") -> "Array":
    import numpy

    return numpy.asarray(numpy.prod(array, keepdims=bool(attributes["keepdims"]), dtype="int64"))


_CALCULATED: Mapping[str, Callable[..., "Array"]] = {
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Max": _larger,
    "Concat": _joined,
    "ReduceProd": _product,
}
