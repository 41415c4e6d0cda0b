"""Chains: two linear nodes with nothing between them become one.

1. `Gemm` behind `Gemm`: one matrix, their product.
2. `Conv` of 1 x 1 without padding behind any `Conv`: the window, step and padding of the first.
3. Any `Conv` behind a `Conv` of 1 x 1 with step 1: the window of the second. Its padding is zeros,
   where the first would have made its bias of zeros; so it has no padding, or the first no bias.
4. Neither has groups, and the product is no more work than the two: that is the measured rule.
"""

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from netloom.emit.onnx.program import Program, Step, Tensor, without
from netloom.emit.onnx.rewrites.change import Change
from netloom.emit.onnx.rewrites.linear import bias_of, calculated, is_linear, owner_of

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def merge_chains(program: Program) -> list[Change]:
    """Merges linear nodes into the linear nodes that alone read them."""
    uses, producers = program.uses(), program.producers()
    removed: set[int] = set()
    changes = []
    for step in program.steps:
        before = producers.get(step.inputs[0]) if step.inputs else None
        if before is None or step.op_type != before.op_type:
            continue
        if uses[step.inputs[0]] > 1:
            continue
        if not (is_linear(program, before) and is_linear(program, step)):
            continue
        if not _merge(program, before, step):
            continue
        removed.add(id(before))
        words = f"{before.layers[-1]} and {step.layers[0]} multiplied into one"
        step.layers = (*before.layers, *step.layers)
        changes.append(Change("chain", step.layers, words))
    program.steps = without(program.steps, removed)
    return changes


def _merge(program: Program, first: Step, second: Step) -> bool:
    """Makes the second node do the work of both, if that can be and is worth while."""
    one, two = program.tensors[first.inputs[1]], program.tensors[second.inputs[1]]
    out, middle, entering = two.shape[0], one.shape[0], one.shape[1]
    if first.op_type == "Gemm":
        if out * entering > middle * (out + entering):
            return False
        shape: tuple[int, ...] = (out, entering)
    elif first.op_type == "Conv":
        attributes = _merged_attributes(program, first, second)
        if attributes is None or attributes["work"] > attributes["before"]:
            return False
        shape = (out, entering, *attributes["kernel_shape"])
        second.attributes = {
            **second.attributes,
            **{key: attributes[key] for key in ("kernel_shape", "strides", "pads", "dilations")},
        }
    else:
        return False
    bias, own = bias_of(program, first), bias_of(program, second)
    owner = owner_of(second)
    names = [program.add_tensor(f"{owner}/weight", calculated(shape, partial(_product, one, two)))]
    if bias or own:
        constant = partial(_constant, bias, two, own)
        names.append(program.add_tensor(f"{owner}/bias", calculated((out,), constant)))
    second.inputs = [first.inputs[0], *names]
    return True


def _merged_attributes(program: Program, first: Step, second: Step) -> dict[str, Any] | None:
    """Window, step and padding of the product, and the work of it and of the two, a pixel."""
    one, two = first.attributes, second.attributes
    if one["group"] != 1 or two["group"] != 1:
        return None
    out, middle = program.tensors[second.inputs[1]].shape[:2]
    entering = program.tensors[first.inputs[1]].shape[1]
    # The first node is computed at as many pixels as the second one steps over.
    more = math.prod(two["strides"])
    if _is_point(two):
        taps = math.prod(one["kernel_shape"])
        strides = tuple(a * b for a, b in zip(one["strides"], two["strides"], strict=True))
        before = more * middle * entering * taps + out * middle
        return {**one, "strides": strides, "work": out * entering * taps, "before": before}
    bias = bias_of(program, first)
    has_bias = bias is not None and bool(bias.array().any())
    if _is_point(one) and max(one["strides"]) == 1 and not (has_bias and any(two["pads"])):
        taps = math.prod(two["kernel_shape"])
        before = more * middle * entering + out * middle * taps
        return {**two, "work": out * entering * taps, "before": before}
    return None


def _is_point(attributes: Any) -> bool:
    return max(attributes["kernel_shape"]) == 1 and not any(attributes["pads"])


def _product(first: Tensor, second: Tensor) -> "Array":
    """Weights [out, in, …] of the second node behind the first; one of them has one tap."""
    import numpy

    one, two = first.array(), second.array()
    if one.ndim == 2:
        product: Array = two @ one
    elif two.shape[2:] == (1, 1):
        product = numpy.tensordot(two[:, :, 0, 0], one, 1)
    else:
        product = numpy.einsum("omuv,mi->oiuv", two, one[:, :, 0, 0], optimize=True)
    return product


def _constant(bias: Tensor | None, second: Tensor, own: Tensor | None) -> "Array":
    """What the bias of the first node becomes behind the second, and the second's own."""
    two = second.array()
    total = two.sum(tuple(range(2, two.ndim))) if two.ndim > 2 else two
    constant: Array = total @ bias.array() if bias else own.array()  # type: ignore[union-attr]
    return constant + own.array() if bias and own else constant
