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
from netloom.emit.torch.families import Family, families, own_name
from netloom.emit.torch.forward import body_of_network
from netloom.emit.torch.living import living
from netloom.emit.torch.modules import class_scopes
from netloom.emit.torch.parameters import Settling
from netloom.emit.torch.shapes import shape_comment
from netloom.ir.graph import Graph, Scope

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
    for level in _levels(scope):
        classes = families(level, made)
        names = _fresh_names(classes, taken)
        found += [_define(names[id(each)], each, made) for each in classes]
    body = body_of_network(graph, scope, made)
    network = Family(body, [body], [{id(s.results[0]): s.results[0] for s in body.statements}])
    network.settle()
    found.append(_define(class_name(graph.name), network, made))
    return found


def _levels(network: Scope) -> list[list[Scope]]:
    """The scopes that become classes, innermost first, all calls of equal nesting together."""
    heights: dict[int, int] = {}
    levels: list[list[Scope]] = []
    for scope in class_scopes(network):
        if scope.kind == "network":
            continue
        inner = [heights.get(id(each), -1) for each in class_scopes(scope) if each is not scope]
        height = max(inner, default=-1) + 1
        heights[id(scope)] = height
        while len(levels) <= height:
            levels.append([])
        levels[height].append(scope)
    return levels


def _fresh_names(classes: Sequence[Family], taken: set[str]) -> dict[int, str]:
    """A block's own name for its first class; others are told apart by number."""
    names = {}
    for family in classes:
        name = own = own_name(family.body.scope)
        number = 1
        while name in taken:
            number += 1
            name = f"{own}{number}"
        taken.add(name)
        names[id(family)] = name
    return names


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
    """Shapes for the reader, in the words of the class."""
    members = family.members
    entries = [member.scope.entry for member in members]
    for statement in family.body.statements:
        made = [values.get(id(statement.results[0])) for values in family.values]
        known = [value for value in made if value]
        is_one = len(statement.results) == 1 and len(known) == len(made)
        comment = shape_comment(known, entries, arguments) if is_one else None
        definition.comments.append(comment)
    for position in range(len(family.body.inputs)):
        taken = [member.inputs[position] for member in members]
        definition.input_shapes.append(shape_comment(taken, entries, arguments))
    for position in range(len(family.body.scope.results)):
        given = [member.scope.results[position] for member in members]
        definition.output_shapes.append(shape_comment(given, entries, arguments))
