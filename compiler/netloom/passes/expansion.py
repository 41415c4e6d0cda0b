"""How many layers and expansions a network has at least, before any of them is made.

A bomb is a few lines that stand for billions of layers: repeats in repeats, blocks that each call
the next one twice. Counting looks once at each definition with each list of arguments, whatever it
stands for. What only the sizes of values decide counts as nothing here; it is counted while it is
built.
"""

from typing import Any

from netloom.diagnostics import Diagnostic, Failed, Span
from netloom.limits import Limits
from netloom.passes.expressions import Names, Poisoned, evaluate
from netloom.passes.modules import Definition, Module
from netloom.syntax import ast


class Expansion:
    """Counts nodes.

    Raises `Failed` (E217) at the first stage that stands for more than the limit.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._known: dict[tuple[int, str], int] = {}
        self._open: set[int] = set()

    def of(self, definition: Definition, arguments: dict[str, Any] | None = None) -> int:
        """At least so many nodes stand for one call of a block or network."""
        node, module = definition
        given = arguments or {}
        key = (id(node), repr(given))
        if id(node) in self._open:
            return 0  # a definition that calls itself is refused elsewhere
        if key not in self._known:
            self._open.add(id(node))
            names = Names({**module.constants, **given}, limits=self.limits)
            for parameter in node.parameters:
                if parameter.name.text not in given and parameter.default is not None:
                    names.values[parameter.name.text] = _known(parameter.default, names)
            self._known[key] = self._statements(node.statements, module, names)
            self._open.discard(id(node))
        return self._known[key]

    def _statements(
        self, statements: tuple[ast.Statement, ...], module: Module, names: Names
    ) -> int:
        return sum(self._statement(statement, module, names) for statement in statements)

    def _statement(self, statement: ast.Statement, module: Module, names: Names) -> int:
        match statement:
            case ast.Let():
                names.values[statement.name.text] = _known(statement.value, names)
            case ast.Flow() | ast.Head():
                stages = statement.pipeline.stages if statement.pipeline else ()
                return sum(self._counted(stage, module, names) for stage in stages)
            case ast.If():
                return self._conditional(statement, module, names)
        return 0

    def _conditional(self, statement: ast.If, module: Module, names: Names) -> int:
        otherwise = statement.otherwise
        condition = _known(statement.condition, names)
        then = else_ = 0
        if condition is not False:
            then = self._statements(statement.then.statements, module, names.inner(None))
        if condition is not True and otherwise is not None:
            body = (otherwise,) if isinstance(otherwise, ast.If) else otherwise.statements
            else_ = self._statements(body, module, names.inner(None))
        return min(then, else_) if condition is None else then + else_

    def _counted(self, stage: ast.Stage, module: Module, names: Names) -> int:
        count = self._stage(stage, module, names)
        if count > self.limits.nodes:
            raise Failed(too_many_nodes(self.limits, stage.span))
        return count

    def _stage(self, stage: ast.Stage, module: Module, names: Names) -> int:
        match stage:
            case ast.Call():
                definition = module.definitions.get(stage.name.text)
                if definition is None:
                    return 0
                return 1 + self.of(definition, _arguments(stage, definition, names))
            case ast.Join():
                inner = [names.inner(None) for _ in stage.branches]
                branches = zip(stage.branches, inner, strict=True)
                return 1 + sum(self._statements(b.statements, module, n) for b, n in branches)
            case ast.Gate() | ast.Residual():
                return self._statements(stage.body.statements, module, names.inner(None))
            case ast.Repeat():
                inside = names.inner(None)
                if stage.variable:
                    inside.values[stage.variable.text] = None
                one = 1 + self._statements(stage.body.statements, module, inside)
                return _times(stage, names) * one
        return 0


def _arguments(call: ast.Call, definition: Definition, names: Names) -> dict[str, Any]:
    """What a call gives for parameters, as far as it is known; the call is checked elsewhere."""
    parameters = [parameter.name.text for parameter in definition.node.parameters]
    found: dict[str, Any] = {}
    for index, argument in enumerate(call.arguments or ()):
        place = parameters[index] if index < len(parameters) else None
        name = argument.name.text if argument.name else place
        if name in parameters and name is not None:
            found[name] = _known(argument.value, names)
    return found


def _known(expression: ast.Expression, names: Names) -> Any:
    """The value of an expression, or None where values of the network decide it."""
    try:
        return evaluate(expression, names)
    except (Failed, Poisoned):
        return None


def _times(repeat: ast.Repeat, names: Names) -> int:
    """How often a repeat runs at least."""
    start = _known(repeat.start, names) if repeat.start else 0
    if repeat.stop is None:
        return len(start) if isinstance(start, tuple) else 0
    stop = _known(repeat.stop, names)
    return max(0, stop - start) if isinstance(start, int) and isinstance(stop, int) else 0


def too_many_nodes(limits: Limits, span: Span) -> Diagnostic:
    """What is told of a network that is too large."""
    message = f"the network has more than {limits.nodes:,} layers and expansions"
    return Diagnostic("E217", message, span, help=limits.raised_by("nodes"))
