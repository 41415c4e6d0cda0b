"""Whether two dimensions agree for all sizes: proved, refuted with a witness, or undecided."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache

from netloom.ir.dims import Dim, Floor, Symbolic, evaluate, evaluate_to_int, size, sizes


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
TOTAL_BUDGET = 16 * RESIDUE_BUDGET


class _Budget:
    """What all comparisons of one check may cost together, and what they have found."""

    def __init__(self) -> None:
        self.left = TOTAL_BUDGET
        self.known: dict[tuple[str, Symbolic], Verdict] = {}


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


def begin_check() -> None:
    """Gives the comparisons from now on a budget of their own.

    Each takes a bounded number of steps, but a spec can ask for thousands of them. What is not
    found within the budget is `Undecided`.
    """
    _budget.set(_Budget())


def equal(left: Dim, right: Dim) -> Verdict:
    """Decides whether two dimensions agree for all sizes >= 1.

    Each floor is periodic in each size: with M a common multiple of all divisors, `size = M k + r`
    turns every floor into a polynomial in k, for each residue r in 1..M. Both sides agree for all
    sizes if those polynomials are the same for every residue, and where they differ a small k
    shows it. More than `RESIDUE_BUDGET` residues are not tried: then the answer is `Undecided`.
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
    period = common_divisor(difference)
    if period ** len(names) > RESIDUE_BUDGET:
        return _search_witness(difference, names, budget) or Undecided()
    for residues in itertools.product(range(1, period + 1), repeat=len(names)):
        if budget.left <= 0 and period > 1:
            return Undecided()
        budget.left -= 1
        shifted = evaluate(
            difference,
            {
                name: period * size(name) + residue - period
                for name, residue in zip(names, residues, strict=True)
            },
        )
        if shifted != 0:
            return _search_witness(difference, names, budget) or Undecided()
    return Proved()


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
    for binding in itertools.chain([dict.fromkeys(names, 1)], small_bindings(names)):
        if budget.left <= 0:
            break
        budget.left -= 1
        if evaluate_to_int(difference, binding) < 0:
            return Refuted(binding)
    grows = all(coefficient > 0 for monomial, coefficient in difference.terms if monomial)
    return Proved() if grows else Undecided()


def _search_witness(difference: Symbolic, names: list[str], budget: _Budget) -> Refuted | None:
    """The smallest sizes, tried in order of their sum, at which the difference is not 0."""
    for binding in small_bindings(names):
        if budget.left <= 0:
            break
        budget.left -= 1
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


def common_divisor(dim: Symbolic) -> int:
    """A common multiple of all divisors, those of nested floors multiplied."""
    result = 1
    for monomial, _ in dim.terms:
        for atom in monomial:
            if isinstance(atom, Floor):
                result = math.lcm(result, atom.divisor * common_divisor(atom.numerator))
    return result
