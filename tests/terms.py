"""Terms of integer arithmetic that Python evaluates in one way and the compiler in another."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import hypothesis.strategies as st

from netloom.ir.dims import Dim, size

NAMES = ("h", "w", "n")
SMALL = [
    dict(zip(NAMES, values, strict=True)) for values in itertools.product((1, 2, 3, 4, 7), repeat=3)
]
LARGE = [{"h": 97, "w": 224, "n": 1}, {"h": 1021, "w": 640, "n": 33}]


@dataclass(frozen=True)
class Term:
    """A tree of arithmetic, written as text for failures."""

    text: str

    def number(self, binding: Mapping[str, int]) -> int:
        """Python's own answer."""
        return int(eval(self.text, {}, dict(binding)))

    def dim(self) -> Dim:
        """The compiler's answer."""
        found: Dim = eval(self.text, {}, {name: size(name) for name in NAMES})
        return found


def _linked(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("({} {} {})".format, parts, st.sampled_from(["+", "-", "*"]), parts)


def _divided(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("({} // {})".format, parts, st.integers(1, 9))


LEAVES = st.sampled_from(NAMES) | st.integers(-9, 9).map("({})".format)
POLYNOMIALS = st.recursive(LEAVES, _linked, max_leaves=6).map(Term)
TERMS = st.recursive(LEAVES, lambda parts: _linked(parts) | _divided(parts), max_leaves=6).map(Term)
