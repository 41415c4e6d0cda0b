"""How many layers and expansions a network has at least, before any of them is made.

A bomb is a few lines that stand for billions of layers: repeats in repeats, blocks that each call
the next one twice. Counting needs one look at each definition, whatever it stands for.
"""

from netloom.diagnostics import Diagnostic, Failed, Span
from netloom.limits import Limits
from netloom.passes.expressions import Names, Poisoned, evaluate
from netloom.passes.modules import Definition, Module
from netloom.syntax import ast


class Expansion:
    """Counts nodes; each definition is looked at once.

    Raises `Failed` (E217) at the first stage that stands for more than the limit.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._known: dict[int, int] = {}

    def of(self, definition: Definition) -> int:
        """At least so many nodes stand for one call of a block or network."""
        node, module = definition
        if id(node) not in self._known:
            self._known[id(node)] = 0  # for a definition that calls itself, which is told elsewhere
            self._known[id(node)] = self._statements(node.statements, module)
        return self._known[id(node)]

    def _statements(self, statements: tuple[ast.Statement, ...], module: Module) -> int:
        return sum(self._statement(statement, module) for statement in statements)

    def _statement(self, statement: ast.Statement, module: Module) -> int:
        match statement:
            case ast.Flow() | ast.Head():
                stages = statement.pipeline.stages if statement.pipeline else ()
                return sum(self._counted(stage, module) for stage in stages)
            case ast.If():
                otherwise = statement.otherwise
                if otherwise is None:
                    return 0
                body = (otherwise,) if isinstance(otherwise, ast.If) else otherwise.statements
                then = self._statements(statement.then.statements, module)
                return min(then, self._statements(body, module))
        return 0

    def _counted(self, stage: ast.Stage, module: Module) -> int:
        count = self._stage(stage, module)
        if count > self.limits.nodes:
            raise Failed(too_many_nodes(self.limits, stage.span))
        return count

    def _stage(self, stage: ast.Stage, module: Module) -> int:
        match stage:
            case ast.Call():
                definition = module.definitions.get(stage.name.text)
                return 1 + self.of(definition) if definition else 0
            case ast.Join():
                return 1 + sum(self._statements(b.statements, module) for b in stage.branches)
            case ast.Gate() | ast.Residual():
                return self._statements(stage.body.statements, module)
            case ast.Repeat():
                times = _times(stage, module)
                return times * (1 + self._statements(stage.body.statements, module))
        return 0


def too_many_nodes(limits: Limits, span: Span) -> Diagnostic:
    """What is told of a network that is too large."""
    message = f"the network has more than {limits.nodes:,} layers and expansions"
    return Diagnostic("E217", message, span, help=limits.raised_by("nodes"))


def _times(repeat: ast.Repeat, module: Module) -> int:
    """How often a repeat runs at least; 0 where parameters decide that."""
    names = Names(module.constants)
    try:
        start = evaluate(repeat.start, names) if repeat.start else 0
        if repeat.stop is None:
            return len(start) if isinstance(start, tuple) else 0
        stop = evaluate(repeat.stop, names)
    except (Failed, Poisoned):
        return 0
    return max(0, stop - start) if isinstance(start, int) and isinstance(stop, int) else 0
