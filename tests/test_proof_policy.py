"""Errors, verdicts where they change, and what a proof tries."""

import math

import numpy
import onnx
import pytest
from onnx import numpy_helper

from netloom.compile import check_file
from netloom.emit import onnx as emit_onnx
from netloom.runtime.proof.cases import cases
from netloom.runtime.proof.policy import (
    POLICIES,
    Precision,
    error_of,
    is_constant,
    is_unchanged,
    judge,
)
from netloom.runtime.verify import randomised, verify
from specimens import ROOT, built, net

TRUTH = numpy.array([4.0, -2.0, 1.0])


@pytest.mark.parametrize(
    ("found", "error"),
    [
        ([4.0, -2.0, 1.0], 0),
        ([4.0, -2.0, 1.4], 0.1),  # of the largest magnitude, which is 4
        ([4.0, -2.4, 1.0], 0.1),
        ([4.0, -2.0, math.nan], math.inf),
        ([4.0, -2.0, math.inf], math.inf),
        ([4.0, -2.0], math.inf),
    ],
)
def test_an_error_is_relative_to_the_largest_magnitude(found: list[float], error: float) -> None:
    assert error_of(numpy.array(found, "float32"), TRUTH) == pytest.approx(error, abs=1e-7)


@pytest.mark.parametrize(
    ("found", "truth", "same"),
    [
        ([1.0, math.nan], [1.0, math.nan], True),
        ([1.0, math.inf], [1.0, math.inf], True),
        ([1.0, -math.inf], [1.0, math.inf], False),
        ([1.0, math.nan], [1.0, math.inf], False),
        ([math.nan, 1.0], [1.0, math.nan], False),
        ([], [], True),
    ],
)
def test_non_finite_elements_are_at_the_same_places(
    found: list[float], truth: list[float], same: bool
) -> None:
    error = error_of(numpy.array(found, "float32"), numpy.array(truth))
    assert error == (0 if same else math.inf)


def test_other_kinds_of_elements_are_never_equal() -> None:
    whole = numpy.array([1, 2])
    assert error_of(whole, whole) == 0
    assert error_of(whole, whole + 1) == math.inf
    assert error_of(whole.astype("float32"), whole) == math.inf
    assert error_of(whole, whole.astype("float64")) == math.inf
    assert error_of(numpy.array([True, False]), numpy.array([True, False])) == 0


@pytest.mark.parametrize(
    ("precision", "own", "error", "verdict"),
    [
        ("float32", 0.0, 1e-5, "same"),
        ("float32", 0.0, 1.01e-5, "DIFFERENT"),
        ("float32", 1e-6, 1.99e-4, "same"),
        ("float32", 1e-6, 2.01e-4, "DIFFERENT"),
        ("float32", 1e-4, 1e-3, "same"),
        ("float32", 1e-4, 1.01e-3, "DIFFERENT"),
        ("float32", None, 1.01e-5, "DIFFERENT"),
        ("float32", math.inf, 1.01e-5, "DIFFERENT"),
        ("float16", 0.0, 2e-2, "same"),
        ("float16", 0.0, 2.01e-2, "DIFFERENT"),
        ("float16", 1e-2, 7.99e-2, "same"),
        ("float16", 1e-2, 8.01e-2, "DIFFERENT"),
        ("float16", None, 2e-2, "same"),
        ("float16", None, 2.01e-2, "DIFFERENT"),
        ("float16", 1.0, 0.21, "DIFFERENT"),
        ("int8", 1e-6, 0.3, "reported"),
        ("int8", 1e-6, math.inf, "DIFFERENT"),
    ],
)
def test_the_verdict_turns_at_the_bounds(
    precision: Precision, own: float | None, error: float, verdict: str
) -> None:
    policy = POLICIES[precision]
    for errors in ((error, 0.0), (0.0, error)):
        assert judge(policy, TRUTH, own, errors, may_overflow=False) == verdict


def test_whole_numbers_are_equal_or_they_differ() -> None:
    whole = numpy.array([1, 2])
    for policy in POLICIES.values():
        assert judge(policy, whole, 0.0, (0.0, 0.0), may_overflow=False) == "same"
        assert judge(policy, whole, 0.0, (0.0, math.inf), may_overflow=False) == "DIFFERENT"
        # Rounding decides in PyTorch, too.
        assert judge(policy, whole, math.inf, (0.0, math.inf), may_overflow=False) == "says nothing"


def test_only_large_inputs_may_overflow() -> None:
    policy, infinite = POLICIES["float32"], (math.inf, math.inf)
    assert judge(policy, TRUTH, math.inf, infinite, may_overflow=True) == "says nothing"
    assert judge(policy, TRUTH, math.inf, infinite, may_overflow=False) == "DIFFERENT"
    assert judge(policy, TRUTH, 1e-7, infinite, may_overflow=True) == "DIFFERENT"


def test_what_hardly_varies_says_nothing() -> None:
    policy = POLICIES["float32"]
    assert is_constant(policy, numpy.array([1.0, 1.00009]))
    assert not is_constant(policy, numpy.array([1.0, 1.00011]))
    assert not is_constant(policy, numpy.array([1.0]))
    assert is_constant(policy, numpy.array([math.nan, math.nan]))
    assert is_constant(policy, numpy.array([3, 3]))
    assert not is_constant(policy, numpy.array([3, 4]))
    assert is_unchanged(policy, TRUTH, TRUTH + 3.9e-4)
    assert not is_unchanged(policy, TRUTH, TRUTH + 4.1e-4)
    assert not is_unchanged(policy, TRUTH, TRUTH[:2])


def test_fixed_sizes_are_tried_with_two_batches_and_free_ones_at_three_sizes() -> None:
    policy = POLICIES["float32"]
    fixed = cases(check_file(ROOT / "specs" / "lenet.loom").networks["lenet"].graph, policy)
    assert [dict(case.sizes) for case in fixed.tried] == 3 * [{"N": 1}] + 3 * [{"N": 3}]
    assert [case.inputs for case in fixed.tried] == 2 * ["random", "negative", "large"]
    free = cases(built(net("conv(8, 3)", "N, 3, h, 2*w")).graph, policy)
    sizes = [tuple(case.sizes.values()) for case in free.tried]
    assert len(set(sizes)) == 3
    assert {case.sizes["N"] for case in free.tried} == {1, 2, 3}
    assert len({case.sizes["h"] % 2 for case in free.tried}) == 2


def test_what_is_too_large_is_tried_less_and_says_so() -> None:
    wide = built(net("conv(512, 3, pad=1)\n" * 4, "N, 512, 64, 64")).graph
    found = cases(wide, POLICIES["float32"])
    assert [(case.sizes["N"], case.inputs) for case in found.tried] == [
        (1, "random"),
        (1, "negative"),
        (3, "random"),
    ]
    assert [(case.sizes["N"], case.inputs) for case in found.left_out] == [
        (1, "large"),
        (3, "negative"),
        (3, "large"),
    ]


def test_large_inputs_find_what_others_do_not() -> None:
    graph = built(
        net("relu6", "N, 3, 8, 8").replace("head out = relu", "head out = conv(4, 1)")
    ).graph
    weights = randomised(graph)
    model = onnx.load_from_string(emit_onnx.model_bytes(graph, weights))
    for tensor in model.graph.initializer:
        if numpy_helper.to_array(tensor).shape == () and numpy_helper.to_array(tensor) == 6:
            tensor.CopyFrom(numpy_helper.from_array(numpy.array(7, "float32"), tensor.name))
    found = verify(graph, weights, model.SerializeToString())
    kinds = {each.inputs for each in found.comparisons if each.verdict == "DIFFERENT"}
    assert kinds == {"large"}
