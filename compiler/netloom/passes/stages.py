"""The stages of a pipeline: operators, blocks, joins, residuals, repeats."""

from collections.abc import Callable
from typing import Any, Literal

from netloom.diagnostics import Diagnostic, Failed, Note, Span, did_you_mean
from netloom.ir.graph import Layer, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import shape_text
from netloom.ops.merge import Add, Concat, Mul, projection
from netloom.ops.operands import all_equal
from netloom.passes.binding import Call, bind, bind_fields, mentioned, parameter_signature
from netloom.passes.construction import Construction, Place, Results, close
from netloom.passes.expressions import (
    BUILD_FUNCTIONS,
    POISON,
    Names,
    Poison,
    Poisoned,
    evaluate,
    truth_of,
    whole_number_of,
)
from netloom.passes.scopes import Naming, OpenScope, is_single, names_given, placing_stages
from netloom.syntax import ast

Steps = list[Layer | Scope]

JOINS: dict[str, type[Concat] | type[Add] | type[Mul]] = {"concat": Concat, "add": Add, "mul": Mul}


class Stages:
    """Runs pipelines; `run` runs the statements of a brace."""

    def __init__(
        self,
        construction: Construction,
        run: Callable[[tuple[ast.Statement, ...], Place], None],
    ) -> None:
        self.construction = construction
        self.run = run

    def pipeline(
        self, pipeline: ast.Pipeline, place: Place, steps: Steps, naming: Naming
    ) -> Results:
        """Runs the stages; the last one's results, of which the first becomes the current value.

        A stage that fails poisons those after it, which are then only looked over for misspelt
        names.
        """
        results: Results = (POISON,)
        for index, stage in enumerate(pipeline.stages):
            if index and isinstance(place.current, Poison):
                self._look_over(stage)
                continue
            try:
                results = self._stage(stage, place, steps, naming, first=index == 0)
                place.current = results[0]
            except Failed as failure:
                self.construction.tell(failure)
                place.current = POISON
            except Poisoned:
                place.current = POISON
        return (POISON,) if isinstance(place.current, Poison) else results

    def _stage(
        self, stage: ast.Stage, place: Place, steps: Steps, naming: Naming, first: bool
    ) -> Results:
        match stage:
            case ast.Incoming():
                if not first:
                    message = "`in` begins a pipeline; it cannot stand behind `->`"
                    raise Failed(Diagnostic("E215", message, stage.span))
                return (evaluate(stage, place.names),)
            case ast.Call():
                named = place.names.values.get(stage.name.text)
                if stage.arguments is None and isinstance(named, Value | Poison):
                    return (_read(stage, named, first),)
                entry = self._entering(place, stage.name.span)
                if stage.name.text in self.construction.blocks:
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
                return (self._repeat(stage, entry, place, steps, naming),)

    def _entering(self, place: Place, span: Span) -> Value:
        if isinstance(place.current, Poison):
            raise Poisoned
        if place.current is not None:
            return place.current
        inputs = self.construction.inputs
        if not inputs:
            help = "declare an `input` first"
            raise Failed(Diagnostic("E212", "there is no value yet", span, help=help))
        names = ", ".join(f"`{value.name}`" for value in inputs)
        message = "with several inputs there is no current value"
        raise Failed(Diagnostic("E212", message, span, help=f"begin with one of {names}"))

    def _look_over(self, stage: ast.Stage) -> None:
        """Reports misspelt names in a stage that cannot be placed."""
        if not isinstance(stage, ast.Call) or stage.name.text in self.construction.blocks:
            return
        declared = Op.registry.get(stage.name.text)
        if declared is None:
            self.construction.report(self._unknown(stage.name))
            return
        known = [entry.name for entry in declared.signature()[1:]]
        for argument in stage.arguments or ():
            if argument.name and argument.name.text not in known:
                name = argument.name
                message = f"operator `{declared.name}` has no argument `{name.text}`"
                help = did_you_mean(name.text, known)
                self.construction.report(Diagnostic("E203", message, name.span, help=help))

    def _unknown(self, name: ast.Name) -> Diagnostic:
        known = [*Op.registry, *self.construction.blocks]
        message = f"there is no operator or block `{name.text}`"
        return Diagnostic("E202", message, name.span, help=did_you_mean(name.text, known))

    # One method for each kind of stage.

    def _operator(
        self, stage: ast.Call, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Results:
        declared = Op.registry.get(stage.name.text)
        if declared is None:
            raise Failed(self._unknown(stage.name))
        call = Call(stage.name, stage.arguments or (), f"operator `{declared.name}`")
        bound = bind(declared, call, place.names, entry)
        path = naming.path(stage, declared.name)
        layer = self.construction.place(declared(**bound.fields), path, stage.span, bound)
        layer.mentions = mentioned(call)
        steps.append(layer)
        return layer.results

    def _block(
        self, stage: ast.Call, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Results:
        block = self.construction.blocks[stage.name.text]
        name = block.name.text
        self.construction.enter_block(name, stage.span)
        try:
            self.construction.spend(stage.span)
            signature = parameter_signature(block.parameters)
            call = Call(stage.name, stage.arguments or (), f"block `{name}`")
            arguments = bind_fields(signature, call, place.names).fields
            defaults = {each.name: each.default for each in signature if not each.required}
            path = naming.path(stage, name)
            scope = Scope("block", path, entry, name, arguments, defaults, mentions=mentioned(call))
            inner = Place(
                Names(dict(arguments), entry, BUILD_FUNCTIONS),
                OpenScope(scope, names_given(block.statements)),
                entry,
            )
            self.run(block.statements, inner)
        finally:
            self.construction.leave_block()
        return (close(scope, inner.current, steps),)

    def _join(
        self, stage: ast.Join, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Results:
        kind = stage.kind.text
        if stage.arguments:
            message = f"`{kind}` takes no arguments"
            raise Failed(Diagnostic("E203", message, stage.arguments[0].span))
        if len(stage.branches) < 2:
            message = f"`{kind}` joins at least two branches, but has {len(stage.branches)}"
            help = "each line inside is one branch; `in` is the entering value itself"
            raise Failed(Diagnostic("E204", message, stage.kind.span, help=help))
        results = [
            self._brace("branch", naming.path(stage, "branch"), branch, entry, place, steps)
            for branch in stage.branches
        ]
        values = tuple(result for result in results if isinstance(result, Value))
        if len(values) < len(results):
            raise Poisoned
        spans = tuple(branch.span for branch in stage.branches)
        op = JOINS[kind](xs=values)
        layer = self.construction.place(
            op, naming.path(stage, kind), stage.kind.span, branches=spans
        )
        steps.append(layer)
        return layer.results

    def _residual(
        self, stage: ast.Residual, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Results:
        """The body's layers belong to the scope around it; a shortcut is a scope of its own."""
        if steps:
            place.scope.add_line(list(steps), (entry,))
            steps.clear()
        inner = Place(place.names.inner(entry), place.scope, entry)
        self.run(stage.body.statements, inner)
        word = Span(stage.span.source, stage.span.start, stage.span.start + len("residual"))
        shortcut: Value | Poison = entry
        shortcut_span = word
        if stage.shortcut and self._wants(stage.shortcut, entry, place):
            path = place.scope.claim("shortcut")
            shortcut = self._brace("shortcut", path, stage.shortcut.body, entry, place, steps)
            shortcut_span = stage.shortcut.body.span
        if not isinstance(inner.current, Value) or not isinstance(shortcut, Value):
            raise Poisoned
        if shortcut is entry:
            _check_identity(entry, inner.current, stage)
        layer = self.construction.place(
            Add(xs=(inner.current, shortcut)),
            naming.path(stage, "add"),
            word,
            branches=(stage.body.span, shortcut_span),
        )
        steps.append(layer)
        return layer.results

    def _wants(self, shortcut: ast.Shortcut, entry: Value, place: Place) -> bool:
        if shortcut.condition is None:
            return True
        return truth_of(shortcut.condition, place.names.inner(entry))

    def _repeat(
        self, stage: ast.Repeat, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Value | Poison:
        start = whole_number_of(stage.start, place.names) if stage.start else 0
        stop = whole_number_of(stage.stop, place.names)
        self.construction.spend(stage.span, max(0, stop - start))
        path = naming.path(stage, "repeat")
        scope = Scope("repeat", path, entry)
        outer = Place(place.names, OpenScope(scope, set()), entry)
        current: Value | Poison = entry
        for index, counter in enumerate(range(start, stop)):
            if isinstance(current, Poison):
                break
            values = {stage.variable.text: counter} if stage.variable else {}
            iteration: Steps = []
            current = self._brace(
                "iteration", f"{path}.{index}", stage.body, current, outer, iteration, values
            )
            if iteration and isinstance(current, Value):
                outer.scope.add_line(iteration, (current,))
        return close(scope, current, steps)

    def _brace(
        self,
        kind: Literal["branch", "shortcut", "iteration"],
        path: str,
        body: ast.Body,
        entry: Value,
        place: Place,
        steps: Steps,
        values: dict[str, Any] | None = None,
    ) -> Value | Poison:
        """Runs a brace as a scope of its own; a single stage in it takes the scope's name."""
        names = place.names.inner(entry)
        names.values.update(values or {})
        only = body.statements[0] if len(body.statements) == 1 else None
        if isinstance(only, ast.Flow) and not only.names:
            stages = placing_stages(only.pipeline, names.tensor_names())
            if is_single(stages):
                inner = Place(names, place.scope, entry)
                naming = Naming(place.scope, path, stages[0])
                return self.pipeline(only.pipeline, inner, steps, naming)[0]
        scope = Scope(kind, path, entry)
        inner = Place(names, OpenScope(scope, names_given(body.statements)), entry)
        self.run(body.statements, inner)
        return close(scope, inner.current, steps)


def _check_identity(entry: Value, body: Value, stage: ast.Residual) -> None:
    """Refuses to add what enters to a body of another shape, and proposes the projection."""
    if all_equal(entry.type.shape, body.type.shape):
        return
    shapes = f"{shape_text(body.type.shape)}, but {shape_text(entry.type.shape)} enters"
    message = f"the body of this residual gives {shapes}: they cannot be added"
    projected = projection(body, entry)
    help = "give the body the shape of what enters, or project that in a `shortcut { … }`"
    if projected:
        help = f"project what enters: `shortcut {{ {projected} }}` behind the body"
    label = f"this gives {body.type}"
    notes = (Note(f"what enters is {entry.type}", entry.span),)
    raise Failed(Diagnostic("E208", message, stage.body.span, label, notes, help))


def _read(stage: ast.Call, value: Value | Poison, first: bool) -> Value | Poison:
    """A value by its name, which can only begin a pipeline."""
    if first:
        return value
    name = stage.name.text
    message = f"`{name}` is a value; behind `->` comes an operator, a block or a join"
    help = f"begin a pipeline with it, or join it: `concat {{ in {name} }}`"
    raise Failed(Diagnostic("E215", message, stage.span, help=help))
