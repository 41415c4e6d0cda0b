"""What decides whether an instance of a class has an optional part.

`shortcut if stride != 1 or in.channels != ch` becomes `if in_channels != ch` where that is right
for every instance: the answers of all instances are compared with those of simple questions.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

from netloom.emit.names import identifier

Vector = tuple[Any, ...]


class Question(NamedTuple):
    """Something to ask of an instance, as Python; `answers` has one for each."""

    text: str
    names: tuple[str, ...]
    answers: tuple[bool, ...]


def condition(
    wanted: Vector, known: Mapping[str, Vector], used: Mapping[str, Vector]
) -> tuple[str, tuple[str, ...]] | None:
    """A question with these answers, and the names that it reads; None if no simple one has them.

    Those about parameters that the class has anyway come first, and of these, those about channels:
    what is added has as many as what enters.
    """
    found = [each for each in _questions(known) if each.answers == wanted]
    found += _joined(wanted, list(_questions(known))) if not found else []
    if not found:
        return None
    best = min(
        found,
        key=lambda each: (
            sum(name not in used for name in each.names),
            "in_channels" not in each.names,
        ),
    )
    return best.text, best.names


def _questions(known: Mapping[str, Vector]) -> Iterator[Question]:
    numbers = {n: v for n, v in known.items() if all(type(each) is int for each in v)}
    for name, vector in known.items():
        if all(type(each) is bool for each in vector):
            yield Question(identifier(name), (name,), vector)
            yield Question(f"not {identifier(name)}", (name,), tuple(not each for each in vector))
    for left, right in combinations(numbers, 2):
        yield from _comparisons(numbers, left, right)
    for name, vector in numbers.items():
        for constant in {0, 1} & set(vector) if name != "in_channels" else ():
            yield from _both(name, (name,), vector, str(constant), (constant,) * len(vector))


def _comparisons(numbers: Mapping[str, Vector], left: str, right: str) -> Iterator[Question]:
    """Whether one number is the other, or a multiple of it."""
    one, other = numbers[left], numbers[right]
    factors = {a // b for a, b in zip(one, other, strict=True) if b > 0 and a % b == 0 and a > 0}
    for factor in sorted(factors):
        multiple = identifier(right) if factor == 1 else f"{factor} * {identifier(right)}"
        scaled = tuple(factor * each for each in other)
        yield from _both(left, (left, right), one, multiple, scaled)


def _both(
    left: str, names: tuple[str, ...], one: Vector, right: str, other: Vector
) -> Iterator[Question]:
    equal = tuple(a == b for a, b in zip(one, other, strict=True))
    yield Question(f"{identifier(left)} == {right}", names, equal)
    yield Question(f"{identifier(left)} != {right}", names, tuple(not each for each in equal))


def _joined(wanted: Vector, questions: list[Question]) -> list[Question]:
    """Two questions in one."""
    found = []
    for one, other in combinations(questions, 2):
        if set(one.names) & set(other.names):
            continue  # an accident of the numbers, as `in_channels == n or n == 1`
        pairs = list(zip(one.answers, other.answers, strict=True))
        names = (*one.names, *other.names)
        if tuple(a and b for a, b in pairs) == wanted:
            found.append(Question(f"{one.text} and {other.text}", names, wanted))
        if tuple(a or b for a, b in pairs) == wanted:
            found.append(Question(f"{one.text} or {other.text}", names, wanted))
    return found
