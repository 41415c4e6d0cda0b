"""The body of a class: what `__init__` assigns and what `forward` does, line by line.

A line of the spec becomes a line of `forward`: a value that is used once, further down its own
line, is written where it is used. Named values are variables of that name; the others are `x`, or
`y` and so on while `x` is still needed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from netloom.emit.names import identifier
from netloom.emit.torch.body import Body, Statement
from netloom.emit.torch.expressions import (
    Choice,
    Code,
    Expression,
    Hole,
    Infix,
    Invoke,
    Keyword,
    Listing,
    Member,
    Pick,
    Variable,
    one_line,
)
from netloom.emit.torch.modules import (
    arguments_of,
    attributes_of,
    construct,
    has_modules,
    inputs_of,
    is_list,
)
from netloom.emit.torch.variables import settle_names
from netloom.ir.call import Call, Function, Module
from netloom.ir.graph import Graph, Layer, Line, Scope, Value

Names = Mapping[int, str]
"""What the spec calls values, by their identity."""

EVERY_SUM: Mapping[int, str] = MappingProxyType({})
"""No sum of a body is optional."""

NESTED_WIDTH = 64
"""A nested expression longer than this is taken apart."""


def body_of_scope(
    scope: Scope, made: Mapping[int, Invoke], optional: Mapping[int, str] = EVERY_SUM
) -> Body:
    """The body of a block call or another brace.

    `optional` are sums that not every instance of the class has, with the attribute that says so.
    """
    inputs = inputs_of(scope)
    uses = Counter(map(id, scope.results))
    writer = _BodyWriter(Body(scope, inputs), made, uses, optional)
    writer.lines(scope)
    called = {id(value): name for name, value in scope.tensors.items()}
    names = [
        identifier(called[id(value)])
        if id(value) in called
        else ("x" if value is scope.entry else identifier(value.name.rpartition(".")[2]))
        for value in inputs
    ]
    settle_names(writer.body, names, scope.results)
    return writer.body


def body_of_network(graph: Graph, scope: Scope, made: Mapping[int, Invoke]) -> Body:
    """The body of a network, of which `scope` is what lives, with the heads of each mode."""
    heads = graph.heads
    wanted = Counter(id(head.value) for head in heads)
    writer = _BodyWriter(Body(scope, graph.inputs), made, wanted, EVERY_SUM)
    writer.lines(scope)
    training = {id(layer) for layer in graph.module_layers(graph.heads_in("train"))}
    inference = {id(layer) for layer in graph.module_layers(graph.heads_in("infer"))}
    for statement in writer.body.statements if len(heads) > 1 else ():
        makers = {id(value.layer) for value in statement.results}
        if not makers & inference:
            statement.mode = "train"
        elif not makers & training:
            statement.mode = "infer"
    order = {"both": 0, "train": 1, "infer": 2}
    writer.body.statements.sort(key=lambda statement: order[statement.mode])
    names = [identifier(value.name) for value in graph.inputs]
    settle_names(writer.body, names, tuple(head.value for head in heads))
    returned = writer.body.returned
    if len(heads) > 1:
        writer.body.outputs = [
            (head.name, variable, head.mode) for head, variable in zip(heads, returned, strict=True)
        ]
        writer.body.returned = ()
    return writer.body


@dataclass
class _BodyWriter:
    body: Body
    made: Mapping[int, Invoke]
    uses: Counter[int]
    optional: Mapping[int, str]
    pending: dict[int, Expression] = field(default_factory=dict)
    attributes: dict[int, str] = field(default_factory=dict)
    made_attributes: set[str] = field(default_factory=set)

    def lines(self, scope: Scope) -> None:
        """Lays out the lines of a scope."""
        self.attributes = attributes_of(scope)
        for step in scope.steps():
            self.uses.update(id(value) for value in _reads(step))
        for line in scope.lines:
            later = Counter(id(value) for each in line.steps for value in _reads(each))
            for step in line.steps:
                later.subtract(id(value) for value in _reads(step))
                self._step(step, later, _names_of(line) if step is line.steps[-1] else {})

    def _step(self, step: Layer | Scope, later: Counter[int], names: Names) -> None:
        if is_list(step):
            label = self.attributes[id(step)]
            if has_modules(step):
                self.body.attributes.append((label, construct(step, self.made)))
            self._unrolled(step, f"self.{label}", names)
            return
        attribute = self.attributes[id(step)]
        expression, has_attribute = self._applied(step, f"self.{attribute}")
        if has_attribute and attribute not in self.made_attributes:  # a later call has it already
            self.made_attributes.add(attribute)
            self.body.attributes.append((attribute, construct(step, self.made)))
        self._assign_or_keep(step, expression, later, names)

    def _unrolled(self, repeat: Scope, attribute: str, names: Names) -> None:
        """A repeat that is no chain of modules: its iterations are called one after the other."""
        steps = list(repeat.steps())
        for step in steps:
            self.uses.update(id(value) for value in _reads(step))
        for step in steps:
            own = f"{attribute}[{step.label}]"
            named = names if step is steps[-1] else {}
            if is_list(step):
                self._unrolled(step, own, named)
            else:
                expression, _ = self._applied(step, own)
                self._assign_or_keep(step, expression, Counter(), named)

    def _assign_or_keep(
        self,
        step: Layer | Scope,
        expression: Expression,
        later: Counter[int],
        names: Names,
    ) -> None:
        picks = _picks(step)
        wanted = [index for index, value in enumerate(step.results) if self.uses[id(value)]] or [0]
        if len(wanted) == 1:
            (index,) = wanted
            value, path = step.results[index], picks[index]
            expression = Pick(expression, path) if path else expression
            if self.uses[id(value)] == 1 and later[id(value)] and not names:
                self.pending[id(value)] = expression
            else:
                self._assign(expression, (value,), names)
            return
        if all(path == (index,) for index, path in enumerate(picks)):
            # Python takes a tuple apart as a whole, also what nobody reads.
            self._assign(expression, step.results, names)
            return
        first = step.results[0]
        whole = Value(first.name, first.type, layer=first.layer)
        self.body.statements.append(Statement(expression, (whole,)))
        for index in wanted:
            self._assign(Pick(Variable(whole), picks[index]), (step.results[index],), names)

    def _assign(self, expression: Expression, values: tuple[Value, ...], names: Names) -> None:
        given = tuple(names.get(id(value)) for value in values)
        self.body.statements.append(Statement(expression, values, names=given))

    def _applied(self, step: Layer | Scope, attribute: str) -> tuple[Expression, bool]:
        """The call of a step in `forward`, and whether it needs an attribute."""
        if isinstance(step, Scope):
            arguments = tuple(self._read(value) for value in arguments_of(step))
            return Invoke(Code(attribute), arguments), True
        call = step.op.torch()
        if isinstance(call, Function):
            if id(step) in self.optional:
                return self._optional_sum(call, self.optional[id(step)]), False
            return self._function(call), False
        if call.function:
            return self._function(call.function), False
        keywords = tuple(
            Keyword(name, self._option(name, given)) for name, given in call.call_options.items()
        )
        return Invoke(Code(attribute), tuple(map(self._read, call.inputs)), keywords), True

    def _function(self, call: Function) -> Expression:
        arguments = tuple(self._argument(each) for each in call.arguments)
        if call.name in ("+", "*"):
            return Infix(call.name, arguments)
        keywords = tuple(
            Keyword(name, Hole(option.value, name), option.default)
            for name, option in call.options.items()
        )
        return Invoke(Code(call.name), arguments, keywords)

    def _optional_sum(self, call: Function, attribute: str) -> Expression:
        """`y + x if self.residual else y`."""
        first, second = map(self._argument, call.arguments)
        (made, _) = call.arguments
        if not isinstance(first, Variable) and isinstance(made, Value):
            self.body.statements.append(Statement(first, (made,)))
            first = Variable(made)
        return Choice(Code(f"self.{attribute}"), Infix("+", (first, second)), first)

    def _argument(self, given: object) -> Expression:
        if isinstance(given, Value):
            return self._read(given)
        if isinstance(given, list):
            return Listing(tuple(self._read(value) for value in given))
        return Hole(given, "")

    def _option(self, name: str, given: object) -> Expression:
        """A keyword of the call; a value stands for its size."""
        if isinstance(given, Value):
            return Invoke(Member(self._read(given), "size"))
        return Hole(given, name)

    def _read(self, value: Value) -> Expression:
        """A value where it is used: its expression if it is used here only, else its variable."""
        expression = self.pending.pop(id(value), None)
        if expression is None:
            return Variable(value)
        if len(one_line(expression)) > NESTED_WIDTH:
            self.body.statements.append(Statement(expression, (value,)))
            return Variable(value)
        return expression


def _names_of(line: Line) -> Names:
    """What a line of the spec calls its results; the last of several names for one."""
    return {id(value): name for value, name in zip(line.results, line.names, strict=False)}


def _reads(step: Layer | Scope) -> list[Value]:
    return step.op.reads() if isinstance(step, Layer) else list(arguments_of(step))


def _picks(step: Layer | Scope) -> tuple[tuple[int, ...], ...]:
    call: Call | None = step.op.torch() if isinstance(step, Layer) else None
    if isinstance(call, Module):
        return call.picks
    if len(step.results) == 1:
        return ((),)
    return tuple((index,) for index in range(len(step.results)))
