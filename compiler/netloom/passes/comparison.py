"""Comparisons of what a spec speaks about, decided for all sizes of the input."""

import math
from typing import Any

from netloom.ir.dims import Dim, Symbolic
from netloom.ir.equality import Proved, Refuted, equal, less_or_equal


class Each:
    """Several facts of which a requirement speaks at once: by axis, those of inputs and phases."""

    def __init__(self, axes: tuple[tuple[int | str, ...], ...]) -> None:
        self.axes = axes

    @property
    def facts(self) -> tuple[int | str, ...]:
        """Those of all axes."""
        return tuple(fact for axis in self.axes for fact in axis)

    def __str__(self) -> str:
        texts = [" and ".join(dict.fromkeys(map(str, axis))) for axis in self.axes]
        if len(set(texts)) <= 1:
            return texts[0] if texts else "nothing"
        return f"[{', '.join(texts)}]"


_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def compare(operator: str, left: Any, right: Any) -> Proved | Refuted | None:
    """Whether a comparison holds, for all sizes; None where that is not decided."""
    if isinstance(left, Each) and isinstance(right, tuple) and len(right) == len(left.axes):
        # `rf(x) == [3, 5]` speaks of height and width.
        by_axis = zip(left.axes, right, strict=True)
        return _all([compare(operator, Each((axis,)), wanted) for axis, wanted in by_axis])
    if isinstance(left, Each) or isinstance(right, Each):
        pairs = [
            (left_fact, right_fact) for left_fact in _facts(left) for right_fact in _facts(right)
        ]
        return _all([_compare_one(operator, a, b) for a, b in pairs])
    return _compare_one(operator, left, right)


def _facts(value: Any) -> tuple[Any, ...]:
    return value.facts if isinstance(value, Each) else (value,)


def _all(verdicts: list[Proved | Refuted | None]) -> Proved | Refuted | None:
    refuted = [verdict for verdict in verdicts if isinstance(verdict, Refuted)]
    if refuted:
        return refuted[0]
    return None if None in verdicts or not verdicts else Proved()


def _compare_one(operator: str, left: Any, right: Any) -> Proved | Refuted | None:
    if isinstance(left, tuple) and isinstance(right, tuple):
        return _compare_tuples(operator, left, right)
    if isinstance(left, Dim) and isinstance(right, Dim) and not isinstance(left, bool):
        return _compare_dims(operator, left, right)
    if isinstance(left, float) and isinstance(right, Symbolic):
        return _compare_one(_MIRRORED[operator], right, left)
    if isinstance(left, Symbolic) and isinstance(right, float):
        # A size is a whole number, so it is compared with the next one.
        if right.is_integer():
            return _compare_dims(operator, left, int(right))
        if operator in ("<", ">="):
            return _compare_dims(operator, left, math.ceil(right))
        if operator in (">", "<="):
            return _compare_dims(operator, left, math.floor(right))
    if operator in ("==", "!="):
        return Proved() if (left == right) == (operator == "==") else Refuted({})
    if isinstance(left, int | float) and isinstance(right, int | float):
        holds = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
        return Proved() if holds[operator] else Refuted({})
    return Refuted({})  # "whole" and the like have no order


def _compare_tuples(operator: str, left: Any, right: Any) -> Proved | Refuted | None:
    if operator not in ("==", "!="):
        return Refuted({})  # lists have no order
    if len(left) != len(right):
        return Refuted({}) if operator == "==" else Proved()
    verdicts = [_compare_one(operator, a, b) for a, b in zip(left, right, strict=True)]
    if operator == "==":
        return _all(verdicts) if verdicts else Proved()
    # One pair that differs at every size is enough; pairs that differ at some sizes are not.
    if any(isinstance(each, Proved) for each in verdicts):
        return Proved()
    return None if None in verdicts else Refuted({})


def _compare_dims(operator: str, left: Dim, right: Dim) -> Proved | Refuted | None:
    match operator:
        case "==":
            verdict = equal(left, right)
        case "<=":
            verdict = less_or_equal(left, right)
        case ">=":
            verdict = less_or_equal(right, left)
        case "<":
            verdict = less_or_equal(left + 1, right)
        case ">":
            verdict = less_or_equal(right + 1, left)
        case _:
            apart = less_or_equal(left + 1, right), less_or_equal(right + 1, left)
            if any(isinstance(each, Proved) for each in apart):
                return Proved()
            return Refuted({}) if isinstance(equal(left, right), Proved) else None
    return verdict if isinstance(verdict, Proved | Refuted) else None
