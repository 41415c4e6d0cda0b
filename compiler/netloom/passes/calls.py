"""What a name in a pipeline stands for: operators, blocks, networks, and what is shared."""

from collections.abc import Callable
from typing import Any

from netloom.diagnostics import Diagnostic, Failed, Note, Span, unknown_name
from netloom.ir.declared import Field
from netloom.ir.graph import Layer, Scope, Value
from netloom.ir.op import Op
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
    Names,
    Poison,
    Poisoned,
)
from netloom.passes.modules import Definition
from netloom.passes.replay import Expanded, Key, key_of
from netloom.passes.scopes import Naming, OpenScope
from netloom.passes.sharing import pair_weights
from netloom.syntax import ast
from netloom.syntax.grammar import parser

Steps = list[Layer | Scope]


class Calls:
    """Carries out the calls of a pipeline; `run` runs the statements of a brace."""

    def __init__(
        self,
        construction: Construction,
        run: Callable[[tuple[ast.Statement, ...], Place], None],
        expanded: dict[Key, Expanded],
    ) -> None:
        self.construction = construction
        self.run = run
        self.expanded = expanded

    def call(
        self, stage: ast.Call, place: Place, steps: Steps, naming: Naming, first: bool
    ) -> Results:
        """What a name in a pipeline means: a value, something shared, a block, a network, an op."""
        name = stage.name.text
        named = place.names.find(name)
        if name in place.module.damaged:
            raise Poisoned
        if stage.arguments is None and isinstance(named, Value | Poison):
            return (_read(stage, named, first),)
        entry = self.entering(place, stage.name.span)
        definition = place.module.definitions.get(name)
        if isinstance(named, Instance):
            definition = named.definition
            found = self._instance(named, stage, entry, place, steps)
        elif definition is None:
            found = self._operator(stage, entry, place, steps, naming, first=first)
        elif isinstance(definition.node, ast.Network):
            instance = self._instance_of(definition, name, place, stage.name.span)
            found = self._instance(instance, stage, entry, place, steps)
        else:
            path = naming.path(stage, name)
            found = self._block(definition, stage, entry, place, steps, path)
        if stage.head is None:
            return found
        if definition is None or not isinstance(definition.node, ast.Network):
            message = f"`{name}` is no network, so it has no heads to choose from"
            raise Failed(Diagnostic("E215", message, stage.head.span))
        return (_chosen_head(stage.head, definition.node, found),)

    def entering(self, place: Place, span: Span) -> Value:
        """The value that enters a stage: the current one.

        Raises `Failed` (E212) where there is none, `Poisoned` where its making failed.
        """
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
        construction = self.construction
        signature = signature_of(definition, construction.limits)
        scope, arguments = _called(block, "block", signature, stage, entry, place, path)
        read = [entry, *scope.tensors.values()]
        key = key_of(block, scope.arguments, read)
        if key in self.expanded:
            copied = self.expanded[key].copy(path, read, construction, stage.span)
            if copied:
                copied.mentions = scope.mentions
                return close(copied, copied.results, steps)
        requirements, own_layers = len(construction.requirements), construction.own_layers
        layers, nodes = len(construction.layers), construction.nodes
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
                place.home,
                "block",
            )
            inner.defined = {each.name.text: each.name.span for each in block.parameters}
            self.run(block.statements, inner)
        finally:
            construction.leave_block()
        results = close(scope, inner.returned or (inner.current,), steps)
        is_like_others = (
            len(construction.requirements) == requirements and construction.own_layers == own_layers
        )
        if scope.lines and is_like_others and not construction.failed:
            self.expanded[key] = Expanded(
                scope,
                construction.layers[layers:],
                read,
                construction.nodes - nodes,
                construction.deepest - construction.depth,
            )
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
            self.construction.own_layers += 1
            pair_weights(instance.first, made, instance, stage.span)
        elif made:
            instance.first, instance.first_span = made, stage.span
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
        self.construction.enter_block(network, stage.span)
        try:
            self.construction.spend(stage.span)
            declared = [each for each in network.statements if isinstance(each, ast.Input)]
            signature = [
                *(input_field(each) for each in declared[1:]),
                *signature_of(definition, self.construction.limits),
            ]
            scope, arguments = _called(network, "network", signature, stage, entry, place, path)
            inputs = {each.name.text: arguments.pop(each.name.text) for each in declared[1:]}
            inputs = {each.name.text: entry for each in declared[:1]} | inputs
            scope.tensors = {**inputs, **scope.tensors}
            opened = OpenScope(scope, network.statements)
            inner = Place(
                Names(
                    {**module.constants, **arguments},
                    None,
                    BUILD_FUNCTIONS,
                    limits=self.construction.limits,
                ),
                opened,
                None,
                module,
                Home(opened, network),
                Visit(inputs),
            )
            self.run(network.statements, inner)
        finally:
            self.construction.leave_block()
        assert isinstance(inner.role, Visit)
        if not inner.role.heads:
            raise Poisoned
        return close(scope, tuple(inner.role.heads.values()), steps)


def _called(
    node: ast.Block | ast.Network,
    kind: str,
    signature: list[Field],
    stage: ast.Call,
    entry: Value,
    place: Place,
    path: str,
) -> tuple[Scope, dict[str, Any]]:
    """The scope of a call of a block or network, and what the call gives for its signature."""
    name = node.name.text
    call = Call(stage.name, stage.arguments or (), f"{kind} `{name}`", True)
    arguments = bind_fields(signature, call, place.names).fields
    scope = Scope("block", path, entry)
    scope.block, scope.definition, scope.mentions = name, id(node), mentioned(call)
    scope.tensors = {each.name: arguments[each.name] for each in signature if each.is_operand}
    scope.arguments = {key: v for key, v in arguments.items() if key not in scope.tensors}
    scope.defaults = {each.name: each.default for each in signature if not each.required}
    return scope, arguments


def _chosen_head(head: ast.Name, network: ast.Network, results: Results) -> Value | Poison:
    """The result of a network's call that is the head of that name."""
    names = [
        each.name.text
        for each in network.statements
        if isinstance(each, ast.Head) and each.mode != "train"
    ]
    if len(results) != len(names):
        raise Poisoned
    if head.text not in names:
        message = f"network `{network.name.text}` has no head `{head.text}`"
        raise Failed(unknown_name("E201", message, head.span, head.text, names, names))
    return results[names.index(head.text)]


def _read(stage: ast.Call, value: Value | Poison, first: bool) -> Value | Poison:
    """A value by its name, which can only begin a pipeline."""
    if first:
        return value
    name = stage.name.text
    message = f"`{name}` is a value; behind `->` comes an operator, a block or a join"
    help = f"begin a pipeline with it, or join it: `concat {{ in {name} }}`"
    raise Failed(Diagnostic("E215", message, stage.span, help=help))
