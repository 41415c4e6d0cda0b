"""How far a model may be from its network, for each precision: numbers, and the verdict by them."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy

Array = numpy.ndarray[Any, Any]

Precision = Literal["float32", "float16", "int8"]

Inputs = Literal["random", "negative", "large"]

Verdict = Literal["same", "DIFFERENT", "says nothing", "reported"]
"""What a comparison comes to. "reported" is neither: how far int8 may be off, accuracy decides."""


class Policy(NamedTuple):
    """The bounds of one precision; all are relative errors, as `error_of` measures them.

    An error passes at `below` or less, or where it is at most `factor` times PyTorch's own error in
    the same precision and at most `never_above`. An output that varies by `tells_above` or less
    says nothing: a model that gave a constant would pass.
    """

    below: float
    factor: float
    never_above: float
    tells_above: float
    inputs: tuple[Inputs, ...]
    is_judged: bool = True


POLICIES: dict[Precision, Policy] = {
    "float32": Policy(1e-5, 200, 1e-3, 1e-4, ("random", "negative", "large")),
    # Large inputs leave float16's range. 8 times the largest error that PyTorch had is 0.2.
    "float16": Policy(2e-2, 8, 0.2, 2e-2, ("random", "negative")),
    "int8": Policy(0, 0, 0, 2e-2, ("random", "negative"), is_judged=False),
}
"""Measured on 7,294 random networks, 818 of them in float16 (docs/verification.md)."""


def error_of(found: Array, truth: Array) -> float:
    """The largest difference of two outputs, divided by the largest magnitude of the true one.

    Infinite where nothing can be compared: for other shapes, other kinds of elements, integers that
    are not all equal, and elements that are NaN or infinite in one of them only.
    """
    is_float = is_floating(truth)
    if found.shape != truth.shape or is_floating(found) != is_float:
        return math.inf
    if not is_float:
        return 0.0 if numpy.array_equal(found, truth) else math.inf
    finite = numpy.isfinite(truth)
    if not numpy.array_equal(numpy.isfinite(found), finite):
        return math.inf
    if not numpy.array_equal(found[~finite], truth[~finite], equal_nan=True):
        return math.inf
    if not finite.any():
        return 0.0
    difference = numpy.abs(found[finite].astype("float64") - truth[finite])
    return float(difference.max()) / largest(truth)


def is_floating(array: Array) -> bool:
    """Whether the elements are floating-point numbers."""
    return numpy.issubdtype(array.dtype, numpy.floating)


def largest(array: Array) -> float:
    """The largest finite magnitude in an array; 1 where all is zero."""
    finite = array[numpy.isfinite(array)]
    return float(numpy.abs(finite).max(initial=0.0)) or 1.0


def passes(policy: Policy, truth: Array, own: float | None, error: float) -> bool:
    """Whether an error is within the bounds; `own` is PyTorch's, None where it cannot run."""
    if not is_floating(truth):
        return error == 0
    if error <= policy.below:
        return True
    if own is None or math.isinf(own):
        return False
    return error <= min(policy.factor * own, policy.never_above)


def judge(
    policy: Policy, truth: Array, own: float | None, errors: Sequence[float], may_overflow: bool
) -> Verdict:
    """The verdict on one output, from PyTorch's own error and those of ONNX Runtime.

    Where rounding alone decides, in PyTorch as well, the output says nothing: an index of two
    values that are nearly equal, or, if it `may_overflow`, a number beyond the precision's range.
    """
    if all(passes(policy, truth, own, error) for error in errors):
        return "same"
    if own == math.inf and (may_overflow or not is_floating(truth)):
        return "says nothing"
    if policy.is_judged or math.inf in errors:
        return "DIFFERENT"
    return "reported"


def is_constant(policy: Policy, truth: Array) -> bool:
    """Whether all elements of an output are nearly equal; a single one cannot be told."""
    if not is_floating(truth):
        return truth.size == 0 or (truth.size > 1 and bool((truth == truth.flat[0]).all()))
    finite = truth[numpy.isfinite(truth)]
    if finite.size == 0:
        return True
    spread = float(finite.max() - finite.min())
    return truth.size > 1 and spread <= policy.tells_above * largest(truth)


def is_unchanged(policy: Policy, truth: Array, other: Array) -> bool:
    """Whether an output is nearly the same for two inputs."""
    if truth.shape != other.shape:
        return False
    if not is_floating(truth):
        return numpy.array_equal(truth, other)
    return error_of(other, truth) <= policy.tells_above


def errors_json(own: float | None, plain: float, optimised: float) -> dict[str, float | None]:
    """The errors of a comparison as JSON can write them: null where nothing could be compared."""
    errors = {
        "torch_error": own,
        "onnx_error": max(plain, optimised),
        "plain_error": plain,
        "optimised_error": optimised,
    }
    return {name: finite_or_none(error) for name, error in errors.items()}


def finite_or_none(error: float | None) -> float | None:
    """A number that JSON has."""
    return error if error is not None and math.isfinite(error) else None
