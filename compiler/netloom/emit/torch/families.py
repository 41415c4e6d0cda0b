"""Which calls share a class, and what stands for the literals in which they differ.

Calls of one structure differ in literals of their constructors only. Calls of one block that differ
in optional parts, too, share the class of the fullest (`merging.py`), where that needs at most one
more parameter that the spec does not have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.emit.torch.body import Body
from netloom.emit.torch.expressions import Choice, Code, Expression, Hole, Invoke, Repeated, leaves
from netloom.emit.torch.forward import body_of_scope
from netloom.emit.torch.merging import embedding, is_sum
from netloom.emit.torch.modules import REPEATS, attributes_of, erased
from netloom.emit.torch.parameters import Settling, Unsettled, known_arguments
from netloom.ir.graph import Scope, Value

IDENTITY = Invoke(Code("nn.Identity"))


@dataclass
class Family:
    """The instances of one class. `body` is that of the fullest."""

    body: Body
    members: list[Body]
    values: list[Mapping[int, Value]] = field(default_factory=list)
    """For each member, what it has for the values of `body`, by identity."""
    sums: dict[str, list[bool]] = field(default_factory=dict)
    """Attributes that say whether an instance has a sum."""
    attributes: list[tuple[str, Expression]] = field(default_factory=list)
    settling: Settling = field(default_factory=lambda: Settling({}))

    def settle(self) -> None:
        """Finds the parameters. Raises `Unsettled` where the instances need several classes."""
        self.settling = Settling(known_arguments(self.members))
        self.attributes = [
            (name, self.settling.presence(name, present)) for name, present in self.sums.items()
        ]
        given = [dict(member.attributes) for member in self.members]
        for name, _ in self.body.attributes:
            self.attributes.append((name, self._settled(name, [each.get(name) for each in given])))

    def _settled(self, name: str, instances: Sequence[Expression | None]) -> Expression:
        forms = {erased(each): each for each in instances if each is not None}
        if len(forms) == 1:
            if None not in instances or _is_repeat(next(iter(forms.values()))):
                return self.settling.expression(instances)
            present = self.settling.presence(_plain(name), [e is not None for e in instances])
            return Choice(present, self.settling.expression(instances), IDENTITY)
        if len(forms) > 2 or None in instances or not all(map(_is_of_torch, forms)):
            raise Unsettled
        first, second = (
            [each if each is not None and erased(each) == form else None for each in instances]
            for form in forms
        )
        present = self.settling.presence(_plain(name), [each is not None for each in first])
        if isinstance(present, Code) and present.text.startswith("not "):
            present, first, second = Code(present.text.removeprefix("not ")), second, first
        return Choice(present, self.settling.expression(first), self.settling.expression(second))


def families(
    scopes: Sequence[Scope], titles: Mapping[int, str], made: Mapping[int, Invoke]
) -> list[Family]:
    """The classes of scopes of equal nesting; of a block, the most frequent one comes first.

    `titles` are what to call the class of each scope, by identity.
    """
    found: dict[str, list[Family]] = {}
    for scope in scopes:
        found.setdefault(titles[id(scope)], [])
    groups: dict[Any, list[Body]] = {}
    for scope in scopes:
        key = (titles[id(scope)], scope.kind, *scope.arguments)
        groups.setdefault(key, []).append(body_of_scope(scope, made))
    for (title, *_), bodies in groups.items():
        alike = [each for one in _structures(bodies) for each in _of_one_structure(one)]
        found[title] += _merged(alike, made)
    return [
        family
        for classes in found.values()
        for family in sorted(classes, key=lambda each: -len(each.members))
    ]


def _structures(bodies: Sequence[Body]) -> list[list[Body]]:
    groups: dict[Any, list[Body]] = {}
    for body in bodies:
        groups.setdefault(_structure(body), []).append(body)
    return list(groups.values())


def _structure(body: Body) -> Any:
    """Everything about a body but the literals of its constructors.

    Two definitions may have one name, in two files or as a block and a named pipeline; they can
    share a class if they have the same parameters.
    """
    return (
        body.input_names,
        tuple((name, erased(expression)) for name, expression in body.attributes),
        tuple((each.targets, each.expression, each.mode) for each in body.statements),
        body.returned,
    )


def _of_one_structure(bodies: list[Body]) -> Iterator[Family]:
    """One class, or one for each number of iterations where nothing else can be written."""
    family = Family(bodies[0], bodies, [_values(bodies[0], each) for each in bodies])
    try:
        family.settle()
    except Unsettled:
        groups: dict[Any, list[Body]] = {}
        for body in bodies:
            groups.setdefault(_counts(body), []).append(body)
        for group in groups.values():
            yield from _of_one_structure(group)
        return
    yield family


def _counts(body: Body) -> tuple[Any, ...]:
    """How often the repeats of a body iterate."""
    return tuple(
        leaf.value
        for _, expression in body.attributes
        for leaf in leaves(expression)
        if isinstance(leaf, Hole) and leaf.role == REPEATS
    )


def _values(body: Body, member: Body) -> Mapping[int, Value]:
    """What a call of the same structure has for each value that the body assigns."""
    return {
        id(one.results[0]): other.results[0]
        for one, other in zip(body.statements, member.statements, strict=True)
    }


def _merged(group: list[Family], made: Mapping[int, Invoke]) -> list[Family]:
    """The families of one block, with those joined of which one is part of another."""
    waiting = sorted(group, key=lambda each: -len(list(each.body.scope.steps())))
    found = []
    while waiting:
        family, *others = waiting
        waiting = []
        for other in others:
            joined = _joined(family, other, made)
            if joined:
                family = joined
            else:
                waiting.append(other)
        found.append(family)
    return found


def _joined(family: Family, other: Family, made: Mapping[int, Invoke]) -> Family | None:
    """Both as one, if the second is part of the first and nobody has to invent more for it."""
    full = family.body.scope
    members = [*family.members, *other.members]
    if family.body.input_names != other.body.input_names:
        return None
    parts = [embedding(full, member.scope) for member in members]
    found = [each for each in parts if each]
    if len(found) < len(parts):
        return None
    left_out = frozenset[int]().union(*(part.without for part in found))
    optional = _optional_sums(full, left_out)
    body = body_of_scope(full, made, optional)
    sums = {
        attribute: [layer not in part.without for part in found]
        for layer, attribute in optional.items()
    }
    joined = Family(body, members, [part.values for part in found], sums)
    try:
        joined.settle()
    except Unsettled:
        return None
    allowed = 1 + max(_number_of_inventions(each) for each in (family, other))
    return joined if _number_of_inventions(joined) <= allowed else None


def _number_of_inventions(family: Family) -> int:
    """Parameters that nobody gave a name; what tells whether a part is there does not count."""
    settling = family.settling
    return sum(
        not all(isinstance(value, bool) for value in settling.used[name])
        for name in settling.invented
    )


def _optional_sums(full: Scope, left_out: frozenset[int]) -> dict[int, str]:
    """The attributes that say whether there are sums which some calls lack."""
    taken = set(attributes_of(full).values())
    found: dict[int, str] = {}
    for step in full.steps():
        if id(step) in left_out and is_sum(step):
            name = "residual"
            while name in taken:
                name += "_"
            taken.add(name)
            found[id(step)] = name
    return found


def _is_repeat(expression: Expression) -> bool:
    return (
        isinstance(expression, Invoke)
        and len(expression.arguments) == 1
        and isinstance(expression.arguments[0], Repeated)
    )


def _is_of_torch(expression: Expression) -> bool:
    """Whether PyTorch's own layers only are constructed."""
    return all(leaf.text.startswith("nn.") for leaf in leaves(expression) if isinstance(leaf, Code))


def _plain(name: str) -> str:
    """An attribute without its number: `shortcut` of `shortcut1`."""
    return name.rstrip("0123456789")
