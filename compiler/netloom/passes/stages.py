"""The stages of a pipeline: operators, blocks, joins, residuals, repeats."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from netloom.diagnostics import Diagnostic, Failed, Note, Span, unknown_name
from netloom.ir.graph import Layer, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import shape_text
from netloom.ops.gate import Gate
from netloom.ops.merge import Add, Concat, Mul, projection
from netloom.ops.operands import all_equal, differing_axis
from netloom.passes.binding import (
    Call,
    bind,
    bind_fields,
    input_field,
    mentioned,
    signature_of,
)
from netloom.passes.construction import (
    Construction,
    Home,
    Instance,
    Place,
    Results,
    Visit,
    close,
)
from netloom.passes.expressions import (
    BUILD_FUNCTIONS,
    POISON,
    Names,
    Poison,
    Poisoned,
    evaluate,
    text_of,
    truth_of,
    whole_number_of,
)
from netloom.passes.modules import Definition
from netloom.passes.origins import origins
from netloom.passes.replay import Expanded, Key, key_of
from netloom.passes.scopes import Naming, OpenScope, is_single, placing_stages
from netloom.passes.sharing import pair_weights
from netloom.syntax import ast
from netloom.syntax.grammar import parser

Steps = list[Layer | Scope]

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
        self.expanded = expanded

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
                self.look_over(stage, place)
                continue
            try:
                results = self._stage(stage, place, steps, naming, first=index == 0)
                place.current = results[0]
            except Failed as failure:
                self.construction.tell(failure)
                place.current = POISON
            except Poisoned:
                self.construction.failed = True
                self.look_over(stage, place)
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
                return self._call(stage, place, steps, naming, first)
            case ast.Gate():
                entry = self._entering(place, stage.span)
                return self._gate(stage, entry, place, steps, naming)
            case ast.Join():
                # With several inputs nothing enters; each branch then begins with a name.
                entering = self._entering(place, stage.kind.span) if place.current else None
                return self._join(stage, entering, place, steps, naming)
            case ast.Residual():
                entry = self._entering(place, stage.span)
                return self._residual(stage, entry, place, steps, naming)
            case ast.Repeat():
                entry = self._entering(place, stage.span)
                return (self._repeat(stage, entry, place, steps, naming),)

    def _call(
        self, stage: ast.Call, place: Place, steps: Steps, naming: Naming, first: bool
    ) -> Results:
        """What a name in a pipeline means: a value, something shared, a block, a network, an op."""
        name = stage.name.text
        named = place.names.values.get(name)
        if name in place.module.damaged:
            raise Poisoned
        if stage.arguments is None and isinstance(named, Value | Poison):
            return (_read(stage, named, first),)
        entry = self._entering(place, stage.name.span)
        definition = place.module.definitions.get(name)
        if isinstance(named, Instance):
            found = self._instance(named, stage, entry, place, steps)
        elif definition is None:
            found = self._operator(stage, entry, place, steps, naming, first=first)
        elif isinstance(definition.node, ast.Network):
            instance = self._instance_of(definition, name, place, stage.name.span)
            return self._instance(instance, stage, entry, place, steps)
        else:
            path = naming.path(stage, name)
            found = self._block(definition, stage, entry, place, steps, path)
        if stage.head:
            message = f"`{name}` is no network, so it has no heads to choose from"
            raise Failed(Diagnostic("E215", message, stage.head.span))
        return found

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

    def look_over(self, stage: ast.Stage, place: Place) -> None:
        """Reports misspelt names in a stage that cannot be placed."""
        if not isinstance(stage, ast.Call):
            return
        module, name = place.module, stage.name.text
        if name in module.definitions or name in place.names.values or name in module.damaged:
            return
        declared = Op.registry.get(name)
        if declared is None:
            self.construction.report(self.unknown(stage, place))
            return
        known = [entry.name for entry in declared.signature()[1:]]
        for argument in stage.arguments or ():
            if argument.name and argument.name.text not in known:
                wrong = argument.name
                message = f"operator `{declared.name}` has no argument `{wrong.text}`"
                found = unknown_name("E203", message, wrong.span, wrong.text, known)
                self.construction.report(found)

    def unknown(self, call: ast.Call, place: Place, first: bool = False) -> Diagnostic:
        """The report of a name that nothing that can stand there has."""
        name, values = call.name, place.names.values.items()
        given = {*place.module.definitions}
        given |= {each for each, value in values if isinstance(value, Instance)}
        message = f"there is no operator or block `{name.text}`"
        if first and call.arguments is None:
            given |= place.names.tensor_names()
            message = f"there is no operator, block or value `{name.text}`"
        known = {*Op.registry, *given}
        if name.text in parser().words:
            help = f"behind `->` comes an operator; `{name.text}` begins a statement"
            return Diagnostic("E202", f"`->` leads nowhere: {message}", name.span, help=help)
        return unknown_name("E202", message, name.span, name.text, known, given)

    # One method for each kind of stage.

    def _operator(
        self,
        stage: ast.Call,
        entry: Value,
        place: Place,
        steps: Steps,
        naming: Naming,
        pinned: str | None = None,
        first: bool = False,
    ) -> Results:
        declared = Op.registry.get(stage.name.text)
        if declared is None:
            raise Failed(self.unknown(stage, place, first=first))
        call = Call(stage.name, stage.arguments or (), f"operator `{declared.name}`")
        bound = bind(declared, call, place.names, entry)
        path = pinned or naming.path(stage, declared.name)
        layer = self.construction.place(declared(**bound.fields), path, stage.span, bound)
        layer.mentions = mentioned(call)
        steps.append(layer)
        return layer.results

    def _block(
        self,
        definition: Definition,
        stage: ast.Call,
        entry: Value,
        place: Place,
        steps: Steps,
        path: str,
    ) -> Results:
        block, module = definition
        name, construction = block.name.text, self.construction
        signature = signature_of(definition, construction.limits)
        call = Call(stage.name, stage.arguments or (), f"block `{name}`", True)
        arguments = bind_fields(signature, call, place.names).fields
        tensors = {each.name: arguments[each.name] for each in signature if each.is_operand}
        scope = Scope("block", path, entry)
        scope.block, scope.definition = name, id(block)
        scope.mentions, scope.tensors = mentioned(call), tensors
        scope.arguments = {key: v for key, v in arguments.items() if key not in tensors}
        scope.defaults = {each.name: each.default for each in signature if not each.required}
        read = [entry, *tensors.values()]
        key = key_of(block, scope.arguments, read)
        if key in self.expanded:
            copied = self.expanded[key].copy(path, read, construction, stage.span)
            if copied:
                copied.mentions = scope.mentions
                return close(copied, copied.results, steps)
        before = (len(construction.layers), len(construction.requirements), construction.nodes)
        deepest, construction.deepest = construction.deepest, 0
        construction.enter_block(block, stage.span)
        try:
            construction.spend(stage.span)
            names = {**module.constants, **arguments}
            inner = Place(
                Names(names, entry, BUILD_FUNCTIONS, limits=construction.limits),
                OpenScope(scope, block.statements),
                entry,
                module,
                "block",
                place.home,
            )
            inner.defined = {each.name.text: each.name.span for each in block.parameters}
            self.run(block.statements, inner)
        finally:
            construction.leave_block()
        results = close(scope, inner.returned or (inner.current,), steps)
        layers, requirements, nodes = before
        if len(construction.requirements) == requirements and not construction.failed:
            made = Expanded(
                scope,
                construction.layers[layers:],
                read,
                construction.nodes - nodes,
                construction.deepest - construction.depth,
            )
            if scope.lines and made.can_be_copied():
                self.expanded[key] = made
        construction.deepest = max(deepest, construction.deepest)
        return results

    def _instance_of(self, definition: Definition, name: str, place: Place, span: Span) -> Instance:
        """The one instance of a network among the statements of the network that calls it."""
        construction, node = self.construction, definition.node
        caller = construction.callers.setdefault(id(node), place.home.node)
        if caller is not place.home.node:
            message = f"`{name}` is called by two networks, which cannot share its weights"
            help = "call it in one of them, and give the other what it makes as an input"
            raise Failed(Diagnostic("E221", message, span, help=help))
        key = (id(place.home.scope), id(node))
        instance = Instance(name, None, definition, place.home.scope)
        return construction.networks.setdefault(key, instance)

    def _instance(
        self, instance: Instance, stage: ast.Call, entry: Value, place: Place, steps: Steps
    ) -> Results:
        """A call of what is shared: the first one places it, the others use its weights."""
        if place.scope is not instance.owner:
            is_network = instance.called is None
            where = "in the statements of one network" if is_network else "where it is declared"
            message = f"`{instance.name}` is shared, so it can be called only {where}"
            help = "call it there, name the result, and read that name here"
            notes = (
                (Note("its first call is here", instance.first_span),)
                if instance.first_span
                else ()
            )
            raise Failed(Diagnostic("E221", message, stage.name.span, notes=notes, help=help))
        path = place.scope.claim(instance.name)
        placed: Steps = []
        definition, call = instance.definition, stage
        if instance.called:
            arguments = (*(instance.called.arguments or ()), *(stage.arguments or ()))
            call = ast.Call(instance.called.name, arguments, None, stage.span)
        if definition is None:
            naming = Naming(place.scope)
            results = self._operator(call, entry, place, placed, naming, pinned=path)
        elif isinstance(definition.node, ast.Block):
            results = self._block(definition, call, entry, place, placed, path)
        else:
            results = self._network(definition, call, entry, place, placed, path)
        steps += placed
        made = placed[0] if placed else None
        if made and instance.first:
            pair_weights(instance.first, made, instance, stage.span)
        elif made:
            instance.first, instance.first_span = made, stage.span
        if isinstance(definition and definition.node, ast.Network) and stage.head:
            return (self._chosen_head(stage.head, definition, results),)
        return results

    def _network(
        self,
        definition: Definition,
        stage: ast.Call,
        entry: Value,
        place: Place,
        steps: Steps,
        path: str,
    ) -> Results:
        """A network as a part of this one: its heads, without those for training, are results."""
        network, module = definition
        assert isinstance(network, ast.Network)
        name = network.name.text
        self.construction.enter_block(network, stage.span)
        visiting, self.construction.visiting = self.construction.visiting, True
        try:
            self.construction.spend(stage.span)
            declared = [each for each in network.statements if isinstance(each, ast.Input)]
            signature = [
                *(input_field(each) for each in declared[1:]),
                *signature_of(definition, self.construction.limits),
            ]
            call = Call(stage.name, stage.arguments or (), f"network `{name}`", True)
            fields = bind_fields(signature, call, place.names).fields
            inputs = {each.name.text: fields.pop(each.name.text) for each in declared[1:]}
            inputs = {each.name.text: entry for each in declared[:1]} | inputs
            scope = Scope("block", path, entry)
            scope.block, scope.arguments, scope.mentions = name, fields, mentioned(call)
            scope.tensors, scope.definition = inputs, id(network)
            scope.defaults = {each.name: each.default for each in signature if not each.required}
            opened = OpenScope(scope, network.statements)
            inner = Place(
                Names(
                    {**module.constants, **fields},
                    None,
                    BUILD_FUNCTIONS,
                    limits=self.construction.limits,
                ),
                opened,
                None,
                module,
                Visit(inputs),
                Home(opened, module, network),
            )
            self.run(network.statements, inner)
        finally:
            self.construction.visiting = visiting
            self.construction.leave_block()
        assert isinstance(inner.role, Visit)
        if not inner.role.heads:
            raise Poisoned
        return close(scope, tuple(inner.role.heads.values()), steps)

    def _chosen_head(
        self, head: ast.Name, definition: Definition | None, results: Results
    ) -> Value | Poison:
        assert definition
        names = [
            each.name.text
            for each in definition.node.statements
            if isinstance(each, ast.Head) and each.mode != "train"
        ]
        if len(results) != len(names):
            raise Poisoned
        if head.text not in names:
            message = f"network `{definition.node.name.text}` has no head `{head.text}`"
            raise Failed(unknown_name("E201", message, head.span, head.text, names, names))
        return results[names.index(head.text)]

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


def _read(stage: ast.Call, value: Value | Poison, first: bool) -> Value | Poison:
    """A value by its name, which can only begin a pipeline."""
    if first:
        return value
    name = stage.name.text
    message = f"`{name}` is a value; behind `->` comes an operator, a block or a join"
    help = f"begin a pipeline with it, or join it: `concat {{ in {name} }}`"
    raise Failed(Diagnostic("E215", message, stage.span, help=help))
