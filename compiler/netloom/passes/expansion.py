"""How many layers and expansions a network has at least, before any of them is made.

A bomb is a few lines that stand for billions of layers: repeats in repeats, blocks that each call
the next one twice. Counting looks once at each definition with each list of arguments, and gives up
after a number of steps. What it does not look at, and what only the sizes of values decide, counts
as nothing here; it is counted while it is built.
"""

from collections import ChainMap
from collections.abc import Iterable
from typing import Any, NamedTuple

from netloom.diagnostics import Diagnostic, Failed, Span
from netloom.ir.op import Op
from netloom.limits import Limits
from netloom.passes.expressions import POISON, Names, Poison, Poisoned, evaluate
from netloom.passes.modules import Definition, Module
from netloom.syntax import ast

STEPS = 100_000
"""How many statements and stages are looked at, in all calls of definitions together."""

DEPTH = 100
"""How many braces and calls inside one another are looked at, which bounds the recursion."""


class Count(NamedTuple):
    """At least so many nodes, and the innermost stage that stands for more than the limit."""

    nodes: int
    span: Span | None = None


NOTHING = Count(0)


class _Shared(Poison):
    """What a `share` has named: no value that is known, but a call."""

    def __init__(self, call: ast.Call, definition: Definition | None) -> None:
        self.call, self.definition = call, definition


class Expansion:
    """Counts the nodes of networks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._known: dict[tuple[int, str], Count] = {}
        self._open: set[int] = set()
        self._steps = STEPS
        self._depth = 0

    def refuse_too_many(self, network: Definition, parameters: dict[str, Any]) -> None:
        """Raises `Failed` (E217) if one stage of a network stands for more than the limit."""
        names = Names(ChainMap(dict(parameters), network.module.constants), limits=self.limits)
        self._open.add(id(network.node))
        count = self._statements(network.node.statements, network.module, names)
        self._open.discard(id(network.node))
        if count.span is not None:
            raise Failed(too_many_nodes(self.limits, count.span))

    def _called(self, definition: Definition, arguments: dict[str, Any]) -> Count:
        """What one call of a block or network stands for."""
        node, module = definition
        if id(node) in self._open:
            return NOTHING  # one that calls itself is refused elsewhere
        key = (id(node), repr(arguments))
        if key not in self._known:
            self._open.add(id(node))
            self._steps -= len(node.parameters)
            names = Names(ChainMap(arguments, module.constants), limits=self.limits)
            defaults = Names(module.constants, limits=self.limits)
            for parameter in node.parameters:
                if parameter.name.text not in arguments:
                    default = parameter.default
                    value = _known(default, defaults) if default is not None else POISON
                    arguments[parameter.name.text] = value
            built = [each for each in node.statements if not _is_left_out(each)]
            self._known[key] = self._statements(built, module, names)
            self._open.discard(id(node))
        return self._known[key]

    def _statements(
        self, statements: Iterable[ast.Statement], module: Module, names: Names
    ) -> Count:
        count = NOTHING
        if self._depth == DEPTH:
            return count
        self._depth += 1
        for statement in statements:
            if self._steps <= 0:
                break
            self._steps -= 1
            count = self._sum(count, self._statement(statement, module, names))
        self._depth -= 1
        return count

    def _statement(self, statement: ast.Statement, module: Module, names: Names) -> Count:
        """What a statement stands for; the names that it gives hide definitions from then on."""
        count = NOTHING
        match statement:
            case ast.Let():
                names.values[statement.name.text] = _known(statement.value, names)
            case ast.Share():
                definition = self._definition(statement.call, module, names)
                names.values[statement.name.text] = _Shared(statement.call, definition)
            case ast.Input() | ast.Target():
                names.values[statement.name.text] = POISON
            case ast.Flow() | ast.Head():
                for stage in statement.pipeline.stages if statement.pipeline else ():
                    count = self._sum(count, self._counted(stage, module, names))
                given = statement.names if isinstance(statement, ast.Flow) else (statement.name,)
                names.values.update({name.text: POISON for name in given})
            case ast.If():
                count = self._conditional(statement, module, names)
        return count

    def _conditional(self, statement: ast.If, module: Module, names: Names) -> Count:
        """The least of the branches that may be taken."""
        bodies: list[ast.Body | None] = []
        following: ast.Body | ast.If | None = statement
        while isinstance(following, ast.If) and self._steps > 0:
            self._steps -= 1
            condition = _known(following.condition, names)
            if condition is not False:
                bodies.append(following.then)
            following = None if condition is True else following.otherwise
            if condition is True:
                break
        else:
            bodies.append(following if isinstance(following, ast.Body) else None)
        if None in bodies:
            return NOTHING
        counts = [self._body(body, module, names) for body in bodies if body]
        return min(counts, key=lambda count: count.nodes)

    def _body(
        self, body: ast.Body, module: Module, names: Names, variable: ast.Name | None = None
    ) -> Count:
        inside = names.inner(None)
        if variable:
            inside.values[variable.text] = POISON
        return self._statements(body.statements, module, inside)

    def _counted(self, stage: ast.Stage, module: Module, names: Names) -> Count:
        if self._steps <= 0:
            return NOTHING
        self._steps -= 1
        count = self._stage(stage, module, names)
        if count.nodes > self.limits.nodes and count.span is None:
            return count._replace(span=stage.span)
        return count

    def _stage(self, stage: ast.Stage, module: Module, names: Names) -> Count:
        match stage:
            case ast.Call():
                return self._call(stage, module, names)
            case ast.Join():
                bodies = [self._body(branch, module, names) for branch in stage.branches]
                return self._sum(Count(1), *bodies)
            case ast.Gate():
                return self._sum(Count(1), self._body(stage.body, module, names))
            case ast.Residual():
                return self._body(stage.body, module, names)
            case ast.Repeat():
                times = _times(stage, names)
                if times == 0:
                    return NOTHING
                body = self._body(stage.body, module, names, stage.variable)
                one = self._sum(Count(1), body)
                return Count(self._most(times * one.nodes), one.span)
        return NOTHING

    def _call(self, call: ast.Call, module: Module, names: Names) -> Count:
        definition = self._definition(call, module, names)
        shared = names.values.get(call.name.text)
        if isinstance(shared, _Shared):
            first = shared.call
            arguments = (*(first.arguments or ()), *(call.arguments or ()))
            call, definition = first._replace(arguments=arguments), shared.definition
        elif shared is not None:
            return NOTHING
        self._steps -= len(call.arguments or ())
        if definition is None:
            return Count(int(call.name.text in Op.registry))
        return self._sum(Count(1), self._called(definition, _arguments(call, definition, names)))

    def _definition(self, call: ast.Call, module: Module, names: Names) -> Definition | None:
        """What a call calls, unless a name that stands for something else hides it."""
        hidden = call.name.text in names.values
        return None if hidden else module.definitions.get(call.name.text)

    def _sum(self, *counts: Count) -> Count:
        span = next((count.span for count in counts if count.span is not None), None)
        return Count(self._most(sum(count.nodes for count in counts)), span)

    def _most(self, nodes: int) -> int:
        """A number of nodes, where more than too many are just too many."""
        return min(nodes, self.limits.nodes + 1)


def _is_left_out(statement: ast.Statement) -> bool:
    """Whether a network that is called does not have that part: a head for training only."""
    return isinstance(statement, ast.Head) and statement.mode == "train"


def _arguments(call: ast.Call, definition: Definition, names: Names) -> dict[str, Any]:
    """What a call gives for parameters, as far as it is known; the call is checked elsewhere."""
    parameters = [parameter.name.text for parameter in definition.node.parameters]
    if isinstance(definition.node, ast.Network):  # whose inputs but the first are arguments too
        declared = [each for each in definition.node.statements if isinstance(each, ast.Input)]
        parameters = [*(each.name.text for each in declared[1:]), *parameters]
    known = set(parameters)
    found: dict[str, Any] = {}
    for index, argument in enumerate(call.arguments or ()):
        place = parameters[index] if index < len(parameters) else None
        name = argument.name.text if argument.name else place
        if name in known and name is not None:
            found[name] = _known(argument.value, names)
    return found


def _known(expression: ast.Expression, names: Names) -> Any:
    """The value of an expression, or poison where values of the network decide it."""
    try:
        return evaluate(expression, names)
    except (Failed, Poisoned):
        return POISON


def _times(repeat: ast.Repeat, names: Names) -> int:
    """How often a repeat runs at least."""
    start = _known(repeat.start, names) if repeat.start else 0
    if repeat.stop is None:
        return len(start) if isinstance(start, tuple) else 0
    stop = _known(repeat.stop, names)
    return max(0, stop - start) if isinstance(start, int) and isinstance(stop, int) else 0


def too_many_nodes(limits: Limits, span: Span) -> Diagnostic:
    """What is told of a network that is too large."""
    message = f"the file has more than {limits.nodes:,} layers and expansions"
    return Diagnostic("E217", message, span, help=limits.raised_by("nodes"))
