"""What the compiler states of a network, compared with what the oracles measure: one function a fact.

Each raises AssertionError where the two differ. They are plain functions, so that a test can also
ask whether they would notice a broken operator.
"""

import itertools

import numpy
import torch
from netloom.compile import Network, check
from netloom.diagnostics import Source
from netloom.ir.dims import Dim, evaluate_to_int
from netloom.ir.graph import Value
from netloom.ir.types import Shape, spatial_axes
from netloom.passes.fields import Extent, Field
from oracles.case import Case, Sizes, randomise
from oracles.reach import Interval, fit, measure, sees_all
from oracles.work import count_macs
from torch import Tensor, nn

CAUSAL = ("lstm",)
"""Operators of which an early position sees less than the whole input, and only the last sees all."""


def compiled(case: Case) -> Network:
    """The case's network as the compiler understands it."""
    return check(Source(f"{case.title}.loom", case.text)).networks["net"]


def head(network: Network, name: str) -> Value:
    """The value that a head gives out."""
    return next(each.value for each in network.graph.heads if each.name == name)


def bound(shape: Shape, sizes: Sizes, found: tuple[int, ...]) -> tuple[int, ...]:
    """A shape in numbers; what only the data decides is taken from the result."""
    return tuple(
        there if str(dim) == "kept" else evaluate_to_int(dim, sizes)
        for dim, there in zip(shape, found, strict=True)
    )


# ---- shapes, parameters, work


def compare_shapes(case: Case) -> None:
    """Shapes and element types are those of PyTorch's results, for several sizes."""
    network, module = compiled(case), case.reference().double().eval()
    for sizes in case.sizes:
        with torch.no_grad():
            results = module(*case.inputs(sizes))
        for name, result in zip(case.heads, results, strict=True):
            stated = head(network, name).type
            found = tuple(result.shape)
            assert bound(stated.shape, sizes, found) == found, (name, sizes)
            assert stated.dtype == ("float32" if result.is_floating_point() else "int64")


def compare_parameters(case: Case) -> None:
    """Names and shapes are those of the state dict, and the count is that of learned elements."""
    network, module = compiled(case), case.reference()
    stated = {
        f"{layer.name}.{name}": parameter
        for layer in network.graph.layers
        for name, parameter in layer.op.params().items()
    }
    found = module.state_dict()
    assert {name: each.shape for name, each in stated.items()} == {
        name: tuple(tensor.shape) for name, tensor in found.items()
    }
    learned = {name for name, _ in module.named_parameters()}
    assert {name for name, parameter in stated.items() if parameter.learned} == learned
    assert network.cost.params == sum(each.numel() for each in module.parameters())


def compare_macs(case: Case) -> None:
    """MACs of one sample are half of the operations that PyTorch counts."""
    network, module = compiled(case), case.reference().double().eval()
    for sizes in case.sizes:
        single = {**sizes, "N": 1}
        stated = evaluate_to_int(network.cost.macs, single)
        assert stated == count_macs(module, case.inputs(single)), sizes


# ---- receptive fields


def compare_fields(case: Case, exact_at_borders: bool = True) -> None:
    """What each position of each head sees of each input is what changes it in an experiment.

    One operator is exact at the borders. Through several, a border position may see less than
    its field clipped to the input, because each layer clips (docs/receptive-fields.md).
    """
    network = compiled(case)
    module, inputs = case.reference().double(), case.inputs(case.probe)
    for (position, name), (which, given) in itertools.product(
        enumerate(case.heads), enumerate(network.graph.inputs)
    ):
        value = head(network, name)
        for axis, index in spatial_axes(given.type.rank).items():
            own_index = spatial_axes(value.type.rank).get(axis)
            intervals = measure(module, inputs, which, index, position, own_index)
            stated = network.fields[value][given.name][axis]
            length = inputs[which].shape[index]
            where = f"{name} of {given.name} along {axis}"
            if isinstance(stated, Field):
                _compare_field(stated, intervals, length, exact_at_borders, where)
            else:
                _compare_word(stated, intervals, length, _is_causal(network), where)


def _compare_field(
    stated: Field, intervals: list[Interval], length: int, exact: bool, where: str
) -> None:
    for position, seen in enumerate(intervals):
        first, last = stated.interval(position)
        clipped = (max(first, 0), min(last, length - 1))
        allowed = clipped if clipped[0] <= clipped[1] else None
        assert seen == allowed or (not exact and _inside(seen, allowed)), (where, position)
    interior = fit(intervals)
    if interior is None:
        assert len(intervals) < 9, f"{where}: the probe has no interior"
        return
    assert (stated.sizes, stated.stride, stated.period) == (
        interior.sizes,
        interior.stride,
        interior.period,
    ), where
    assert stated.offset == interior.offset or 0 in interior.sizes, where


def _inside(seen: Interval, allowed: Interval) -> bool:
    if seen is None:
        return True
    return allowed is not None and allowed[0] <= seen[0] and seen[1] <= allowed[1]


def _compare_word(
    stated: Extent, intervals: list[Interval], length: int, causal: bool, where: str
) -> None:
    match stated:
        case "whole":
            assert sees_all(intervals[-1:] if causal else intervals, length), where
        case "misaligned":
            assert fit(intervals) is None, where
        case _:
            raise AssertionError(f"{where} is {stated}, which has no experiment")


def _is_causal(network: Network) -> bool:
    return any(layer.op.name in CAUSAL for layer in network.graph.layers)
