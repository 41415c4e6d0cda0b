"""Classes from bodies: instances of one structure share a class.

Two bodies have one structure if they differ in literals of their constructors only. A literal that
all instances share stays; where they differ, the class takes a parameter. Which one is found by
comparing the literal, over all instances, with the block's own parameters and the channels that
enter it: `conv(4*ch, 1)` becomes `nn.Conv2d(in_channels, 4 * ch, 1)` because 4 * ch is right for
every call that the spec makes, not because the text was translated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.emit.names import class_name, identifier
from netloom.emit.torch.body import Body
from netloom.emit.torch.expressions import (
    Code,
    Expression,
    Hole,
    Invoke,
    Keyword,
    plain,
    rewrite,
)
from netloom.emit.torch.forward import body_of_network, body_of_scope
from netloom.emit.torch.living import living
from netloom.emit.torch.modules import class_scopes
from netloom.emit.torch.parameters import known_arguments, settled_literal
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
        for bodies in _groups([body_of_scope(each, made) for each in level]):
            definition = _define(_fresh_name(bodies[0].scope, taken), bodies, made)
            found.append(definition)
    network = body_of_network(graph, scope, made)
    found.append(_define(class_name(graph.name), [network], made))
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


def _groups(bodies: Sequence[Body]) -> list[list[Body]]:
    groups: dict[Any, list[Body]] = {}
    for body in bodies:
        groups.setdefault(_structure(body), []).append(body)
    return list(groups.values())


def _structure(body: Body) -> Any:
    """Everything about a body but the literals of its constructors.

    Two definitions may have one name, in two files or as a block and a named pipeline; they can
    share a class if they have the same parameters.
    """
    scope = body.scope
    return (
        (_own_name(scope), scope.kind, *scope.arguments),
        body.input_names,
        tuple((name, _erased(expression)) for name, expression in body.attributes),
        tuple((each.targets, each.expression, each.mode) for each in body.statements),
        body.returned,
    )


def _erased(expression: Expression) -> Expression:
    return rewrite(expression, lambda leaf: Hole(None, "") if isinstance(leaf, Hole) else leaf)


def _own_name(scope: Scope) -> str:
    """What to call the class of a scope: after its block, or after its path."""
    if scope.kind == "iteration":
        return class_name(scope.name.rpartition(".")[0].replace(".", "_"), "body")
    return class_name(scope.block or scope.name.replace(".", "_"))


def _fresh_name(scope: Scope, taken: set[str]) -> str:
    """A block's own name; a second structure of it is told apart by its shortcut, or by number."""
    name = _own_name(scope)
    has_shortcut = any(step.label.startswith("shortcut") for step in scope.steps())
    candidates = [name, f"{name}WithShortcut"] if has_shortcut else [name]
    number = 1
    while True:
        for candidate in candidates:
            if candidate not in taken:
                taken.add(candidate)
                return candidate
        number += 1
        candidates = [f"{name}{number}"]


def _define(name: str, bodies: list[Body], made: dict[int, Invoke]) -> Definition:
    """Settles the literals of a group, and records how each instance constructs the class."""
    definition = Definition(name, bodies[0], bodies)
    known = known_arguments(bodies)
    used: dict[str, tuple[Any, ...]] = {}
    columns = zip(*(_holes(body) for body in bodies), strict=True)
    settled: Iterator[Expression] = iter(
        [settled_literal(column, known, used) for column in columns]
    )
    definition.body.attributes = [
        (attribute, rewrite(e, lambda leaf: next(settled) if isinstance(leaf, Hole) else leaf))
        for attribute, e in definition.body.attributes
    ]
    scope = bodies[0].scope
    order = [each for each in known if each in used] + [each for each in used if each not in known]
    order.sort(key=lambda each: each in scope.defaults)
    for each in order:
        default = plain(scope.defaults.get(each, Missing))
        given = [*used[each], *([] if default is Missing else [default])]
        types = " | ".join(sorted({_type_of(value) for value in given}))
        definition.parameters.append(Parameter(identifier(each), types, default))
    for index, body in enumerate(bodies):
        made[id(body.scope)] = _construction(definition, order, [used[n][index] for n in order])
    _comment(definition, {n: used[n] for n in order})
    return definition


def _holes(body: Body) -> list[Hole]:
    found: list[Hole] = []

    def gather(leaf: Any) -> Any:
        if isinstance(leaf, Hole):
            found.append(leaf)
        return leaf

    for _, expression in body.attributes:
        rewrite(expression, gather)
    return found


def _type_of(value: Any) -> str:
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


def _comment(definition: Definition, arguments: dict[str, tuple[Any, ...]]) -> None:
    """Shapes for the reader, in the words of the class."""
    members = definition.members
    entries = [member.scope.entry for member in members]
    for index, statement in enumerate(definition.body.statements):
        if len(statement.results) > 1:
            definition.comments.append(None)
            continue
        values = [member.statements[index].results[0] for member in members]
        definition.comments.append(shape_comment(values, entries, arguments))
    for position in range(len(definition.body.inputs)):
        values = [member.inputs[position] for member in members]
        definition.input_shapes.append(shape_comment(values, entries, arguments))
    for position in range(len(definition.body.scope.results)):
        values = [member.scope.results[position] for member in members]
        definition.output_shapes.append(shape_comment(values, entries, arguments))
