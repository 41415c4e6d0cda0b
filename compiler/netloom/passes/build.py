"""Syntax tree to graph: resolves names, expands blocks, binds arguments, types each value.

A value whose making fails becomes poison: the mistake is told once, what depends on it is silent,
and everything else is still checked, so one run reports every independent mistake.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note, Span, did_you_mean
from netloom.ir.declared import Field, Reject
from netloom.ir.dims import Dim, Size, Symbolic, evaluate as substitute, size, sizes
from netloom.ir.graph import Graph, Head, Layer, Mode, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import DTYPES, Type
from netloom.ops.merge import Add
from netloom.passes.binding import Bound, Call, bind, bind_fields, coerce
from netloom.passes.expressions import (
    BUILD_FUNCTIONS,
    POISON,
    Names,
    Poison,
    Poisoned,
    evaluate,
    text_of,
)
from netloom.passes.scopes import (
    Naming,
    OpenScope,
    is_single,
    names_given,
    owning_stages,
    placing_stages,
)
from netloom.syntax import ast

MAXIMUM_LAYERS = 200_000
MAXIMUM_BLOCK_DEPTH = 100

Current = Value | Poison | None

_PARAMETER_TYPES = {"int": int, "float": float, "bool": bool, "string": str, "list": tuple}


@dataclass(frozen=True)
class Requirement:
    """A `require`, with what its names meant where it stands."""

    condition: ast.Expression
    names: Names
    span: Span
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Built:
    """A network and what it must still be shown to fulfil."""

    graph: Graph
    requirements: tuple[Requirement, ...]


@dataclass
class Place:
    """Where statements run: their names, the scope that takes their layers, the current value."""

    names: Names
    scope: OpenScope
    current: Current
    is_network: bool = False
    defined: dict[str, Span] = dataclasses.field(default_factory=dict)


def build(file: ast.File, diagnostics: Diagnostics) -> dict[str, Built]:
    """The networks of a spec, by name; those with mistakes are left out and reported."""
    blocks: dict[str, ast.Block] = {}
    first: dict[str, ast.Name] = {}
    for definition in sorted((*file.blocks, *file.networks), key=lambda each: each.span.start):
        name = definition.name
        if name.text in first:
            note = Note(f"`{name.text}` is already defined here", first[name.text].span)
            message = f"the name `{name.text}` is used twice"
            diagnostics.report(Diagnostic("E211", message, name.span, notes=(note,)))
            continue
        first[name.text] = name
        if isinstance(definition, ast.Block):
            blocks[name.text] = definition
            if name.text in Op.registry:
                message = f"`{name.text}` is an operator, so a block cannot have that name"
                diagnostics.report(Diagnostic("E211", message, name.span))
    built = {}
    for network in file.networks:
        result = Builder(network, blocks, diagnostics).build()
        if result is not None:
            built[network.name.text] = result
    return built


class Builder:
    """Builds one network."""

    def __init__(
        self, network: ast.Network, blocks: dict[str, ast.Block], diagnostics: Diagnostics
    ) -> None:
        self.network = network
        self.blocks = blocks
        self.diagnostics = diagnostics
        self.inputs: list[Value] = []
        self.targets: list[Value] = []
        self.heads: list[Head] = []
        self.layers: list[Layer] = []
        self.requirements: list[Requirement] = []
        self.calls: list[tuple[str, Span]] = []
        self.iterations = 0
        self.data_sizes: set[str] = set()
        self.failed = False

    def build(self) -> Built | None:
        """The network, or None if there were mistakes."""
        network = self.network
        scope = Scope("network", "", None)
        names = Names(functions=BUILD_FUNCTIONS)
        place = Place(names, OpenScope(scope, names_given(network.statements)), None, True)
        try:
            call = Call(network.name, (), f"network `{network.name.text}`")
            names.values.update(bind_fields(self._signature(network.parameters), call, names).fields)
            self._run(network.statements, place)
        except Failed as failure:
            self._tell(failure)
        except Poisoned:
            pass
        if not self.heads and not self.failed:
            message = f"network `{network.name.text}` has no head, so nothing comes out of it"
            help = "name an output: `head logits = …`"
            self._report(Diagnostic("E218", message, network.name.span, help=help))
        if self.failed:
            return None
        graph = Graph(
            network.name.text,
            scope,
            tuple(self.inputs),
            tuple(self.targets),
            tuple(self.heads),
            tuple(self.layers),
            {name: value for name, value in names.values.items() if isinstance(value, Value)},
            network.name.span,
        )
        return Built(graph, tuple(self.requirements))

    # ---- reporting

    def _report(self, diagnostic: Diagnostic) -> None:
        self.failed = True
        notes = (*diagnostic.notes, *self._call_chain())
        self.diagnostics.report(
            Diagnostic(
                diagnostic.code,
                diagnostic.message,
                diagnostic.span,
                diagnostic.label,
                notes,
                diagnostic.help,
            )
        )

    def _tell(self, failure: Failed) -> None:
        for diagnostic in failure.diagnostics:
            self._report(diagnostic)

    def _call_chain(self) -> tuple[Note, ...]:
        return tuple(
            Note(f"in this call of `{name}`", span) for name, span in reversed(self.calls)
        )

    # ---- statements

    def _run(self, statements: tuple[ast.Statement, ...], place: Place) -> None:
        """Runs statements one after the other; a mistake in one does not stop the next."""
        for statement in statements:
            try:
                self._statement(statement, place)
            except Failed as failure:
                self._tell(failure)
                place.current = POISON
            except Poisoned:
                place.current = POISON

    def _statement(self, statement: ast.Statement, place: Place) -> None:
        match statement:
            case ast.Input():
                self._declare(statement, place, self.inputs)
                place.current = self.inputs[0] if len(self.inputs) == 1 else None
            case ast.Target():
                self._declare(statement, place, self.targets)
            case ast.Head():
                self._head(statement, place)
            case ast.Require():
                requirement = Requirement(
                    statement.condition,
                    place.names.inner(place.names.entry),
                    statement.span,
                    self._call_chain(),
                )
                self.requirements.append(requirement)
            case ast.Let():
                self._define(statement.name, evaluate(statement.value, place.names), place)
            case ast.If():
                self._if(statement, place)
            case ast.Flow():
                self._flow(statement, place)

    def _define(self, name: ast.Name, value: Any, place: Place) -> None:
        if name.text in place.defined:
            note = Note("it already stands for this", place.defined[name.text])
            message = f"the name `{name.text}` is used twice"
            self._report(Diagnostic("E211", message, name.span, notes=(note,)))
            return
        place.defined[name.text] = name.span
        place.names.values[name.text] = value

    def _declare(
        self, statement: ast.Input | ast.Target, place: Place, declared: list[Value]
    ) -> None:
        """An `input` or `target`; names that first occur in its shape become sizes."""
        name = statement.name
        if not place.is_network:
            what = "input" if isinstance(statement, ast.Input) else "target"
            message = f"`{what}` stands in a network, not in a block"
            help = "a block reads the value it is applied to as `in`"
            raise Failed(Diagnostic("E215", message, statement.span, help=help))
        place.names.values[name.text] = POISON
        dtype = statement.dtype
        if dtype.text not in DTYPES:
            help = did_you_mean(dtype.text, DTYPES)
            raise Failed(Diagnostic("E210", f"unknown element type `{dtype.text}`", dtype.span, help=help))
        shape = tuple(self._dimension(dim, place) for dim in statement.dims)
        value = Value(name.text, Type(dtype.text, shape), statement.span)  # type: ignore[arg-type]  checked above
        declared.append(value)
        self._define(name, value, place)

    def _dimension(self, expression: ast.Expression, place: Place) -> Dim:
        for variable in _variables(expression):
            place.names.values.setdefault(variable.name, size(variable.name))
            place.defined.setdefault(variable.name, variable.span)
        dim = evaluate(expression, place.names)
        if isinstance(dim, bool) or not isinstance(dim, int | Symbolic):
            raise Failed(Diagnostic("E205", f"a size cannot be {text_of(dim)}", expression.span))
        if isinstance(dim, int) and dim < 1:
            raise Failed(Diagnostic("E206", f"a size must be at least 1, but is {dim}", expression.span))
        return dim

    def _head(self, statement: ast.Head, place: Place) -> None:
        name = statement.name
        if not place.is_network:
            message = "a head stands in a network, not in a block"
            raise Failed(Diagnostic("E215", message, statement.span))
        if statement.pipeline is None:
            value = place.names.values.get(name.text)
            if isinstance(value, Poison):
                return
            if not isinstance(value, Value):
                known = [each for each, v in place.names.values.items() if isinstance(v, Value)]
                message = f"there is no value named `{name.text}` to be a head"
                raise Failed(Diagnostic("E201", message, name.span, help=did_you_mean(name.text, known)))
        else:
            before = place.current
            try:
                (value,) = self._named_pipeline((name,), statement.pipeline, place)
            finally:
                place.current = before  # a head never moves the current value
        if any(head.name == name.text for head in self.heads):
            raise Failed(Diagnostic("E211", f"there are two heads named `{name.text}`", name.span))
        if isinstance(value, Value):
            mode: Mode = statement.mode or "both"  # type: ignore[assignment]  the grammar's two words
            self.heads.append(Head(name.text, value, mode, statement.span))

    def _if(self, statement: ast.If, place: Place) -> None:
        condition = evaluate(statement.condition, place.names)
        if not isinstance(condition, bool):
            message = f"a condition is true or false, not {text_of(condition)}"
            raise Failed(Diagnostic("E216", message, statement.condition.span))
        if condition:
            self._inline(statement.then, place)
        elif isinstance(statement.otherwise, ast.Body):
            self._inline(statement.otherwise, place)
        elif statement.otherwise:
            self._if(statement.otherwise, place)

    def _inline(self, body: ast.Body, place: Place) -> None:
        """Runs a brace whose layers belong to the scope around it; its names are its own."""
        inner = Place(place.names.inner(place.names.entry), place.scope, place.current)
        self._run(body.statements, inner)
        place.current = inner.current

    def _flow(self, statement: ast.Flow, place: Place) -> None:
        if statement.names:
            self._named_pipeline(statement.names, statement.pipeline, place)
            return
        steps: list[Layer | Scope] = []
        results = self._pipeline(statement.pipeline, place, steps, Naming(place.scope))
        if steps and _sound(results):
            place.scope.add_line(steps, results)

    def _named_pipeline(
        self, names: tuple[ast.Name, ...], pipeline: ast.Pipeline, place: Place
    ) -> tuple[Value | Poison, ...]:
        """`name = …`: one owner of weights takes the name as its own, several share it as scope."""
        placed_before = len(self.layers)
        label = place.scope.path(names[0].text)
        stages = placing_stages(pipeline, _value_names(place.names))
        owners = owning_stages(stages)
        steps: list[Layer | Scope] = []
        results: tuple[Value | Poison, ...] = (POISON,)
        try:
            if len(names) > 1:
                results = self._pipeline(pipeline, place, steps, Naming(place.scope))
            elif is_single(stages) or len(owners) <= 1 and all(
                isinstance(stage, ast.Call) for stage in stages
            ):
                owner = (owners or stages or [None])[0] if owners or len(stages) == 1 else None
                results = self._pipeline(pipeline, place, steps, Naming(place.scope, label, owner))
            else:
                scope = Scope("named", label, None)
                inner = Place(place.names, OpenScope(scope, set()), place.current)
                inner_steps: list[Layer | Scope] = []
                results = self._pipeline(pipeline, inner, inner_steps, Naming(inner.scope))
                if _sound(results):
                    inner.scope.add_line(inner_steps, results)
                    scope.entry, scope.results = _entry(scope), results
                    steps.append(scope)
                place.current = inner.current
        except Failed as failure:
            self._tell(failure)
            place.current = POISON
        except Poisoned:
            place.current = POISON
        if not _sound(results):
            results = (POISON,) * len(names)
        elif len(names) > len(results):
            message = f"{len(names)} names for {len(results)} result{'s' * (len(results) > 1)}"
            self._report(Diagnostic("E213", message, names[len(results)].span))
            results = (POISON,) * len(names)
        new = {id(result) for layer in self.layers[placed_before:] for result in layer.results}
        for name, value in zip(names, results, strict=False):
            self._define(name, value, place)
            if id(value) in new and isinstance(value, Value):
                self._rename(value, place.scope.path(name.text), placed_before)
        if steps and _sound(results):
            place.scope.add_line(steps, results, tuple(name.text for name in names))
        return results[: len(names)]

    def _rename(self, value: Value, name: str, placed_before: int) -> None:
        """Gives a value the spec's name, which the layer that owns the weights may also have."""
        for layer in self.layers[placed_before:]:
            for result in layer.results:
                if result.name == name and result is not value:
                    result.name = f"{name}.{layer.op.name}"
        value.name = name

    # ---- pipelines

    def _pipeline(
        self,
        pipeline: ast.Pipeline,
        place: Place,
        steps: list[Layer | Scope],
        naming: Naming,
    ) -> tuple[Any, ...]:
        """Runs the stages; the last one's results, of which the first becomes the current value.

        A stage that fails poisons those after it, which are then only looked over for misspelt
        names.
        """
        results: tuple[Value | Poison, ...] = (POISON,)
        for index, stage in enumerate(pipeline.stages):
            if index and isinstance(place.current, Poison):
                self._look_over(stage)
                continue
            try:
                results = self._stage(stage, place, steps, naming, first=index == 0)
                place.current = results[0]
            except Failed as failure:
                self._tell(failure)
                results, place.current = (POISON,), POISON
            except Poisoned:
                results, place.current = (POISON,), POISON
        return (POISON,) if isinstance(place.current, Poison) else results

    def _stage(
        self,
        stage: ast.Stage,
        place: Place,
        steps: list[Layer | Scope],
        naming: Naming,
        first: bool,
    ) -> tuple[Value | Poison, ...]:
        match stage:
            case ast.Incoming():
                if not first:
                    message = "`in` begins a pipeline; it cannot stand behind `->`"
                    raise Failed(Diagnostic("E215", message, stage.span))
                return (evaluate(stage, place.names),)
            case ast.Call():
                bound_value = place.names.values.get(stage.name.text)
                if stage.arguments is None and isinstance(bound_value, Value | Poison):
                    return (self._read(stage, bound_value, first),)
                entry = self._entering(place, stage.name.span)
                if stage.name.text in self.blocks:
                    return self._block(stage, entry, place, steps, naming)
                return self._operator(stage, entry, place, steps, naming)
            case ast.Join():
                entry = self._entering(place, stage.kind.span)
                return self._join(stage, entry, place, steps, naming)
            case ast.Residual():
                entry = self._entering(place, stage.span)
                return self._residual(stage, entry, place, steps, naming)
            case ast.Repeat():
                entry = self._entering(place, stage.span)
                return self._repeat(stage, entry, place, steps, naming)

    def _read(self, stage: ast.Call, value: Value | Poison, first: bool) -> Value | Poison:
        """A value by its name, which can only begin a pipeline."""
        if first:
            return value
        name = stage.name.text
        message = f"`{name}` is a value; behind `->` comes an operator, a block or a join"
        help = f"begin a pipeline with it, or join it: `concat {{ in {name} }}`"
        raise Failed(Diagnostic("E215", message, stage.span, help=help))

    def _entering(self, place: Place, span: Span) -> Value:
        if isinstance(place.current, Poison):
            raise Poisoned
        if place.current is None:
            if not self.inputs:
                message, help = "there is no value yet", "declare an `input` first"
            else:
                names = ", ".join(f"`{value.name}`" for value in self.inputs)
                message = "with several inputs there is no current value"
                help = f"begin with one of {names}"
            raise Failed(Diagnostic("E212", message, span, help=help))
        return place.current

    def _look_over(self, stage: ast.Stage) -> None:
        """Reports misspelt names in a stage that cannot be placed."""
        if not isinstance(stage, ast.Call) or stage.name.text in self.blocks:
            return
        declared = Op.registry.get(stage.name.text)
        if declared is None:
            self._report(self._unknown(stage.name))
            return
        known = [entry.name for entry in declared.signature()[1:]]
        for argument in stage.arguments or ():
            if argument.name and argument.name.text not in known:
                name = argument.name
                message = f"operator `{declared.name}` has no argument `{name.text}`"
                help = did_you_mean(name.text, known)
                self._report(Diagnostic("E203", message, name.span, help=help))

    def _unknown(self, name: ast.Name) -> Diagnostic:
        known = [*Op.registry, *self.blocks]
        message = f"there is no operator or block `{name.text}`"
        return Diagnostic("E202", message, name.span, help=did_you_mean(name.text, known))

    # ---- operators

    def _operator(
        self,
        stage: ast.Call,
        entry: Value,
        place: Place,
        steps: list[Layer | Scope],
        naming: Naming,
    ) -> tuple[Value, ...]:
        declared = Op.registry.get(stage.name.text)
        if declared is None:
            raise Failed(self._unknown(stage.name))
        call = Call(stage.name, stage.arguments or (), f"operator `{declared.name}`")
        bound = bind(declared, call, place.names, entry)
        path = naming.path(stage, declared.name)
        results = self._place(declared(**bound.fields), path, stage.span, steps, bound)
        self.layers[-1].mentions = _mentions(stage)
        return results

    def _place(
        self,
        op: Op,
        path: str,
        span: Span,
        steps: list[Layer | Scope],
        bound: Bound | None = None,
        branches: tuple[Span, ...] = (),
    ) -> tuple[Value, ...]:
        """Puts an operator into the network, once its rule has accepted it."""
        try:
            result_types = self._with_own_sizes(op, op.results())
        except Reject as reject:
            raise Failed(_rejection(reject, op, span, bound, branches)) from None
        if len(self.layers) >= MAXIMUM_LAYERS:
            message = f"the network has more than {MAXIMUM_LAYERS:,} layers"
            raise Failed(Diagnostic("E217", message, span))
        layer = Layer(path, op, span)
        layer.results = tuple(
            Value(path if index == 0 else f"{path}.{index}", result_type, span, layer, index)
            for index, result_type in enumerate(result_types)
        )
        self.layers.append(layer)
        steps.append(layer)
        return layer.results

    def _with_own_sizes(self, op: Op, result_types: tuple[Type, ...]) -> tuple[Type, ...]:
        """Gives sizes that the data decides a name of their own, so that no two are confused."""
        seen = {each for value in op.reads() for dim in value.type.shape for each in sizes(dim)}
        renamed: dict[str, Dim] = {}
        for result_type in result_types:
            for dim in result_type.shape:
                for each in sizes(dim) - seen:
                    if each.from_data and each.name not in renamed:
                        renamed[each.name] = self._own_size(each)
        if not renamed:
            return result_types
        return tuple(
            Type(each.dtype, tuple(substitute(dim, renamed) for dim in each.shape), each.pooled_from)
            for each in result_types
        )

    def _own_size(self, wanted: Size) -> Dim:
        name, number = wanted.name, 1
        while name in self.data_sizes:
            number += 1
            name = f"{wanted.name}{number}"
        self.data_sizes.add(name)
        return size(name, from_data=True)

    # ---- blocks

    def _block(
        self,
        stage: ast.Call,
        entry: Value,
        place: Place,
        steps: list[Layer | Scope],
        naming: Naming,
    ) -> tuple[Value | Poison, ...]:
        block = self.blocks[stage.name.text]
        self._guard_depth(stage)
        signature = self._signature(block.parameters)
        call = Call(stage.name, stage.arguments or (), f"block `{block.name.text}`")
        arguments = bind_fields(signature, call, place.names).fields
        self._spend(stage.span)
        path = naming.path(stage, block.name.text)
        defaults = {each.name: each.default for each in signature if not each.required}
        scope = Scope(
            "block", path, entry, block.name.text, arguments, defaults, mentions=_mentions(stage)
        )
        names = Names(dict(arguments), entry, BUILD_FUNCTIONS)
        inner = Place(names, OpenScope(scope, names_given(block.statements)), entry)
        self.calls.append((block.name.text, stage.span))
        try:
            self._run(block.statements, inner)
        finally:
            self.calls.pop()
        return self._close(scope, inner.current, steps)

    def _guard_depth(self, stage: ast.Call) -> None:
        """Refuses a block that comes to call itself, and nests that are too deep to be meant."""
        name = stage.name.text
        active = [each for each, _ in self.calls]
        if name in active:
            cycle = " -> ".join([*active[active.index(name) :], name])
            message = f"block `{name}` calls itself: {cycle}"
            raise Failed(Diagnostic("E214", message, stage.span, help="use `repeat`"))
        if len(active) >= MAXIMUM_BLOCK_DEPTH:
            message = f"blocks are nested more than {MAXIMUM_BLOCK_DEPTH} deep"
            raise Failed(Diagnostic("E217", message, stage.span))

    def _signature(self, parameters: tuple[ast.Parameter, ...]) -> list[Field]:
        """The parameters of a block or network; defaults are constants."""
        signature = []
        for parameter in parameters:
            kind = _PARAMETER_TYPES.get(parameter.type.text)
            if kind is None:
                message = f"there is no parameter type `{parameter.type.text}`"
                help = did_you_mean(parameter.type.text, _PARAMETER_TYPES)
                raise Failed(Diagnostic("E205", message, parameter.type.span, help=help))
            required = parameter.default is None
            field = Field(
                parameter.name.text,
                kind,
                f"a parameter of type {parameter.type.text}",
                is_operand=False,
                required=required,
                default=None,
            )
            if parameter.default is not None:
                value = evaluate(parameter.default, Names())
                what = f"the default of `{field.name}`"
                default = coerce(value, field, parameter.default.span, what)
                field = dataclasses.replace(field, default=default)
            signature.append(field)
        return signature

    def _close(
        self, scope: Scope, result: Current, steps: list[Layer | Scope]
    ) -> tuple[Value | Poison, ...]:
        if not isinstance(result, Value):
            return (POISON,)
        scope.results = (result,)
        if scope.lines:
            steps.append(scope)
        return (result,)

    # ---- braces

    def _brace(
        self,
        kind: Any,
        path: str,
        body: ast.Body,
        entry: Value,
        place: Place,
        steps: list[Layer | Scope],
        values: dict[str, Any] | None = None,
    ) -> Value | Poison:
        """Runs a brace as a scope of its own; a single stage in it takes the scope's name."""
        names = place.names.inner(entry)
        names.values.update(values or {})
        only = body.statements[0] if len(body.statements) == 1 else None
        if isinstance(only, ast.Flow) and not only.names:
            stages = placing_stages(only.pipeline, _value_names(names))
            if is_single(stages):
                inner = Place(names, place.scope, entry)
                naming = Naming(place.scope, path, stages[0])
                (result, *_) = self._pipeline(only.pipeline, inner, steps, naming)
                return result  # type: ignore[no-any-return]
        scope = Scope(kind, path, entry)
        inner = Place(names, OpenScope(scope, names_given(body.statements)), entry)
        self._run(body.statements, inner)
        (result,) = self._close(scope, inner.current, steps)
        return result

    def _join(
        self,
        stage: ast.Join,
        entry: Value,
        place: Place,
        steps: list[Layer | Scope],
        naming: Naming,
    ) -> tuple[Value, ...]:
        kind = stage.kind.text
        if stage.arguments:
            message = f"`{kind}` takes no arguments"
            raise Failed(Diagnostic("E203", message, stage.arguments[0].span))
        if len(stage.branches) < 2:
            message = f"`{kind}` joins at least two branches, but has {len(stage.branches)}"
            help = "each line inside is one branch; `in` is the entering value itself"
            raise Failed(Diagnostic("E204", message, stage.kind.span, help=help))
        results = [
            self._brace("branch", place.scope.count("branch"), branch, entry, place, steps)
            for branch in stage.branches
        ]
        values = tuple(result for result in results if isinstance(result, Value))
        if len(values) < len(results):
            raise Poisoned
        path = naming.path(stage, kind)
        spans = tuple(branch.span for branch in stage.branches)
        op = Op.registry[kind](xs=values)  # type: ignore[call-arg]  every join has this operand
        return self._place(op, path, stage.kind.span, steps, branches=spans)

    def _residual(
        self,
        stage: ast.Residual,
        entry: Value,
        place: Place,
        steps: list[Layer | Scope],
        naming: Naming,
    ) -> tuple[Value, ...]:
        """The body's layers belong to the scope around it; a shortcut is a scope of its own."""
        if steps:
            place.scope.add_line(list(steps), (entry,))
            steps.clear()
        inner = Place(place.names.inner(entry), place.scope, entry)
        self._run(stage.body.statements, inner)
        shortcut: Value | Poison = entry
        shortcut_span = stage.span
        if stage.shortcut and self._wants(stage.shortcut, entry, place):
            path = place.scope.unique("shortcut")
            shortcut = self._brace("shortcut", path, stage.shortcut.body, entry, place, steps)
            shortcut_span = stage.shortcut.body.span
        body = inner.current
        if not isinstance(body, Value) or not isinstance(shortcut, Value):
            raise Poisoned
        path = naming.path(stage, "add")
        head = Span(stage.span.source, stage.span.start, stage.span.start + len("residual"))
        return self._place(
            Add(xs=(body, shortcut)), path, head, steps, branches=(stage.body.span, shortcut_span)
        )

    def _wants(self, shortcut: ast.Shortcut, entry: Value, place: Place) -> bool:
        if shortcut.condition is None:
            return True
        condition = evaluate(shortcut.condition, place.names.inner(entry))
        if not isinstance(condition, bool):
            message = f"a condition is true or false, not {text_of(condition)}"
            raise Failed(Diagnostic("E216", message, shortcut.condition.span))
        return condition

    def _repeat(
        self,
        stage: ast.Repeat,
        entry: Value,
        place: Place,
        steps: list[Layer | Scope],
        naming: Naming,
    ) -> tuple[Value | Poison, ...]:
        start = self._count_of(stage.start, place) if stage.start else 0
        stop = self._count_of(stage.stop, place)
        path = naming.path(stage, "repeat")
        scope = Scope("repeat", path, entry)
        outer = Place(place.names, OpenScope(scope, set()), entry)
        current: Value | Poison = entry
        for index, counter in enumerate(range(start, stop)):
            self._spend(stage.span)
            values = {stage.variable.text: counter} if stage.variable else None
            inner_steps: list[Layer | Scope] = []
            if isinstance(current, Poison):
                break
            current = self._brace(
                "iteration", f"{path}.{index}", stage.body, current, outer, inner_steps, values
            )
            if inner_steps and isinstance(current, Value):
                outer.scope.add_line(inner_steps, (current,))
        return self._close(scope, current, steps)

    def _count_of(self, expression: ast.Expression, place: Place) -> int:
        value = evaluate(expression, place.names)
        if isinstance(value, bool) or not isinstance(value, int):
            message = f"a repeat counts in whole numbers, not {text_of(value)}"
            raise Failed(Diagnostic("E205", message, expression.span))
        if value < 0:
            message = f"a repeat cannot count to {value}"
            raise Failed(Diagnostic("E206", message, expression.span))
        return value

    def _spend(self, span: Span) -> None:
        """Counts expansions, which bounds the time of a spec that places nothing."""
        self.iterations += 1
        if self.iterations > MAXIMUM_LAYERS:
            message = f"blocks and repeats expand to more than {MAXIMUM_LAYERS:,}"
            raise Failed(Diagnostic("E217", message, span))


def _value_names(names: Names) -> set[str]:
    return {name for name, value in names.values.items() if isinstance(value, Value | Poison)}


def _sound(results: tuple[Any, ...]) -> bool:
    return all(isinstance(result, Value) for result in results)


def _entry(scope: Scope) -> Value | None:
    """What a named pipeline reads first."""
    inside = {id(result) for layer in scope.layers() for result in layer.results}
    for layer in scope.layers():
        for value in layer.op.reads():
            if id(value) not in inside:
                return value
    return None


def _variables(expression: ast.Expression) -> list[ast.Variable]:
    """The names in the arithmetic of a size."""
    match expression:
        case ast.Variable():
            return [expression]
        case ast.Chain():
            parts = (expression.first, *(operand for _, operand in expression.rest))
            return [variable for part in parts for variable in _variables(part)]
        case ast.Unary():
            return _variables(expression.operand)
    return []


def _mentions(stage: ast.Call) -> tuple[str, ...]:
    return tuple(
        variable.name
        for argument in stage.arguments or ()
        for variable in _variables(argument.value)
    )


def _rejection(
    reject: Reject, op: Op, span: Span, bound: Bound | None, branches: tuple[Span, ...]
) -> Diagnostic:
    """A rule's refusal, at its place in the text and with where the operands came from."""
    subject = f"`{op.name}` " if reject.message.startswith("needs ") else f"`{op.name}`: "
    at = reject.at or ""
    place = bound.spans.get(at, span) if bound else span
    label, notes = "", []
    if at.startswith("xs."):
        index = int(at.removeprefix("xs."))
        place, label = branches[index], _described(op.reads()[index])
        if index:
            notes.append(Note(_described(op.reads()[0]), branches[0]))
    else:
        for value in op.reads()[:1]:
            if value.span:
                notes.append(Note(f"the value that enters is {value.type}", value.span))
    return Diagnostic(
        reject.code, subject + reject.message, place, label, tuple(notes), reject.help
    )


def _described(value: Value) -> str:
    return f"this branch is {value.type}"

