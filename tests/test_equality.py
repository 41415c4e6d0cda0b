"""Equality and order of dimensions: decided for all sizes, and tried at many."""

from contextvars import copy_context

import hypothesis.strategies as st
import pytest
from hypothesis import given

from netloom.ir.dims import Dim, product, size, sizes
from netloom.ir.equality import (
    Proved,
    Refuted,
    Undecided,
    Verdict,
    begin_check,
    equal,
    less_or_equal,
)
from terms import LARGE, NAMES, POLYNOMIALS, SMALL, TERMS, Term

h, w = size("h"), size("w")


@given(TERMS, TERMS)
def test_equality_is_decided_rightly(a: Term, b: Term) -> None:
    match equal(a.dim(), b.dim()):
        case Proved():
            assert all(a.number(each) == b.number(each) for each in (*SMALL, *LARGE))
        case Refuted(witness):
            binding = {**dict.fromkeys(NAMES, 1), **witness}
            assert a.number(binding) != b.number(binding)


@given(TERMS, TERMS)
def test_order_is_decided_rightly(a: Term, b: Term) -> None:
    match less_or_equal(a.dim(), b.dim()):
        case Proved():
            assert all(a.number(each) <= b.number(each) for each in (*SMALL, *LARGE))
        case Refuted(witness):
            binding = {**dict.fromkeys(NAMES, 1), **witness}
            assert a.number(binding) > b.number(binding)


@given(POLYNOMIALS.filter(lambda term: len(sizes(term.dim())) < 2), st.integers(2, 6))
def test_an_identity_of_floors_is_proved(term: Term, divisor: int) -> None:
    x = term.dim()
    assert equal(_floors_of_shifts(x, divisor), x) == Proved()
    assert isinstance(equal(_floors_of_shifts(x + 1, divisor), x), Refuted)


@pytest.mark.parametrize("count", range(1, 9))
def test_an_order_of_many_sizes_is_refuted_at_ones(count: int) -> None:
    total: Dim = 0
    for index in range(count):
        total = total + size(f"s{index}")
    assert less_or_equal(count, total) == Proved()
    assert isinstance(less_or_equal(count + 1, total), Refuted)


@pytest.mark.parametrize("count", range(1, 9))
def test_a_difference_of_many_sizes_is_refuted(count: int) -> None:
    sides = [size(f"s{index}") for index in range(count)]
    verdict = equal(product(tuple(sides)), product((*sides, *sides)))
    assert isinstance(verdict, Refuted)
    assert set(verdict.witness) == {f"s{index}" for index in range(count)}


def test_nothing_is_proved_once_the_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.ir.equality.TOTAL_BUDGET", 0)
    copy_context().run(_compare_without_budget)


def _compare_without_budget() -> None:
    begin_check()
    assert less_or_equal(100, h) == Refuted({"h": 1})
    assert less_or_equal(1, h) == Proved()
    assert less_or_equal(h // 1000, 1) == Undecided()
    assert equal(h // 1000, 0) == Undecided()


def test_long_dimensions_use_the_budget_up_sooner() -> None:
    verdicts = copy_context().run(_compare_long_dimensions)
    assert verdicts[0] == Proved()
    assert verdicts[-1] == Undecided()


def _compare_long_dimensions() -> list[Verdict]:
    begin_check()
    dims = (h * w + number * h for number in range(12))
    return [equal(_floors_of_shifts(dim, 30), dim) for dim in dims]


def test_a_difference_that_only_large_sizes_show_is_not_proved() -> None:
    assert equal(h // 1000, 0) != Proved()
    assert less_or_equal(h // 1000, 0) != Proved()


def _floors_of_shifts(dim: Dim, divisor: int) -> Dim:
    """A long way of writing `dim` (Hermite's identity)."""
    return sum(((dim + shift) // divisor for shift in range(divisor)), start=0)


def test_sizes_that_do_not_meet_are_decided_apart() -> None:
    assert equal(_floors_of_shifts(h, 97), h) == Proved()
    assert equal(_floors_of_shifts(h, 97) + _floors_of_shifts(w, 97), h + w) == Proved()
    wrong = _floors_of_shifts(h, 97) + _floors_of_shifts(w + 1, 97)
    assert isinstance(equal(wrong, h + w), Refuted)


def test_more_residues_than_the_budget_are_left_undecided() -> None:
    assert equal(_floors_of_shifts(h * w, 11), h * w) == Proved()
    assert equal(_floors_of_shifts(h * w, 97), h * w) == Undecided()


@pytest.mark.parametrize("levels", [1, 5, 8, 14, 40, 3200])
def test_halves_of_halves_are_decided_at_any_depth(levels: int) -> None:
    whole = 2**levels
    assert equal(h // whole + (h + whole // 2) // whole, h // (whole // 2)) == Proved()
    match equal(2 * (h // whole), h // (whole // 2)):
        case Refuted(witness):
            assert 2 * (witness["h"] // whole) != witness["h"] // (whole // 2)
        case verdict:
            pytest.fail(f"{verdict}")


@pytest.mark.parametrize("divisor", [2, 3, 8, 1000, 2**20])
def test_a_difference_at_one_residue_only_is_seen(divisor: int) -> None:
    for at in {0, 1, divisor // 2, divisor - 1}:
        is_there = (h + divisor - at) // divisor - (h + divisor - at - 1) // divisor
        assert isinstance(equal(is_there, 0), Refuted)
        assert equal(is_there, is_there + h // divisor - (h + divisor) // divisor + 1) == Proved()


COARSE = st.builds(
    lambda slope, shift, divisor, factor: Term(f"({factor}*(({slope}*h + {shift}) // {divisor}))"),
    st.integers(1, 3),
    st.integers(-9, 9),
    st.sampled_from([2, 3, 4, 6, 8, 12]),
    st.integers(-2, 2),
)


@given(st.lists(COARSE, min_size=2, max_size=4), st.integers(-2, 2), st.integers(-2, 2))
def test_sums_of_floors_are_always_decided(terms: list[Term], slope: int, shift: int) -> None:
    term = Term(" + ".join([*(each.text for each in terms), f"({slope})*h + ({shift})"]))
    period = 24  # all divisors divide it: past two periods nothing new comes
    is_zero = all(term.number({"h": number}) == 0 for number in range(1, 3 * period))
    match equal(term.dim(), 0):
        case Proved():
            assert is_zero
        case Refuted(witness):
            assert term.number({"h": 1, **witness}) != 0
            assert not is_zero
        case _:
            pytest.fail("one size and small divisors are always decided")
