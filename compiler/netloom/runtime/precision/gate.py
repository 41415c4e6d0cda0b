"""The accuracy gate: how much worse a model of lower precision is, and how much it may be."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic
from netloom.runtime.precision.evaluation import Evaluation, Measured

Array = numpy.ndarray[Any, Any]

ALLOWED_DROP = 0.01
"""One point of a share, such as an accuracy; one percent of what other metrics and losses were."""

ALLOWED_DIFFERENCE = 0.02
"""Of outputs on random inputs, as a part of the largest."""


ROUNDING = 1e-6
"""Metrics are float32: a drop of exactly one point may come out as a little more."""


class Check(NamedTuple):
    """One number of both models.

    `drop` is how much worse the second is: in points of 1 for a share, else as a part of the first;
    the `before` of a difference is 0. What is not a number does not pass.
    """

    name: str
    kind: Literal["share", "value", "difference"]
    before: float
    after: float
    drop: float
    allowed: float

    @property
    def passes(self) -> bool:
        """Whether the drop is allowed."""
        return self.drop <= self.allowed + ROUNDING

    @property
    def before_text(self) -> str:
        """The first number for people; of a difference there is none."""
        return "" if self.kind == "difference" else self._text(self.before)

    @property
    def after_text(self) -> str:
        """The second number for people."""
        return self._text(self.after)

    @property
    def allowed_text(self) -> str:
        """What is allowed: `-1 point`, `1 % worse`, `2.0e-02`, `nothing`."""
        percent = f"{100 * self.allowed:g}"
        if not self.allowed:
            return "nothing"
        if self.kind == "share":
            return f"-{percent} point{'' if percent == '1' else 's'}"
        return f"{percent} % worse" if self.kind == "value" else self._text(self.allowed)

    def verdict(self) -> str:
        """What has become of the number, against what is allowed."""
        if self.kind == "difference" and math.isinf(self.after):
            return f"{self.name} is infinite: the output is not finite, or of other integers"
        if self.kind == "difference":
            largest = f"{self.after_text} of the largest value"
            return f"{self.name} is {largest}; {self.allowed_text} is allowed"
        verb = "falls" if self.after < self.before else "rises"
        change = f"{self.name} {verb} from {self.before_text} to {self.after_text}"
        percent = f"{100 * self.allowed:g}"
        if not self.allowed:
            return f"{change}, where nothing may become worse"
        if self.kind == "share":
            points = f"point{'' if percent == '1' else 's'}"
            return f"{change}, by more than the {percent} {points} allowed"
        return f"{change}, {100 * self.drop:.1f} % worse, where {percent} % is allowed"

    def _text(self, value: float) -> str:
        if self.kind == "share":
            return f"{100 * value:.2f} %"
        return f"{value:.4f}" if self.kind == "value" else f"{value:.1e}"


def checks(before: Evaluation, after: Sequence[Evaluation], allowed: float | None) -> list[Check]:
    """Each metric of a float32 model beside the worst of several ways of running a lower one.

    A head that is no longer finite is a check of its own, whether or not a metric reads it.
    """
    limit = ALLOWED_DROP if allowed is None else allowed
    columns = zip(before.measured, *(each.measured for each in after), strict=True)
    found = [
        max((_check(first, other, limit) for other in others), key=_badness)
        for first, *others in columns
    ]
    broken = dict.fromkeys(name for each in after for name in each.broken)
    return found + [_difference_check(name, math.inf, limit) for name in broken]


def differences(
    outputs: Sequence[tuple[dict[str, Array], dict[str, Array]]], allowed: float | None
) -> list[Check]:
    """The largest relative difference of each head, over pairs of outputs of two models."""
    limit = ALLOWED_DIFFERENCE if allowed is None else allowed
    found: dict[str, float] = {}
    for before, after in outputs:
        for name, truth in before.items():
            found[name] = max(found.get(name, 0.0), _difference(truth, after[name]))
    return [_difference_check(name, each, limit) for name, each in found.items()]


def refusal(failed: Sequence[Check], notes: Sequence[str], help: str) -> Diagnostic:
    """What is told of a model that is too much worse (E615)."""
    message = "; ".join(check.verdict() for check in failed)
    return Diagnostic("E615", message, help="; ".join((*notes, help)))


def _difference_check(head: str, difference: float, allowed: float) -> Check:
    name = f"the difference of `{head}`"
    return Check(name, "difference", 0.0, difference, difference, allowed)


def _check(before: Measured, after: Measured, allowed: float) -> Check:
    worse = before.value - after.value if before.higher_is_better else after.value - before.value
    if not before.is_share and worse != 0:
        worse = worse / abs(before.value) if before.value else math.copysign(math.inf, worse)
    kind: Literal["share", "value"] = "share" if before.is_share else "value"
    return Check(before.name, kind, before.value, after.value, worse, allowed)


def _badness(check: Check) -> float:
    return math.inf if math.isnan(check.drop) else check.drop


def _difference(truth: Array, found: Array) -> float:
    """Of floats as a part of the largest; of other results none, or infinitely much."""
    if truth.shape != found.shape:
        return math.inf
    if truth.size == 0 or truth.dtype.kind != "f":
        return 0.0 if numpy.array_equal(truth, found) else math.inf
    if not (numpy.isfinite(found) == numpy.isfinite(truth)).all():
        return math.inf
    finite = numpy.isfinite(truth)
    largest = float(numpy.abs(truth[finite]).max(initial=0.0))
    difference = numpy.abs(found[finite].astype("float64") - truth[finite]).max(initial=0.0)
    return float(difference) / (largest or 1.0)
