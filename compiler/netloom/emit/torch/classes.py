"""Classes from families of calls: names, parameters, shapes for the reader.

A literal that all instances share stays; where they differ, the class takes a parameter. Which one
is found by comparing the literal, over all instances, with the block's own parameters and the
channels that enter it: `conv(4*ch, 1)` becomes `nn.Conv2d(in_channels, 4 * ch, 1)` because 4 * ch
is right for every call that the spec makes, not because the text was translated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.emit.names import class_name, identifier
from netloom.emit.torch.body import Body
from netloom.emit.torch.expressions import Code, Hole, Invoke, Keyword, Several, plain
from netloom.emit.torch.families import Family, families
from netloom.emit.torch.forward import body_of_network
from netloom.emit.torch.living import living
from netloom.emit.torch.modules import class_scopes
from netloom.emit.torch.parameters import Settling
from netloom.emit.torch.shapes import shape_comment
from netloom.ir.graph import Graph, Scope, Value

Missing = object()


@dataclass(frozen=True)
class Parameter:
    """An argument of `__init__`."""

    name: str
    type: str
    default: Any = Missing


@dataclass
class Definition:
    """A class to be printed, settled for all its instances."""

    name: str
    body: Body
    members: list[Body]
    parameters: list[Parameter] = field(default_factory=list)
    comments: list[str | None] = field(default_factory=list)
    """For each statement of the body, the shape of what it makes."""
    input_shapes: list[str | None] = field(default_factory=list)
    output_shapes: list[str | None] = field(default_factory=list)


def definitions(graph: Graph) -> list[Definition]:
    """The classes of a network, each after those that it uses; the network itself is the last."""
    scope = living(graph)
    made: dict[int, Invoke] = {}
    found: list[Definition] = []
    taken = {class_name(graph.name)}
    titles = _titles(scope)
    for level in _levels(scope):
        for family in families(level, titles, made):
            name = _fresh_name(titles[id(family.body.scope)], taken)
            found.append(_define(name, family, made))
    body = body_of_network(graph, scope, made)
    network = Family(body, [body], [{id(s.results[0]): s.results[0] for s in body.statements}])
    network.settle()
    found.append(_define(class_name(graph.name), network, made))
    return found


def _titles(network: Scope) -> dict[int, str]:
    """What to call the class of each scope: after its block, or after its path inside of one."""
    titles: dict[int, str] = {}

    def walk(scope: Scope, path: str) -> None:
        for step in scope.steps():
            if not isinstance(step, Scope):
                continue
            inner = step.common or step
            place = inner.block or "_".join(filter(None, (path, inner.label)))
            if inner.kind == "iteration":
                place = f"{path}_body"
            titles[id(inner)] = class_name(place)
            walk(inner, place)

    walk(network, "")
    return titles


def _levels(network: Scope) -> list[list[Scope]]:
    """The scopes that become classes, innermost first; all calls of a block are in one level."""
    scopes = [each for each in class_scopes(network) if each.kind != "network"]
    calls: dict[tuple[bool, int], list[Scope]] = {}
    for scope in scopes:
        calls.setdefault(_definition(scope), []).append(scope)
    heights: dict[tuple[bool, int], int] = {}

    def height(scope: Scope) -> int:
        key = _definition(scope)
        if key not in heights:
            inner = [one for call in calls[key] for one in class_scopes(call) if one is not call]
            heights[key] = max((height(each) + 1 for each in inner), default=0)
        return heights[key]

    levels: dict[int, list[Scope]] = {}
    for scope in scopes:
        levels.setdefault(height(scope), []).append(scope)
    return [levels[each] for each in sorted(levels)]


def _definition(scope: Scope) -> tuple[bool, int]:
    """What calls of one block have in common; a brace that is no call has itself."""
    return (True, scope.definition) if scope.definition else (False, id(scope))


def _fresh_name(title: str, taken: set[str]) -> str:
    """A block's own name for its most frequent class; others are told apart by number."""
    name, number = title, 1
    while name in taken:
        number += 1
        name = f"{title}{number}"
    taken.add(name)
    return name


def _define(name: str, family: Family, made: dict[int, Invoke]) -> Definition:
    """The class of a family; `made` learns how each instance is constructed."""
    definition = Definition(name, family.body, family.members)
    definition.body.attributes = family.attributes
    settling = family.settling
    order = _order(settling, family.body.scope)
    definition.parameters = [_parameter(each, settling, family.body.scope) for each in order]
    for index, member in enumerate(family.members):
        values = [settling.used[each][index] for each in order]
        made[id(member.scope)] = _construction(definition, order, values)
    _comment(definition, family, {each: settling.used[each] for each in order})
    return definition


def _order(settling: Settling, scope: Scope) -> list[str]:
    """The parameters: those of the spec first, in its order, and those with defaults last."""
    order = [each for each in settling.known if each in settling.used] + settling.invented
    return sorted(order, key=lambda each: each in scope.defaults)


def _parameter(name: str, settling: Settling, scope: Scope) -> Parameter:
    default = plain(scope.defaults.get(name, Missing))
    given = [*settling.used[name], *([] if default is Missing else [default])]
    types = " | ".join(sorted({_type_of(value) for value in given} - {""}))
    return Parameter(identifier(name), types, default)


def _type_of(value: Any) -> str:
    """The type of a parameter in one call; an empty list does not tell."""
    if isinstance(value, Several):
        return f"list[{_type_of(value[0])}]" if value else ""
    if isinstance(value, tuple):
        return "tuple[int, int]" if len(set(value)) > 1 else "int"
    return type(value).__name__


def _construction(definition: Definition, order: list[str], values: list[Any]) -> Invoke:
    required = [parameter for parameter in definition.parameters if parameter.default is Missing]
    arguments = tuple(
        Hole(value, name) for name, value in zip(order, values[: len(required)], strict=False)
    )
    keywords = tuple(
        Keyword(parameter.name, Hole(value, parameter.name), parameter.default)
        for parameter, value in zip(
            definition.parameters[len(required) :], values[len(required) :], strict=True
        )
    )
    return Invoke(Code(definition.name), arguments, keywords)


def _comment(definition: Definition, family: Family, arguments: dict[str, tuple[Any, ...]]) -> None:
    """Shapes for the reader, in the words of the class, that are right for all calls."""
    scopes = [member.scope for member in family.members]
    entries = _in_all_calls(scopes, [scope.entry for scope in scopes])
    calls = [len(_in_all_calls([scope], [scope.entry])) for scope in scopes]
    words = {
        name: tuple(value for value, count in zip(vector, calls, strict=True) for _ in range(count))
        for name, vector in arguments.items()
    }

    def shape(values: Sequence[Value | None]) -> str | None:
        every = _in_all_calls(scopes, values)
        known = [value for value in every if value]
        fits = len(known) == len(every) == len(entries)
        return shape_comment(known, entries, words) if fits else None

    for statement in family.body.statements:
        made = [values.get(id(statement.results[0])) for values in family.values]
        definition.comments.append(shape(made) if len(statement.results) == 1 else None)
    for position in range(len(family.body.inputs)):
        taken = [member.inputs[position] for member in family.members]
        definition.input_shapes.append(shape(taken))
    for position in range(len(family.body.scope.results)):
        definition.output_shapes.append(shape([scope.results[position] for scope in scopes]))


def _in_all_calls(scopes: Sequence[Scope], values: Sequence[Value | None]) -> list[Value | None]:
    """Values of some scopes; those of something that is called several times in all its calls."""
    found: list[Value | None] = []
    for scope, value in zip(scopes, values, strict=True):
        found += scope.calls.get(id(value), (value,))
    return found
