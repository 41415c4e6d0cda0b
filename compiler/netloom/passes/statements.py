"""The statements of networks and blocks."""

from netloom.diagnostics import Diagnostic, Failed, Note, unknown_name
from netloom.ir.dims import Dim, Symbolic, size
from netloom.ir.dims import evaluate as evaluate_dim
from netloom.ir.equality import Proved, equal, less_or_equal
from netloom.ir.graph import Head, Layer, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import DTYPES, Type
from netloom.passes.binding import variables_in
from netloom.passes.construction import Construction, Instance, Place, Requirement, Results, Visit
from netloom.passes.expressions import (
    POISON,
    Poison,
    Poisoned,
    Settled,
    evaluate,
    names_in,
    text_of,
    truth_of,
)
from netloom.passes.replay import Expanded, Key
from netloom.passes.scopes import Naming, OpenScope, namesake, placing_stages, shares_name
from netloom.passes.stages import Stages
from netloom.syntax import ast


class Statements:
    """Runs the statements of one network, and those of the blocks that it calls."""

    def __init__(self, construction: Construction, expanded: dict[Key, Expanded]) -> None:
        self.construction = construction
        self.stages = Stages(construction, self.run, expanded)

    def run(self, statements: tuple[ast.Statement, ...], place: Place) -> None:
        """Runs statements one after the other; a mistake in one does not stop the next."""
        for index, statement in enumerate(statements):
            before = place.current
            if isinstance(statement, ast.Return):
                self._return(statement, place, is_last=index == len(statements) - 1)
                continue
            try:
                self._statement(statement, place)
                continue
            except Failed as failure:
                self.construction.tell(failure)
            except Poisoned:
                self.construction.failed = True
            moves = isinstance(statement, ast.Input | ast.If | ast.Flow)
            place.current = POISON if moves else before

    def _statement(self, statement: ast.Statement, place: Place) -> None:
        match statement:
            case ast.Input():
                if isinstance(place.role, Visit):
                    self._receive(statement, place, place.role)
                    return
                inputs = self.construction.inputs
                self._declare(statement, place, inputs)
                place.current = inputs[0] if len(inputs) == 1 else None
            case ast.Target():
                if not isinstance(place.role, Visit):
                    self._declare(statement, place, self.construction.targets)
            case ast.Head():
                self._head(statement, place)
            case ast.Require():
                self._require(statement, place)
            case ast.Let():
                self._let(statement, place)
            case ast.Share():
                self._share(statement, place)
            case ast.If():
                self._if(statement, place)
            case ast.Flow():
                self._flow(statement, place)

    def _define(self, name: ast.Name, value: object, place: Place) -> None:
        if name.text in place.defined:
            note = Note("it already stands for this", place.defined[name.text])
            message = f"the name `{name.text}` is used twice"
            help = "give one of them another name; a line that only goes on needs none"
            self.construction.report(Diagnostic("E211", message, name.span, "", (note,), help))
            return
        place.defined[name.text] = name.span
        place.names.values[name.text] = value

    def _declare(
        self, statement: ast.Input | ast.Target, place: Place, declared: list[Value]
    ) -> None:
        """An `input` or `target`; names that first occur in its shape become sizes."""
        name, dtype = statement.name, statement.dtype
        if place.role != "network" or place.in_brace:
            what = "input" if isinstance(statement, ast.Input) else "target"
            message = f"`{what}` stands in the network itself, not in a block or brace"
            help = "a block reads the value it is applied to as `in`"
            raise Failed(Diagnostic("E215", message, statement.span, help=help))
        if name.text in place.defined:
            self._define(name, POISON, place)
            return
        place.names.values[name.text] = POISON
        element = DTYPES.get(dtype.text)
        if element is None:
            message = f"unknown element type `{dtype.text}`"
            raise Failed(unknown_name("E210", message, dtype.span, dtype.text, DTYPES))
        shape = tuple(self._dimension(dim, place) for dim in statement.dims)
        value = Value(name.text, Type(element, shape), statement.span)
        declared.append(value)
        self._define(name, value, place)

    def _dimension(self, expression: ast.Expression, place: Place) -> Dim:
        for variable in variables_in(expression):
            if variable.name not in place.names.values:
                place.names.values[variable.name] = size(variable.name)
                place.defined[variable.name] = variable.span
        dim = evaluate(expression, place.names)
        if isinstance(dim, bool) or not isinstance(dim, int | Symbolic):
            raise Failed(Diagnostic("E205", f"a size cannot be {text_of(dim)}", expression.span))
        if isinstance(dim, int) and dim < 1:
            message = f"a size must be at least 1, but is {dim}"
            raise Failed(Diagnostic("E206", message, expression.span))
        return dim

    def _receive(self, statement: ast.Input, place: Place, visit: Visit) -> None:
        """An `input` of a network that is called: the value that the call gives it."""
        name = statement.name
        value = visit.inputs[name.text]
        shape, given = statement.dims, value.type.shape
        fits = value.type.dtype == statement.dtype.text and len(shape) == len(given)
        if not fits or not all(
            self._matches(dim, size, place) for dim, size in zip(shape, given, strict=True)
        ):
            wanted = statement.span.source.text[statement.dtype.span.start : statement.span.end]
            message = f"the network takes `{wanted}`, but `{value.name}` is {value.type}"
            help = "each call of a network gives it a value of that form"
            raise Failed(Diagnostic("E208", message, statement.span, help=help))
        self._define(name, value, place)
        inputs = list(visit.inputs.values())
        place.current = value if len(inputs) == 1 else None

    def _matches(self, expression: ast.Expression, given: Dim, place: Place) -> bool:
        """Whether a size is of the declared form; a name that is new in it takes what is left."""
        known = place.names.values
        new = [each.name for each in variables_in(expression) if each.name not in known]
        for name in new:
            known[name] = size(name)
        declared = evaluate(expression, place.names)
        if len(set(new)) == 1 and isinstance(declared, Symbolic):
            zero = evaluate_dim(declared, {new[0]: 0})
            slope = evaluate_dim(declared, {new[0]: 1}) - zero
            if not isinstance(slope, int) or slope < 1:
                return False
            known[new[0]] = (given - zero) // slope
            if not isinstance(less_or_equal(1, known[new[0]]), Proved):
                return False
            declared = evaluate(expression, place.names)
        elif new:
            return False
        return isinstance(equal(declared, given), Proved)

    def _head(self, statement: ast.Head, place: Place) -> None:
        name = statement.name
        if isinstance(place.role, Visit):
            self._head_of_called(statement, place, place.role)
            return
        if place.role != "network":
            message = "a head stands in the network itself, not in a block or brace"
            raise Failed(Diagnostic("E215", message, statement.span))
        for head in self.construction.heads:
            if head.name == name.text:
                message = f"there are two heads named `{name.text}`"
                note = Note("the first one is here", head.span)
                help = "the outputs of a network are known by the names of its heads"
                raise Failed(Diagnostic("E211", message, name.span, "", (note,), help))
        if statement.pipeline is None:
            value = self._value_for_head(name, place)
        else:
            before = place.current
            (value,) = self._named_pipeline((name,), statement.pipeline, place)
            place.current = before  # a head never moves the current value
        if isinstance(value, Poison):
            self.construction.failed = True
        else:
            mode = statement.mode or "both"
            self.construction.heads.append(Head(name.text, value, mode, statement.span))

    def _head_of_called(self, statement: ast.Head, place: Place, visit: Visit) -> None:
        """A head of a network that is called; one for training only is left out."""
        if statement.mode == "train":
            return
        if statement.pipeline is None:
            visit.heads[statement.name.text] = self._value_for_head(statement.name, place)
            return
        before = place.current
        (value,) = self._named_pipeline((statement.name,), statement.pipeline, place)
        place.current = before
        visit.heads[statement.name.text] = value

    def _value_for_head(self, name: ast.Name, place: Place) -> Value | Poison:
        value = place.names.values.get(name.text)
        if isinstance(value, Value | Poison):
            return value
        message = f"there is no value named `{name.text}` here"
        known = place.names.tensor_names()
        raise Failed(unknown_name("E201", message, name.span, name.text, known, known))

    def _require(self, statement: ast.Require, place: Place) -> None:
        if self.construction.visiting:
            return  # what a network promises of itself is checked where it stands alone
        self.construction.spend(statement.span)
        names = place.names.as_they_are(set(names_in(statement.condition)))
        notes = self.construction.call_chain()
        requirement = Requirement(statement.condition, names, statement.span, notes)
        self.construction.requirements.append(requirement)

    def _let(self, statement: ast.Let, place: Place) -> None:
        self.construction.spend(statement.span)
        try:
            value = evaluate(statement.value, place.names)
        except (Failed, Poisoned):
            self._define(statement.name, POISON, place)
            raise
        self._define(statement.name, value, place)

    def _if(self, statement: ast.If, place: Place) -> None:
        chosen: ast.Body | ast.If | None = statement
        while isinstance(chosen, ast.If):
            self.construction.spend(chosen.span)
            holds = truth_of(chosen.condition, place.names)
            chosen = chosen.then if holds else chosen.otherwise
        if chosen is not None:
            self._inline(chosen, place)

    def _inline(self, body: ast.Body, place: Place) -> None:
        """Runs a brace whose layers belong to the scope around it; its names are its own."""
        inner = place.inside(place.names.inner(place.names.entry), place.scope, place.current)
        inner.role = place.role if place.role != "block" else "brace"
        self.run(body.statements, inner)
        place.current = inner.current

    def _share(self, statement: ast.Share, place: Place) -> None:
        call = statement.call
        definition = place.module.definitions.get(call.name.text)
        place.names.values[statement.name.text] = POISON
        if call.name.text in place.module.damaged:
            raise Poisoned
        if definition is None and call.name.text not in Op.registry:
            raise Failed(self.stages.calls.unknown(call, place))
        if call.head:
            message = "what is shared is the whole network; choose the head where it is called"
            raise Failed(Diagnostic("E215", message, call.head.span))
        self.stages.calls.look_over(call, place)
        # Its arguments mean what they mean here, wherever it is called.
        settled = tuple(
            ast.Argument(
                each.name,
                Settled(evaluate(each.value, place.names), each.value.span),  # type: ignore[arg-type]
                each.span,
            )
            for each in call.arguments or ()
        )
        call = call._replace(arguments=settled)
        instance = Instance(statement.name.text, call, definition, place.scope)
        self._define(statement.name, instance, place)

    def _return(self, statement: ast.Return, place: Place, is_last: bool) -> None:
        """`return a, b`, which ends a block."""
        try:
            if place.role != "block" or not is_last:
                message = "`return` is the last statement of a block"
                help = "a network names its outputs by `head`" if place.role == "network" else None
                raise Failed(Diagnostic("E215", message, statement.span, help=help))
            place.returned = tuple(self._value_for_head(name, place) for name in statement.names)
        except Failed as failure:
            self.construction.tell(failure)
            place.returned = tuple(POISON for _ in statement.names)

    def _flow(self, statement: ast.Flow, place: Place) -> None:
        if statement.names:
            self._named_pipeline(statement.names, statement.pipeline, place)
            return
        steps: list[Layer | Scope] = []
        naming = Naming(place.scope)
        results = self.stages.pipeline(statement.pipeline, place, steps, naming)
        if steps:
            place.scope.add_line(steps, _sound(results))

    def _named_pipeline(
        self, names: tuple[ast.Name, ...], pipeline: ast.Pipeline, place: Place
    ) -> Results:
        """`name = …`: the name goes to what the pipeline places, and to its result."""
        placed_before = len(self.construction.layers)
        steps: list[Layer | Scope] = []
        paths = [place.scope.claim(name.text, place.in_brace) for name in names]
        results = self._placed(paths, pipeline, place, steps)
        if len(names) > len(results) and not isinstance(results[0], Poison):
            found = f"{len(results)} result{'s' if len(results) > 1 else ''}"
            message = f"{len(names)} names for {found}"
            self.construction.report(Diagnostic("E213", message, names[len(results)].span))
        results = (*results, *(POISON for _ in names))[: len(names)]
        new = self.construction.layers[placed_before:]
        made = {id(result) for layer in new for result in layer.results}
        for name, path, value in zip(names, paths, results, strict=True):
            self._define(name, value, place)
            if isinstance(value, Value) and id(value) in made:
                _rename(value, path, new)
        if steps:
            texts = tuple(name.text for name in names)
            place.scope.add_line(steps, _sound(results), texts)
        return results

    def _placed(
        self,
        paths: list[str],
        pipeline: ast.Pipeline,
        place: Place,
        steps: list[Layer | Scope],
    ) -> Results:
        """Runs a named pipeline under its name: as one layer's own, or as a scope of several."""
        if len(paths) > 1:
            return self.stages.pipeline(pipeline, place, steps, Naming(place.scope))
        (label,) = paths
        stages = placing_stages(pipeline, place)
        calls = [stage for stage in pipeline.stages if isinstance(stage, ast.Call)]
        if len(stages) > 1 and any(place.is_shared(call.name.text) for call in calls):
            # What is shared stands in the network itself, so the others do, too.
            return self.stages.pipeline(pipeline, place, steps, Naming(place.scope))
        if not shares_name(stages, place):
            naming = Naming(place.scope, label, namesake(stages, place))
            return self.stages.pipeline(pipeline, place, steps, naming)
        scope = Scope("named", label, None)
        inner = place.inside(place.names, OpenScope(scope), place.current)
        inner_steps: list[Layer | Scope] = []
        results = self.stages.pipeline(pipeline, inner, inner_steps, Naming(inner.scope))
        place.current = inner.current
        if inner_steps:
            inner.scope.add_line(inner_steps, _sound(results))
            scope.entry, scope.results = _first_read(scope), _sound(results)[:1]
            steps.append(scope)
        return results


def _sound(results: Results) -> tuple[Value, ...]:
    return tuple(result for result in results if isinstance(result, Value))


def _first_read(scope: Scope) -> Value | None:
    """What a named pipeline reads first: the value that enters it."""
    inside = {id(result) for layer in scope.layers() for result in layer.results}
    reads = (value for layer in scope.layers() for value in layer.op.reads())
    return next((value for value in reads if id(value) not in inside), None)


def _rename(value: Value, name: str, layers: list[Layer]) -> None:
    """Gives a value the spec's name, which the layer that owns the weights may also have."""
    for layer in layers:
        for result in layer.results:
            if result.name == name and result is not value:
                result.name = f"{name}.{layer.op.name}"
    value.name = name
