"""Which parameter of a class stands for a literal in which its instances differ.

Literals are compared with what is known of each instance; the text of the spec is not translated.
So the class is right for every instance, also where the guess at meaning is not.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from netloom.emit.names import identifier
from netloom.emit.torch.body import Body
from netloom.emit.torch.conditions import condition
from netloom.emit.torch.expressions import (
    Choice,
    Code,
    Each,
    Expression,
    Hole,
    Infix,
    Invoke,
    Keyword,
    Listing,
    Repeated,
    Several,
    plain,
    rewrite,
)
from netloom.emit.torch.modules import REPEATS, holes
from netloom.ops.operands import channel_axis

Vector = tuple[Any, ...]
"""A value for each instance; `ABSENT` for one that lacks what it is for."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()

UNMISTAKABLE = ("stride", "padding", "dilation", "groups", "kernel_size")
"""Parameters that are called so without the layer's name, as a person would."""

FEW = 2
"""Iterations that differ are written one after the other up to this number."""


class _Loop(NamedTuple):
    """How iterations that differ are told apart: counted, or by a parameter that lists values."""

    variable: str
    over: str | None = None
    values: Vector = ()


class Unsettled(Exception):  # noqa: N818  a way to end an attempt, never seen outside
    """No one class is right for all instances."""


def known_arguments(bodies: Sequence[Body]) -> dict[str, Vector]:
    """What could explain a literal: the channels that enter, then the block's parameters."""
    known: dict[str, Vector] = {}
    entries = [body.scope.entry for body in bodies]
    channels = tuple(
        entry.type.shape[channel_axis(entry.type.rank)] if entry and entry.type.rank > 1 else None
        for entry in entries
    )
    parameters = bodies[0].scope.arguments
    if "in_channels" not in parameters:
        known["in_channels"] = channels
    for name in parameters:
        known[name] = tuple(body.scope.arguments[name] for body in bodies)
    return known


class Settling:
    """Finds the parameters of one class; `used` are those, with the value in each instance."""

    def __init__(self, known: dict[str, Vector]) -> None:
        self.known = known
        self.used: dict[str, Vector] = {}
        self.lists: set[str] = set()
        """Parameters that hold a value for each iteration of a repeat."""
        self._counts: Sequence[int] = ()
        self._loop: _Loop | None = None

    @property
    def invented(self) -> list[str]:
        """Parameters that neither the spec nor the entering channels explain."""
        return [name for name in self.used if name not in self.known]

    def expression(self, instances: Sequence[Expression | None]) -> Expression:
        """One expression for all instances, which differ in literals only; None where it is absent.

        Raises `Unsettled` where no parameter can stand for what differs.
        """
        first = _first(instances)

        def all_of(part: Callable[[Any], Expression]) -> Expression:
            return self.expression([None if each is None else part(each) for each in instances])

        match first:
            case Hole():
                return self._literal(
                    [each if isinstance(each, Hole) else None for each in instances]
                )
            case Invoke():
                if len(first.arguments) == 1 and isinstance(first.arguments[0], Repeated):
                    return self._repeat(first, instances)
                arguments = tuple(
                    all_of(lambda each, index=index: each.arguments[index])  # type: ignore[misc]
                    for index in range(len(first.arguments))
                )
                keywords = tuple(
                    Keyword(
                        keyword.name,
                        all_of(lambda each, index=index: each.keywords[index].value),  # type: ignore[misc]
                        keyword.default,
                    )
                    for index, keyword in enumerate(first.keywords)
                )
                return Invoke(first.function, arguments, keywords)
            case Listing():
                items = tuple(
                    all_of(lambda each, index=index: each.items[index])  # type: ignore[misc]
                    for index in range(len(first.items))
                )
                return Listing(items)
            case _:
                return first

    def presence(self, label: str, present: Sequence[bool]) -> Expression:
        """What says whether an instance has an optional part."""
        return self._literal([Hole(each, label) for each in present])

    def _repeat(self, first: Invoke, instances: Sequence[Expression | None]) -> Expression:
        """A container of iterations; an instance without it has none."""
        repeats = [each.arguments[0] if isinstance(each, Invoke) else None for each in instances]
        found = [each if isinstance(each, Repeated) else None for each in repeats]
        counts = [each.over.value if each and isinstance(each.over, Hole) else 0 for each in found]
        one = next(each for each in found if each)
        if len(set(counts)) == 1 and (counts[0] == 1 or (counts[0] <= FEW and _varies(one.item))):
            return self._listed(first, found, counts[0])
        before = dict(self.used), set(self.lists)
        around = self._counts, self._loop
        self._counts, self._loop = counts, None
        try:
            item = self.expression([each.item if each else None for each in found])
            repeated = self._loop_over(item, one, counts)
        except Unsettled:
            if len(set(counts)) > 1:
                raise
            self.used, self.lists = before
            return self._listed(first, found, counts[0])
        finally:
            self._counts, self._loop = around
        return Invoke(first.function, (repeated,))

    def _loop_over(self, item: Expression, one: Repeated, counts: Sequence[int]) -> Repeated:
        if self._loop and self._loop.over:
            over: Expression = Code(identifier(self._loop.over))
            return Repeated(item, over, one.starred, self._loop.variable)
        variable = self._loop.variable if self._loop else "_"
        count = self._literal([Hole(each, REPEATS) for each in counts])
        return Repeated(item, Invoke(Code("range"), (count,)), one.starred, variable)

    def _listed(self, first: Invoke, found: Sequence[Repeated | None], count: int) -> Expression:
        """The iterations one after the other."""
        items = tuple(
            self.expression([_iteration(each.item, index) if each else None for each in found])
            for index in range(count)
        )
        starred = next(each.starred for each in found if each)
        return Invoke(first.function, items if starred else (Listing(items),))

    def _literal(self, column: Sequence[Hole | None]) -> Expression:
        """What stands for one literal."""
        first = next(hole for hole in column if hole)
        values = tuple(ABSENT if hole is None else hole.value for hole in column)
        if any(isinstance(value, Each) for value in values):
            return self._varying(values, first)
        return self._explained(values, first) or self._invented(values, first)

    def _explained(self, values: Vector, hole: Hole) -> Expression | None:
        """A constant, or a formula of known parameters or of those that were invented before."""
        given = [value for value in values if value is not ABSENT]
        if not given:
            return Hole(None, hole.role)
        if len(given) < len(values):  # where all have it a constant is meant, here a parameter is
            for name in hole.mentions:
                if name in self.known and _equal(name, self.known[name], values):
                    self.used[name] = self.known[name]
                    return Code(identifier(name))
        if all(_same(value, given[0]) for value in given):
            return Hole(given[0], hole.role, hole.mentions)

        # Several names may explain the numbers: those that the call itself reads do so best, and
        # the block's own parameters do better than the channels that happen to enter.
        def likelihood(item: tuple[str, Any]) -> tuple[bool, bool]:
            return item[0] not in hole.mentions, item[0] == "in_channels"

        candidates = sorted(self.known.items(), key=likelihood)
        rules = [_equal, _scaled]
        if hole.role == REPEATS:
            rules.append(_one_less)
        for rule in rules:
            for name, vector in candidates:
                found = rule(identifier(name), vector, values)
                if found:
                    self.used[name] = vector
                    return found
        for name, vector in self.used.items():
            if name not in self.lists and _equal(name, vector, values):
                return Code(identifier(name))
        if all(isinstance(value, bool) for value in given):
            found_condition = condition(values, self.known, self.used)
            if found_condition:
                text, names = found_condition
                self.used.update((name, self.known[name]) for name in names)
                return Code(text)
        return None

    def _invented(self, values: Vector, hole: Hole) -> Expression:
        """A parameter of its own."""
        if any(value is ABSENT for value in values):
            values = _filled(values)
        name = self._fresh(hole.role)
        self.used[name] = values
        return Code(identifier(name))

    def _fresh(self, role: str) -> str:
        """A free name after `conv1.out_channels`, or after another class's parameter."""
        label, _, short = role.rpartition(".")
        full = f"{label}_{short}" if label and not label[0].isdigit() else short
        fresh = short if short in UNMISTAKABLE and not self._is_taken(short) else full
        while self._is_taken(fresh):
            fresh += "_"
        return fresh

    def _is_taken(self, name: str) -> bool:
        is_variable = self._loop is not None and self._loop.variable == name
        return name in self.used or name in self.known or is_variable

    def _varying(self, values: Vector, hole: Hole) -> Expression:
        """What stands for a literal that differs between iterations."""
        rows = [_row(value, count) for value, count in zip(values, self._counts, strict=True)]
        return (
            self._progression(rows, hole)
            or self._first_and_rest(rows, hole)
            or self._from_list(rows, hole)
        )

    def _progression(self, rows: Sequence[Vector], hole: Hole) -> Expression | None:
        """`start + step * i`."""
        if not _whole(rows) or max(map(len, rows)) <= FEW:
            return None
        steps = {right - left for row in rows for left, right in pairwise(row)}
        if len(steps) != 1 or 0 in steps:
            return None
        start = self._explained(tuple(row[0] if row else ABSENT for row in rows), hole)
        counter = self._counter()
        if start is None or counter is None:
            return None
        (step,) = steps
        term: Expression = counter if step == 1 else Infix("*", (Code(str(step)), counter))
        is_zero = isinstance(start, Hole) and start.value == 0
        return term if is_zero else Infix("+", (start, term))

    def _first_and_rest(self, rows: Sequence[Vector], hole: Hole) -> Expression | None:
        """`first if i == 0 else rest`."""
        if any(len(set(row[1:])) > 1 for row in rows):
            return None
        before = dict(self.used)
        first = self._explained(tuple(row[0] if row else ABSENT for row in rows), hole)
        rest = self._explained(tuple(row[1] if row[1:] else ABSENT for row in rows), hole)
        counter = self._counter() if first and rest else None
        if not (first and rest and counter):
            self.used = before
            return None
        return Choice(Code(f"{counter.text} == 0"), first, rest)

    def _counter(self) -> Code | None:
        """The variable that counts iterations; None where they are told apart by a list."""
        if self._loop is None:
            names = (name for name in ("i", "index", "iteration") if not self._is_taken(name))
            self._loop = _Loop(next(names, "i_"))
        return None if self._loop.over else Code(self._loop.variable)

    def _from_list(self, rows: Sequence[Vector], hole: Hole) -> Expression:
        """An element of a parameter that has one for each iteration."""
        if len(rows) == 1:
            raise Unsettled  # what one instance has needs no parameter
        values = tuple(map(Several, rows))
        if self._loop is None:
            singular = hole.role.rpartition(".")[2]
            is_plural = singular.endswith("s")  # as `out_channels`
            wanted = ("each", "each_one") if is_plural else (singular, "each", "each_one")
            variable = identifier(next(name for name in wanted if not self._is_taken(name)))
            name = self._fresh(singular if is_plural else f"{singular}s")
            self.used[name] = values
            self.lists.add(name)
            self._loop = _Loop(variable, name, values)
        elif self._loop.values != values:
            raise Unsettled
        return Code(self._loop.variable)


def _first(instances: Sequence[Expression | None]) -> Expression:
    return next(each for each in instances if each is not None)


def _varies(item: Expression) -> bool:
    """Whether iterations differ; those that repeat something themselves do not (`modules.py`)."""
    inside = holes(item)
    has_repeat = any(hole.role == REPEATS for hole in inside)
    return not has_repeat and any(isinstance(hole.value, Each) for hole in inside)


def _iteration(item: Expression, index: int) -> Expression:
    """One iteration of an expression for all."""
    if not _varies(item):
        return item

    def settled(leaf: Any) -> Expression:
        if isinstance(leaf, Hole) and isinstance(leaf.value, Each):
            return Hole(leaf.value.values[index], leaf.role, leaf.mentions)
        return leaf  # type: ignore[no-any-return]

    return rewrite(item, settled)


def _row(value: Any, count: int) -> Vector:
    """The values of one instance, by iterations."""
    if value is ABSENT:
        return ()
    return value.values if isinstance(value, Each) else (value,) * count


def _filled(values: Vector) -> Vector:
    """With 0 for an instance that lacks what a number is for."""
    if not all(type(value) is int for value in values if value is not ABSENT):
        raise Unsettled
    return tuple(0 if value is ABSENT else value for value in values)


def _whole(rows: Sequence[Vector]) -> bool:
    return all(type(value) is int for row in rows for value in row)


def _compared(vector: Vector, values: Vector) -> list[tuple[Any, Any]]:
    """A parameter beside what it may stand for, in the instances that have it."""
    pairs = zip(vector, values, strict=True)
    return [(known, value) for known, value in pairs if value is not ABSENT]


def _equal(name: str, vector: Vector, values: Vector) -> Expression | None:
    """The parameter itself; a pair of equal numbers is the number that the spec gave."""
    pairs = _compared(vector, values)
    if all(_same(known, value) for known, value in pairs) or all(
        _same(known, plain(value)) for known, value in pairs
    ):
        return Code(name)
    return None


def _scaled(name: str, vector: Vector, values: Vector) -> Expression | None:
    """A multiple or a part of a parameter that gives the values."""
    pairs = [(known, plain(value)) for known, value in _compared(vector, values)]
    if not all(type(each) is int and each for pair in pairs for each in pair):
        return None
    known, value = pairs[0]
    factor = value // known
    if factor > 1 and all(v == factor * p for p, v in pairs):
        return Infix("*", (Code(str(factor)), Code(name)))
    for part in (known // value, 2):
        if part > 1 and all(v == p // part for p, v in pairs):
            return Infix("//", (Code(name), Code(str(part))))
    return None


def _one_less(name: str, vector: Vector, values: Vector) -> Expression | None:
    """`blocks - 1`, how often a block is repeated after a first one that differs."""
    pairs = _compared(vector, values)
    if all(type(known) is int and value == known - 1 for known, value in pairs):
        return Infix("-", (Code(name), Code("1")))
    return None


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)
