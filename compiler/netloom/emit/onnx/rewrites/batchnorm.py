"""Batch-norm folding: a normalisation by known statistics becomes part of the layer before it.

1. `BatchNormalization` that alone reads the result of a `Conv`, `ConvTranspose` or `Gemm`:
2. y = (x - mean) / sqrt(var + eps) * scale + shift is a factor and a constant for each channel, so
   the weights are multiplied by the factor, and the bias becomes (bias - mean) * factor + shift.

ONNX Runtime does this when it loads a model, which makes loading a third slower.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from netloom.emit.onnx.program import Program, Step, Tensor, without
from netloom.emit.onnx.rewrites.change import Change
from netloom.emit.onnx.rewrites.linear import (
    bias_of,
    calculated,
    is_linear,
    owner_of,
    per_output,
)

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def fold_batchnorm(program: Program) -> list[Change]:
    """Merges `BatchNormalization` nodes into the linear nodes before them."""
    uses, producers = program.uses(), program.producers()
    removed: set[int] = set()
    merged: dict[tuple[str, ...], list[str]] = {}
    changes = []
    for step in program.steps:
        before = producers.get(step.inputs[0]) if step.op_type == "BatchNormalization" else None
        if before is None or not is_linear(program, before):
            continue
        if uses[step.inputs[0]] > 1:
            continue
        if not all(name in program.tensors for name in step.inputs[1:]):
            continue
        # Layers that share all their weights share the merged ones.
        key = (*before.inputs[1:], *step.inputs[1:], before.op_type)
        if key not in merged:
            merged[key] = _merge(program, before, step)
        before.inputs[1:] = merged[key]
        before.outputs = step.outputs
        before.layers = (*before.layers, *step.layers)
        producers[step.outputs[0]] = before
        removed.add(id(step))
        words = f"{step.layers[-1]} into the weights of {before.layers[0]}"
        changes.append(Change("batchnorm", before.layers, words))
    program.steps = without(program.steps, removed)
    return changes


def factor_and_constant(program: Program, step: Step) -> tuple["Array", "Array"]:
    """What a batch norm multiplies each channel by, and what it adds, in float64."""
    import numpy

    scale, shift, mean, variance = (
        program.tensors[name].array().astype("float64") for name in step.inputs[1:]
    )
    factor: Array = scale / numpy.sqrt(variance + step.attributes["epsilon"])
    return factor, shift - mean * factor


def _merge(program: Program, before: Step, norm: Step) -> list[str]:
    factor, constant = factor_and_constant(program, norm)
    weight, bias = program.tensors[before.inputs[1]], bias_of(program, before)
    owner = owner_of(before)
    return [
        program.add_tensor(
            f"{owner}/weight",
            calculated(weight.shape, partial(_weights, before, weight, factor)),
        ),
        program.add_tensor(
            f"{owner}/bias",
            calculated(factor.shape, partial(_bias, bias, factor, constant)),
        ),
    ]


def _weights(step: Step, weight: Tensor, factor: "Array") -> "Array":
    return per_output(step, weight.array(), factor.astype("float32"))


def _bias(bias: Tensor | None, factor: "Array", constant: "Array") -> "Array":
    return constant if bias is None else constant + bias.array() * factor
