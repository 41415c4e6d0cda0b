"""The stages of a pipeline: calls, joins, gates, residuals, repeats."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from netloom.diagnostics import Diagnostic, Failed, Note, Span
from netloom.ir.graph import Scope, Value
from netloom.ir.types import shape_text
from netloom.ops.gate import Gate
from netloom.ops.merge import Add, Concat, Mul, projection
from netloom.ops.operands import all_equal, differing_axis
from netloom.passes.calls import Calls, Steps
from netloom.passes.construction import (
    Construction,
    Place,
    Results,
    close,
)
from netloom.passes.expressions import (
    POISON,
    Poison,
    Poisoned,
    evaluate,
    text_of,
    truth_of,
    whole_number_of,
)
from netloom.passes.origins import origins
from netloom.passes.replay import Expanded, Key
from netloom.passes.scopes import Naming, OpenScope, is_single, placing_stages
from netloom.syntax import ast

JOINS: dict[str, type[Concat] | type[Add] | type[Mul]] = {"concat": Concat, "add": Add, "mul": Mul}


class Stages:
    """Runs pipelines; `run` runs the statements of a brace."""

    def __init__(
        self,
        construction: Construction,
        run: Callable[[tuple[ast.Statement, ...], Place], None],
        expanded: dict[Key, Expanded],
    ) -> None:
        self.construction = construction
        self.run = run
        self.calls = Calls(construction, run, expanded)

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
                self.calls.look_over(stage, place)
                continue
            try:
                results = self._stage(stage, place, steps, naming, first=index == 0)
                place.current = results[0]
            except Failed as failure:
                self.construction.tell(failure)
                place.current = POISON
            except Poisoned:
                self.construction.failed = True
                self.calls.look_over(stage, place)
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
                return self.calls.call(stage, place, steps, naming, first)
            case ast.Gate():
                entry = self.calls.entering(place, stage.span)
                return self._gate(stage, entry, place, steps, naming)
            case ast.Join():
                # With several inputs nothing enters; each branch then begins with a name.
                entering = self.calls.entering(place, stage.kind.span) if place.current else None
                return self._join(stage, entering, place, steps, naming)
            case ast.Residual():
                entry = self.calls.entering(place, stage.span)
                return self._residual(stage, entry, place, steps, naming)
            case ast.Repeat():
                entry = self.calls.entering(place, stage.span)
                return (self._repeat(stage, entry, place, steps, naming),)

    def _gate(
        self, stage: ast.Gate, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Results:
        path = naming.path(stage, "gate")
        factor = self._brace("branch", path, stage.body, entry, place, steps)
        if not isinstance(factor, Value):
            raise Poisoned
        word = Span(stage.span.source, stage.span.start, stage.span.start + len("gate"))
        layer = self.construction.place(
            Gate(x=entry, by=factor),
            naming.path(stage, "gate_mul"),
            word,
            branches=(word, stage.body.span),
        )
        layer.unaligned = stage.unaligned
        steps.append(layer)
        return layer.results

    def _join(
        self, stage: ast.Join, entry: Value | None, place: Place, steps: Steps, naming: Naming
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
        layer.unaligned = stage.unaligned
        steps.append(layer)
        return layer.results

    def _residual(
        self, stage: ast.Residual, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Results:
        """The body's layers belong to the scope around it; a shortcut is a scope of its own."""
        if steps:
            place.scope.add_line(list(steps), (entry,))
            steps.clear()
        inner = place.inside(place.names.inner(entry), place.scope, entry)
        self.run(stage.body.statements, inner)
        if stage.condition and not truth_of(stage.condition, place.names.inner(entry)):
            return (inner.current if inner.current is not None else POISON,)
        word = Span(stage.span.source, stage.span.start, stage.span.start + len("residual"))
        shortcut: Value | Poison = entry
        shortcut_span = word
        if stage.shortcut and self._wants(stage.shortcut, entry, place):
            path = place.scope.claim("shortcut", in_brace=True)
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
        layer.unaligned = stage.unaligned
        steps.append(layer)
        return layer.results

    def _wants(self, shortcut: ast.Shortcut, entry: Value, place: Place) -> bool:
        if shortcut.condition is None:
            return True
        return truth_of(shortcut.condition, place.names.inner(entry))

    def _repeat(
        self, stage: ast.Repeat, entry: Value, place: Place, steps: Steps, naming: Naming
    ) -> Value | Poison:
        counters = self._counters(stage, place)
        self.construction.spend(stage.span, len(counters))
        path = naming.path(stage, "repeat")
        scope = Scope("repeat", path, entry)
        outer = place.inside(place.names, OpenScope(scope), entry)
        current: Value | Poison = entry
        for index, counter in enumerate(counters):
            if isinstance(current, Poison):
                break
            values = {stage.variable.text: counter} if stage.variable else {}
            iteration: Steps = []
            current = self._brace(
                "iteration", f"{path}.{index}", stage.body, current, outer, iteration, values
            )
            if iteration and isinstance(current, Value):
                outer.scope.add_line(iteration, (current,))
        return close(scope, (current,), steps)[0]

    def _counters(self, stage: ast.Repeat, place: Place) -> Sequence[Any]:
        """What the variable of a repeat stands for, one after the other."""
        if stage.stop is not None:
            start = whole_number_of(stage.start, place.names) if stage.start else 0
            return range(start, max(start, whole_number_of(stage.stop, place.names)))
        assert stage.start
        items = evaluate(stage.start, place.names)
        if not isinstance(items, tuple):
            message = f"a repeat goes over a list, or from a to b, not over {text_of(items)}"
            help = "`repeat i in 0..4 { … }`, `repeat width in [64, 128] { … }`"
            raise Failed(Diagnostic("E205", message, stage.start.span, help=help))
        return items

    def _brace(
        self,
        kind: Literal["branch", "shortcut", "iteration"],
        path: str,
        body: ast.Body,
        entry: Value | None,
        place: Place,
        steps: Steps,
        values: dict[str, Any] | None = None,
    ) -> Value | Poison:
        """Runs a brace as a scope of its own; a single stage in it takes the scope's name."""
        names = place.names.inner(entry)
        names.values.update(values or {})
        only = body.statements[0] if len(body.statements) == 1 else None
        if isinstance(only, ast.Flow) and not only.names:
            inner = place.inside(names, place.scope, entry)
            stages = placing_stages(only.pipeline, inner)
            if not stages or is_single(stages):
                naming = Naming(place.scope, path, stages[0] if stages else None)
                return self.pipeline(only.pipeline, inner, steps, naming)[0]
        scope = Scope(kind, path, entry)
        inner = place.inside(names, OpenScope(scope, body.statements), entry)
        self.run(body.statements, inner)
        return close(scope, (inner.current,), steps)[0]


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
    notes: tuple[Note, ...] = (Note(f"what enters is {entry.type}", entry.span),)
    axis = differing_axis(body.type.shape, entry.type.shape)
    if axis is not None:
        notes += origins((body, entry), axis, shown=(stage.body.span, entry.span))
    raise Failed(Diagnostic("E208", message, stage.body.span, label, notes, help))
