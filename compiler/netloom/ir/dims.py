"""Exact symbolic integers for shapes: polynomials over named sizes and floors of them.

A dimension is an `int` where it is known and a `Symbolic` where it is not; the arithmetic of both
is written the same way, `(h + 2 * pad - kernel) // stride + 1`. Every `Symbolic` is kept in one
canonical form, so most equalities are seen at once:

1. a sum of monomials with integer coefficients, no zero coefficient, no constant-only `Symbolic`
   (that is an `int`);
2. `floor(p / m)` gives up every multiple of m (`floor((2h + 3)/2)` is `h + 1`), is reduced by
   common divisors, and swallows an inner floor: `floor(floor(x/m)/n) = floor(x/(m n))`.

Equal forms are one object, so that they are compared by identity however deep they are.

Sizes are integers of at least 1. What stands under a floor has no negative coefficient, so every
floor is at least 0 and never falls when a size grows.
"""

import math
import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import NamedTuple
from weakref import WeakValueDictionary


class Size(NamedTuple):
    """A named size: a letter of an input's shape, or one that only the data decides."""

    name: str
    from_data: bool = False

    def __str__(self) -> str:
        return self.name


class Floor(NamedTuple):
    """`floor(numerator / divisor)`, in canonical form; made by `//` only."""

    numerator: "Symbolic"
    divisor: int

    def __str__(self) -> str:
        text = str(self.numerator)
        return f"({text})//{self.divisor}" if " " in text else f"{text}//{self.divisor}"


Atom = Size | Floor
Monomial = tuple[Atom, ...]
Terms = tuple[tuple[Monomial, int], ...]


class Symbolic:
    """An integer that depends on sizes; immutable, canonical, one object for equal terms."""

    __slots__ = ("__dict__", "__weakref__", "terms")

    terms: Terms

    def __new__(cls, terms: Terms) -> "Symbolic":
        """The one object with these terms."""
        known = _known.get(terms)
        if known is None:
            known = _known[terms] = super().__new__(cls)
            known.terms = terms
        return known

    def __reduce__(self) -> tuple[type["Symbolic"], tuple[Terms]]:
        return Symbolic, (self.terms,)

    def __add__(self, other: "Dim") -> "Dim":
        if isinstance(other, int):
            return self._plus(other)
        return _canonical([*self.terms, *other.terms])

    def _plus(self, number: int) -> "Symbolic":
        """The sum with a number, which changes the last term only."""
        *others, last = self.terms
        if last[0]:
            return Symbolic((*self.terms, ((), number))) if number else self
        total = last[1] + number
        return Symbolic((*others, ((), total)) if total else tuple(others))

    __radd__ = __add__

    def __neg__(self) -> "Dim":
        return self * -1

    def __sub__(self, other: "Dim") -> "Dim":
        return self + -1 * other

    def __rsub__(self, other: "Dim") -> "Dim":
        return -1 * self + other

    def __mul__(self, other: "Dim") -> "Dim":
        if isinstance(other, int):
            if other in (0, 1):
                return self if other else 0
            return Symbolic(tuple((monomial, c * other) for monomial, c in self.terms))
        return _canonical(
            [
                (tuple(sorted(left + right, key=str)), a * b)
                for left, a in self.terms
                for right, b in other.terms
            ]
        )

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> "Dim":
        return _floor(self, divisor)

    @cached_property
    def sizes(self) -> frozenset[Size]:
        """The named sizes on which it depends."""
        found: set[Size] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                found |= {atom} if isinstance(atom, Size) else atom.numerator.sizes
        return frozenset(found)

    @cached_property
    def complexity(self) -> int:
        """The number of terms and of the sizes and floors in them, at any depth."""
        return len(self.terms) + sum(
            1 if isinstance(atom, Size) else 1 + atom.numerator.complexity
            for monomial, _ in self.terms
            for atom in monomial
        )

    @cached_property
    def bits(self) -> int:
        """The length of the longest number in it, at any depth."""
        return max(
            max(
                coefficient.bit_length(),
                *(
                    max(atom.divisor.bit_length(), atom.numerator.bits)
                    for atom in monomial
                    if isinstance(atom, Floor)
                ),
                0,
            )
            for monomial, coefficient in self.terms
        )

    @property
    def constant(self) -> int:
        """The term without sizes."""
        return next((coefficient for monomial, coefficient in self.terms if not monomial), 0)

    @cached_property
    def grows(self) -> bool:
        """Whether it is known never to fall when a size grows: no coefficient is negative."""
        return all(coefficient > 0 for monomial, coefficient in self.terms if monomial)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            alone = len(monomial) == 1 and coefficient == 1
            factors = [str(atom) if alone else _as_factor(atom) for atom in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            text += ("-" if sign == "-" else "") if not text else f" {sign} "
            text += "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"Symbolic({self})"


_known: WeakValueDictionary[Terms, Symbolic] = WeakValueDictionary()


def _as_factor(atom: Atom) -> str:
    """`2*(h//3)` and `-(h//3)`, because without the parentheses these are other numbers."""
    return f"({atom})" if isinstance(atom, Floor) else str(atom)


Dim = int | Symbolic

LARGEST = 2**63 - 1
"""The largest dimension, and the largest number of elements, that PyTorch and ONNX can hold."""

MAXIMUM_COMPLEXITY = 500
MAXIMUM_BITS = 10_000


def is_unwieldy(dim: Dim) -> bool:
    """Whether a dimension is more complicated than any that is meant; the next could be endless."""
    return isinstance(dim, Symbolic) and (
        dim.complexity > MAXIMUM_COMPLEXITY or dim.bits > MAXIMUM_BITS
    )


def size(name: str, from_data: bool = False) -> Symbolic:
    """The size of that name."""
    return Symbolic((((Size(name, from_data),), 1),))


def number(dim: Dim) -> str:
    """A count for people: whole numbers in groups of three, also those in front of sizes."""
    return re.sub(r"\b\d+\b", lambda digits: f"{int(digits[0]):,}", str(dim))


def ceil_divide(dividend: Dim, divisor: int) -> Dim:
    """The quotient, rounded up."""
    return (dividend + (divisor - 1)) // divisor


def product(dims: tuple[Dim, ...]) -> Dim:
    """The product of dimensions; 1 for none."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def summed(dims: Iterable[Dim]) -> Dim:
    """The sum of many dimensions, gathered once."""
    terms: list[tuple[Monomial, int]] = []
    for dim in dims:
        terms += [((), dim)] if isinstance(dim, int) else dim.terms
    return _canonical(terms)


def sizes(dim: Dim) -> frozenset[Size]:
    """The named sizes on which a dimension depends."""
    return frozenset() if isinstance(dim, int) else dim.sizes


def evaluate(dim: Dim, binding: Mapping[str, Dim]) -> Dim:
    """The dimension with some sizes replaced; sizes that are not bound stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        factor: Dim = coefficient
        for atom in monomial:
            if isinstance(atom, Size):
                factor = factor * binding.get(atom.name, Symbolic((((atom,), 1),)))
            else:
                factor = factor * (evaluate(atom.numerator, binding) // atom.divisor)
        total = total + factor
    return total


def evaluate_to_int(dim: Dim, binding: Mapping[str, int]) -> int:
    """The dimension with all sizes bound.

    Raises:
        ValueError: a size is not bound.
    """
    if isinstance(dim, int):
        return dim
    missing = sorted(each.name for each in dim.sizes if each.name not in binding)
    if missing:
        raise ValueError(f"`{dim}` needs a value for {', '.join(missing)}")
    return _at(dim, binding)


def _at(dim: Symbolic, binding: Mapping[str, int]) -> int:
    """The number that the dimension is at these sizes."""
    total = 0
    for monomial, coefficient in dim.terms:
        factor = coefficient
        for atom in monomial:
            if isinstance(atom, Size):
                factor *= binding[atom.name]
            else:
                factor *= _at(atom.numerator, binding) // atom.divisor
        total += factor
    return total


def _canonical(terms: list[tuple[Monomial, int]]) -> Dim:
    """Gathers equal monomials; longer products first, the constant last."""
    gathered: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        gathered[monomial] = gathered.get(monomial, 0) + coefficient
    kept = {monomial: c for monomial, c in gathered.items() if c}
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    ordered = sorted(
        kept.items(), key=lambda term: (-len(term[0]), [str(atom) for atom in term[0]])
    )
    return Symbolic(tuple(ordered))


@lru_cache(maxsize=4096)
def _floor(dividend: Symbolic, divisor: int) -> Dim:
    assert divisor >= 1, "only positive divisors occur in shapes"
    whole: Dim = _canonical([(monomial, c // divisor) for monomial, c in dividend.terms])
    rest: Dim = _canonical([(monomial, c % divisor) for monomial, c in dividend.terms])
    if isinstance(rest, int):
        return whole + rest // divisor
    return whole + _reduced_floor(rest, divisor)


def _reduced_floor(rest: Symbolic, divisor: int) -> Dim:
    """`floor(rest / divisor)` where every coefficient of `rest` is in 0..divisor-1."""
    sized = [(monomial, c) for monomial, c in rest.terms if monomial]
    common = math.gcd(divisor, *(c for _, c in sized))
    if common > 1:
        # floor((g a + c) / (g m)) = floor((a + floor(c / g)) / m), a being an integer.
        inner = _canonical(
            [*((monomial, c // common) for monomial, c in sized), ((), rest.constant // common)]
        )
        return inner // (divisor // common)
    floors = [
        (monomial, atom)
        for monomial, c in sized
        for atom in monomial
        if len(monomial) == 1 and c == 1 and isinstance(atom, Floor)
    ]
    if floors:
        # floor((floor(x / m) + a) / n) = floor((x + a m) / (m n)), a being an integer.
        monomial, atom = floors[0]
        others = _canonical([term for term in rest.terms if term[0] != monomial])
        numerator = atom.numerator + others * atom.divisor
        return numerator // (atom.divisor * divisor)
    return _floor_of(rest, divisor)


def _floor_of(numerator: Symbolic, divisor: int) -> Symbolic:
    """A floor that cannot be written more simply.

    What is asked of nested floors is asked now, from the inside outwards, because a deep nest that
    is asked at once needs a deep stack.
    """
    found = Symbolic((((Floor(numerator, divisor),), 1),))
    _ = str(found), found.sizes, found.complexity, found.bits
    return found
