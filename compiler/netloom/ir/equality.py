"""Whether two dimensions agree for all sizes: proved, refuted with a witness, or undecided."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache

from netloom.ir.dims import (
    Dim,
    Floor,
    Size,
    Symbolic,
    evaluate,
    evaluate_to_int,
    size,
    sizes,
    summed,
)


class _Verdict:
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, vars(self).values()))})"


class Proved(_Verdict):
    """Equal for all sizes."""


class Refuted(_Verdict):
    """Different at `witness`."""

    __match_args__ = ("witness",)

    def __init__(self, witness: Mapping[str, int]) -> None:
        self.witness = witness


class Undecided(_Verdict):
    """Neither shown nor refuted within the budget."""


Verdict = Proved | Refuted | Undecided

RESIDUE_BUDGET = 4096
TOTAL_BUDGET = 256 * RESIDUE_BUDGET
"""Terms that all comparisons of one check may evaluate together: a few seconds."""


class _Budget:
    """What all comparisons of one check may cost together, and what they have found."""

    def __init__(self) -> None:
        self.left = TOTAL_BUDGET
        self.known: dict[tuple[str, Symbolic], Verdict] = {}

    def can_evaluate(self, dim: Symbolic) -> bool:
        """Whether a dimension may be evaluated once more, which is then paid for."""
        if self.left <= 0:
            return False
        self.left -= dim.complexity
        return True


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


def begin_check() -> None:
    """Gives the comparisons from now on a budget of their own.

    Each takes a bounded number of steps, but a spec can ask for thousands of them. What is not
    found within the budget is `Undecided`.
    """
    _budget.set(_Budget())


def equal(left: Dim, right: Dim) -> Verdict:
    """Decides whether two dimensions agree for all sizes >= 1.

    Each floor is periodic in each size: with M a common multiple of its divisors, `size = M k + r`
    turns every floor into a polynomial in k, for each residue r in 1..M. Both sides agree for all
    sizes if those polynomials are the same for every residue, and where they differ a small k
    shows it. Residues between which no floor moves are not tried one by one. Where more than
    `RESIDUE_BUDGET` are left, and none of those that are tried differs, the answer is `Undecided`.
    """
    difference = left - right
    if isinstance(difference, int):
        return Proved() if difference == 0 else Refuted({})
    return _once("equal", difference, _vanishes)


def _once(
    question: str, difference: Symbolic, decide: Callable[[Symbolic, _Budget], Verdict]
) -> Verdict:
    """Decides a question, unless this check has asked it before."""
    budget = _budget.get() or _Budget()
    key = (question, difference)
    if key not in budget.known:
        budget.known[key] = decide(difference, budget)
    return budget.known[key]


def _vanishes(difference: Symbolic, budget: _Budget) -> Verdict:
    names = sorted(each.name for each in sizes(difference))
    if evaluate_to_int(difference, dict.fromkeys(names, 1)) != 0:
        return Refuted(dict.fromkeys(names, 1))
    for part in separate_parts(difference):
        verdict = _is_constant(part, budget)
        if isinstance(verdict, Proved):
            continue
        smallest = _search_witness(difference, names, budget)
        if smallest or isinstance(verdict, Undecided):
            return smallest or verdict
        return Refuted({**dict.fromkeys(names, 1), **verdict.witness})
    return Proved()


def separate_parts(dim: Symbolic) -> list[Symbolic]:
    """Summands, without the constant, of which no two depend on the same size."""
    parts: list[tuple[frozenset[Size], Dim]] = []
    for monomial, coefficient in dim.terms:
        if not monomial:
            continue
        part: Dim = Symbolic(((monomial, coefficient),))
        names = sizes(part)
        touching = [each for each in parts if each[0] & names]
        parts = [each for each in parts if not each[0] & names]
        names = names.union(*(each[0] for each in touching))
        parts.append((names, summed([part, *(each[1] for each in touching)])))
    return [part for _, part in parts if isinstance(part, Symbolic)]


def _is_constant(part: Symbolic, budget: _Budget) -> Verdict:
    """Whether a dimension has one value for all sizes; a witness is where it has another."""
    names = sorted(each.name for each in sizes(part))
    ones = evaluate_to_int(part, dict.fromkeys(names, 1))
    periods = {name: period(part, name) for name in names}
    tried = [_residues(part, name, periods[name]) for name in names]
    if math.prod(map(len, tried)) > RESIDUE_BUDGET:
        return Undecided()
    for residues in itertools.product(*tried):
        if not budget.can_evaluate(part):
            return Undecided()
        start = dict(zip(names, residues, strict=True))
        shifted = evaluate(part, {n: periods[n] * (size(n) - 1) + start[n] for n in names})
        if shifted == ones:
            continue
        for steps in small_bindings(names):
            witness = {n: periods[n] * (steps[n] - 1) + start[n] for n in names}
            if evaluate_to_int(part, witness) != ones:
                return Refuted(witness)
        return Undecided()
    return Proved()


def _residues(part: Symbolic, name: str, whole: int) -> Sequence[int]:
    """The residues, in 1..whole, of one size that stand for all of them.

    Between two of them no floor moves, and what is left is a polynomial in the size: it is the same
    number everywhere if it is so at one place more than its degree.
    """
    moves = _moves(part, name, whole)
    if moves is None:
        return range(1, whole + 1)
    degree = max(
        sum(isinstance(atom, Size) and atom.name == name for atom in monomial)
        for monomial, _ in part.terms
    )
    found: list[int] = []
    for start, end in itertools.pairwise([*sorted(moves | {1}), whole + 1]):
        found += range(start, min(start + degree + 1, end))
    return found


def _moves(part: Symbolic, name: str, whole: int) -> set[int] | None:
    """The residues at which some floor takes another value than one size before.

    None where there are more of them than can be tried.
    """
    found: set[int] = set()
    for floor in floors_with(part, name):
        inside = floor.numerator
        inner = list(floors_with(inside, name))
        is_inside = any(
            isinstance(atom, Size) and atom.name == name
            for monomial, _ in inside.terms
            for atom in monomial
        )
        if is_inside and (inner or len(inside.sizes) > 1 or len(inside.terms) > 2):
            return None
        if is_inside:  # (a * size + c) // m
            ((monomial, slope), *_) = inside.terms
            count = slope * whole // floor.divisor
            if len(monomial) > 1 or count + len(found) > RESIDUE_BUDGET:
                return None
            steps = range(1, count + 1)
            found |= {-((inside.constant - step * floor.divisor) // slope) for step in steps}
            continue
        moves = _moves(inside, name, whole)
        if moves is None:
            return None
        found |= moves
    return {each for each in found if 1 <= each <= whole}


def floors_with(dim: Symbolic, name: str) -> Iterator[Floor]:
    """The floors, of the outermost ones, that depend on a size."""
    for monomial, _ in dim.terms:
        for atom in monomial:
            if isinstance(atom, Floor) and any(e.name == name for e in atom.numerator.sizes):
                yield atom


def period(dim: Symbolic, name: str) -> int:
    """A length for a size after which every floor has moved by a polynomial without floors.

    Divisors of nested floors are multiplied.
    """
    result = 1
    for floor in floors_with(dim, name):
        result = math.lcm(result, floor.divisor * period(floor.numerator, name))
    return result


def less_or_equal(left: Dim, right: Dim) -> Verdict:
    """Decides whether left <= right for all sizes >= 1.

    A difference in which every size has a positive coefficient is smallest at sizes of 1, which
    proves the comparison; small sizes are tried to refute it.
    """
    difference = right - left
    if isinstance(difference, int):
        return Proved() if difference >= 0 else Refuted({})
    return _once("at least 0", difference, _is_never_negative)


def _is_never_negative(difference: Symbolic, budget: _Budget) -> Verdict:
    names = sorted(each.name for each in sizes(difference))
    ones = dict.fromkeys(names, 1)
    if evaluate_to_int(difference, ones) < 0:
        return Refuted(ones)
    if difference.grows:
        return Proved()
    for binding in small_bindings(names):
        if not budget.can_evaluate(difference):
            break
        if evaluate_to_int(difference, binding) < 0:
            return Refuted(binding)
    return Undecided()


def _search_witness(difference: Symbolic, names: list[str], budget: _Budget) -> Refuted | None:
    """The smallest sizes, tried in order of their sum, at which the difference is not 0."""
    for binding in small_bindings(names):
        if not budget.can_evaluate(difference):
            break
        if evaluate_to_int(difference, binding) != 0:
            return Refuted(binding)
    return None


def small_bindings(names: list[str]) -> Iterator[dict[str, int]]:
    """Small values for the names, 1 and odd and prime ones among them, smallest first."""
    for combination in _combinations(min(len(names), 4)):
        filled = combination + (2,) * (len(names) - len(combination))
        yield dict(zip(names, filled, strict=True))


@lru_cache
def _combinations(count: int) -> tuple[tuple[int, ...], ...]:
    values = range(1, 34) if count <= 2 else (1, 2, 3, 5, 7, 8, 13, 17)
    choices = itertools.product(values, repeat=count)
    return tuple(sorted(choices, key=lambda each: (sum(each), each)))
