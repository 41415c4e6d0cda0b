"""Scale folding: a learned factor for each channel becomes part of the layer before it.

`Mul` by an initializer that has one number a channel, which alone reads the result of a `Conv`,
`ConvTranspose` or `Gemm`: weights and bias are multiplied by it (the layer scale of ConvNeXt).
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from netloom.emit.onnx.program import Program, Step, Tensor, without
from netloom.emit.onnx.rewrites.change import Change
from netloom.emit.onnx.rewrites.linear import (
    bias_of,
    calculated,
    is_linear,
    output_channels,
    owner_of,
    per_output,
)

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def fold_scaling(program: Program) -> list[Change]:
    """Merges multiplications by a factor a channel into the linear nodes before them."""
    uses, producers = program.uses(), program.producers()
    removed: set[int] = set()
    changes = []
    for step in program.steps:
        before = _scaled(program, step, producers)
        if before is None or uses[step.inputs[0]] > 1:
            continue
        before.inputs[1:] = _merge(program, before, program.tensors[step.inputs[1]])
        before.outputs = step.outputs
        before.layers = (*before.layers, *step.layers)
        producers[step.outputs[0]] = before
        removed.add(id(step))
        words = f"{step.layers[-1]} into the weights of {before.layers[0]}"
        changes.append(Change("scaling", before.layers, words))
    program.steps = without(program.steps, removed)
    return changes


def _scaled(program: Program, step: Step, producers: dict[str, Step]) -> Step | None:
    """The linear node whose channels a step multiplies by one number each."""
    if step.op_type != "Mul" or step.inputs[1] not in program.tensors:
        return None
    before = producers.get(step.inputs[0])
    if before is None or not is_linear(program, before):
        return None
    channels = output_channels(program, before)
    per_channel = (channels,) if before.op_type == "Gemm" else (channels, 1, 1)
    return before if program.tensors[step.inputs[1]].shape == per_channel else None


def _merge(program: Program, before: Step, scale: Tensor) -> list[str]:
    owner = owner_of(before)
    weight, bias = program.tensors[before.inputs[1]], bias_of(program, before)
    names = [
        program.add_tensor(
            f"{owner}/weight",
            calculated(weight.shape, partial(_weights, before, weight, scale)),
        )
    ]
    if bias is not None:
        names.append(
            program.add_tensor(
                f"{owner}/bias",
                calculated(bias.shape, partial(_bias, bias, scale)),
            )
        )
    return names


def _weights(step: Step, weight: Tensor, scale: Tensor) -> "Array":
    return per_output(step, weight.array(), scale.array().reshape(-1))


def _bias(bias: Tensor, scale: Tensor) -> "Array":
    scaled: Array = bias.array() * scale.array().reshape(-1)
    return scaled
