"""Symbolic dimensions against whole numbers: what is claimed for all sizes is tried at many."""

import itertools
import pickle
from dataclasses import dataclass

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from netloom.ir.dims import (
    Dim,
    Symbolic,
    ceil_divide,
    evaluate,
    evaluate_to_int,
    product,
    size,
    sizes,
    summed,
)
from terms import LARGE, NAMES, POLYNOMIALS, SMALL, TERMS, Term

h, w, n = size("h"), size("w"), size("n")


@given(TERMS)
def test_arithmetic_is_that_of_whole_numbers(term: Term) -> None:
    dim = term.dim()
    for binding in (*SMALL, *LARGE):
        assert evaluate_to_int(dim, binding) == term.number(binding)


@given(TERMS, st.sampled_from(NAMES), TERMS)
def test_sizes_can_be_replaced_one_after_the_other(term: Term, name: str, other: Term) -> None:
    replaced = evaluate(term.dim(), {name: other.dim()})
    for binding in SMALL[::3]:
        inside = {**binding, name: other.number(binding)}
        assert evaluate_to_int(replaced, binding) == term.number(inside)


@given(TERMS)
def test_a_dimension_is_printed_as_a_spec_could_write_it(term: Term) -> None:
    printed = Term(str(term.dim()))
    for binding in (*SMALL, *LARGE):
        assert printed.number(binding) == term.number(binding), printed.text


@given(TERMS)
def test_a_dimension_without_sizes_is_a_number(term: Term) -> None:
    dim = term.dim()
    assert isinstance(dim, Symbolic) == bool(sizes(dim))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (h + w, w + h),
        (h * w, w * h),
        ((h + w) * n, n * w + h * n),
        (h - h, 0),
        (2 * h - h, h),
        ((2 * h + 3) // 2, h + 1),
        ((6 * h) // 4, (3 * h) // 2),
        (h // 2 // 3, h // 6),
        ((h // 2 + 1) // 3, (h + 2) // 6),
        ((h + 4) // 2, h // 2 + 2),
        ((h - 1) // 2, (h + 1) // 2 - 1),
        (ceil_divide(4 * h, 4), h),
        ((32 * h + 6 - 7) // 2 + 1, 16 * h),
        (
            2 * h * (w // 2) // 5 + 2 * (h * w // 2) // 5,
            2 * (h * w // 2) // 5 + 2 * h * (w // 2) // 5,
        ),
        (product((2, h, 3)), 6 * h),
        (product(()), 1),
    ],
    ids=str,
)
def test_equal_terms_have_one_form(left: Dim, right: Dim) -> None:
    assert left == right
    assert hash(left) == hash(right)


@given(TERMS)
def test_equal_terms_are_one_object(term: Term) -> None:
    assert term.dim() is term.dim() or isinstance(term.dim(), int)
    assert pickle.loads(pickle.dumps(term.dim())) == term.dim()


@given(TERMS)
def test_what_grows_never_falls(term: Term) -> None:
    dim = term.dim()
    if isinstance(dim, Symbolic) and dim.grows:
        for name in NAMES:
            for binding in (*SMALL, *LARGE):
                larger = {**binding, name: binding[name] + 1}
                assert term.number(larger) >= term.number(binding)


@given(st.lists(TERMS, max_size=4))
def test_a_sum_of_many_is_their_sum(terms: list[Term]) -> None:
    together: Dim = 0
    for term in terms:
        together = together + term.dim()
    assert summed(term.dim() for term in terms) == together


@pytest.mark.parametrize("kind", ["conv", "ceil", "deconv"])
def test_deep_chains_cost_as_much_as_they_are_long(kind: str) -> None:
    dim: Dim = 32 * h
    for depth in range(3200):
        step = Step(kind if depth % 2 else "deconv", 3, 2, 1)
        dim = step.dim(dim)
        assert isinstance(dim, Symbolic)
        assert dim.complexity < 10


@given(TERMS, TERMS, TERMS)
def test_addition_and_multiplication_obey_their_laws(a: Term, b: Term, c: Term) -> None:
    x, y, z = a.dim(), b.dim(), c.dim()
    assert x + y == y + x
    assert x * y == y * x
    assert x + (y + z) == (x + y) + z
    assert x * (y + z) == x * y + x * z
    assert x - x == 0


@given(POLYNOMIALS, st.integers(1, 9), st.integers(1, 9))
def test_a_floor_of_a_floor_is_one_floor(term: Term, first: int, second: int) -> None:
    assert term.dim() // first // second == term.dim() // (first * second)


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (h, "h"),
        (32 * h, "32*h"),
        (h + 1, "h + 1"),
        (h - 1, "h - 1"),
        (-1 * h, "-h"),
        (3 - h, "-h + 3"),
        (h * w + 2 * h, "h*w + 2*h"),
        (h // 2, "h//2"),
        (w - h // 2, "-(h//2) + w"),
        ((h + 1) // 2, "(h + 1)//2"),
        (2 * h // 3, "2*h//3"),
        (2 * (h // 3), "2*(h//3)"),
        (w * (h // 3), "(h//3)*w"),
        ((h // 2) * (w // 2), "(h//2)*(w//2)"),
        (2 * (h // 3) // 5, "2*(h//3)//5"),
    ],
)
def test_printed_form(dim: Dim, text: str) -> None:
    assert str(dim) == text


@dataclass(frozen=True)
class Step:
    """One layer along one axis."""

    kind: str
    kernel: int
    stride: int
    pad: int

    def dim(self, length: Dim) -> Dim:
        """By the formulas of PyTorch's manual."""
        match self.kind:
            case "conv":
                return (length + 2 * self.pad - self.kernel) // self.stride + 1
            case "ceil":
                return ceil_divide(length + 2 * self.pad - self.kernel, self.stride) + 1
            case _:
                return (length - 1) * self.stride - 2 * self.pad + self.kernel

    def number(self, length: int) -> int:
        """By putting windows down, one after the other."""
        if self.kind == "deconv":
            covered = {i * self.stride + tap for i in range(length) for tap in range(self.kernel)}
            return max(covered) + 1 - 2 * self.pad
        end = length + 2 * self.pad
        starts = itertools.count(0, self.stride)
        fitting = list(itertools.takewhile(lambda start: start + self.kernel <= end, starts))
        if self.kind == "ceil" and fitting[-1] + self.kernel < end:
            return len(fitting) + 1
        return len(fitting)


STEPS = st.builds(
    Step,
    st.sampled_from(["conv", "ceil", "deconv"]),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 2),
).filter(lambda step: 2 * step.pad < step.kernel)


@given(st.lists(STEPS, min_size=1, max_size=5), st.sampled_from([1, 2, 4, 32]))
@settings(max_examples=120)
def test_chains_of_windows_have_the_size_that_counting_gives(
    steps: list[Step], factor: int
) -> None:
    dim: Dim = factor * h
    for step in steps:
        dim = step.dim(dim)
    for length in range(200, 200 + 13 * factor, factor):
        number = length - length % factor
        binding = {"h": number // factor}
        for step in steps:
            number = step.number(number)
        assert evaluate_to_int(dim, binding) == number
