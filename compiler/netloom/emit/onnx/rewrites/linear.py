"""Weights of linear nodes, and how a factor for each channel is merged into them."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from netloom.emit.onnx.program import Program, Step, Tensor

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

LINEAR = ("Conv", "ConvTranspose", "Gemm")
"""Nodes that are linear in their data and have weights and a bias, in this order."""


def is_linear(program: Program, step: Step) -> bool:
    """Whether a node is linear in its data, by weights that are known."""
    return step.op_type in LINEAR and all(name in program.tensors for name in step.inputs[1:])


def output_channels(program: Program, step: Step) -> int:
    """The channels that a linear node makes."""
    shape = program.tensors[step.inputs[1]].shape
    if step.op_type == "ConvTranspose":
        return shape[1] * int(step.attributes["group"])
    return shape[0]  # Gemm has transB = 1


def bias_of(program: Program, step: Step) -> Tensor | None:
    """The constant that a linear node adds to each channel, if any."""
    return program.tensors[step.inputs[2]] if len(step.inputs) > 2 else None


def per_output(step: Step, weight: "Array", factor: "Array") -> "Array":
    """Weights with the factor of each output channel multiplied in."""
    if step.op_type != "ConvTranspose":
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    # [in, out / groups, …]: the rows of one group make the channels of that group.
    groups = int(step.attributes["group"])
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    factors = factor.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    return (grouped * factors).reshape(weight.shape)


def owner_of(step: Step) -> str:
    """The layer whose weights a linear node has, for the names of merged ones."""
    name = step.inputs[1]
    return name.rpartition("/")[0] or name.rpartition(".")[0]


def calculated(shape: tuple[int, ...], calculate: Callable[[], "Array"]) -> Tensor:
    """Weights that are calculated when they are read, by a function that gives an array."""
    return Tensor("float32", shape, partial(_content, calculate))


def _content(calculate: Callable[[], "Array"]) -> Any:
    import numpy

    array = numpy.ascontiguousarray(calculate(), "float32")
    return array.reshape(-1).view(numpy.uint8).data
