"""Syntax tree to graph: resolves names, expands blocks, binds arguments, types each value.

A value whose making fails becomes poison: the mistake is told once, what depends on it is silent,
and everything else is still checked, so one run reports every independent mistake.
"""

from collections import ChainMap
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Diagnostics, Failed
from netloom.ir.equality import begin_check
from netloom.ir.graph import Graph, Scope, Value
from netloom.limits import Limits
from netloom.passes.binding import Call, bind_fields, parameter_signature
from netloom.passes.construction import Construction, Home, Place, Requirement
from netloom.passes.expansion import Expansion
from netloom.passes.expressions import BUILD_FUNCTIONS, Names, Poisoned
from netloom.passes.modules import Definition, Module
from netloom.passes.replay import Expanded, Key
from netloom.passes.scopes import OpenScope
from netloom.passes.settings import Settings
from netloom.passes.statements import Statements
from netloom.syntax import ast


class Built(NamedTuple):
    """A network and what it must still be shown to fulfil.

    One with mistakes is not `sound`: its graph holds what could be built, which is enough to check
    requirements on those values, and no more.
    """

    graph: Graph
    requirements: tuple[Requirement, ...]
    sound: bool


def build(
    module: Module, settings: Settings, limits: Limits, diagnostics: Diagnostics
) -> dict[str, Built]:
    """The networks that a file defines, by name; mistakes are reported.

    `settings` are the parameters that are given from outside, in place of the defaults. A network
    that has lost a part to a syntax error is not built, nor is one behind those that took all the
    nodes of a file.
    """
    begin_check()
    networks = {}
    expanded: dict[Key, Expanded] = {}
    nodes = 0
    for item in module.file.items:
        if isinstance(item, ast.Network):
            given = settings.arguments(item)
            if item.name.text not in module.damaged and nodes <= limits.nodes:
                construction = Construction(item, limits, diagnostics)
                construction.nodes = nodes
                statements = Statements(construction, expanded)
                networks[item.name.text] = _build_network(item, module, given, statements)
                nodes = construction.nodes
    if not module.damaged:  # a network that cannot be read may have had any parameter
        settings.report_unused(diagnostics)
    return networks


def _build_network(
    network: ast.Network,
    module: Module,
    given: tuple[ast.Argument, ...],
    statements: Statements,
) -> Built:
    construction = statements.construction
    scope = Scope("network", "", None)
    names = Names(
        ChainMap({}, module.constants), functions=BUILD_FUNCTIONS, limits=construction.limits
    )
    opened = OpenScope(scope, network.statements)
    place = Place(names, opened, None, module, Home(opened, network), "network")
    try:
        call = Call(network.name, given, f"network `{network.name.text}`")
        parameters = bind_fields(parameter_signature(network.parameters, names), call, names).fields
        Expansion(construction.limits).refuse_too_many(Definition(network, module), parameters)
        names.values.update(parameters)
        statements.run(network.statements, place)
    except Failed as failure:
        construction.tell(failure)
    except Poisoned:
        construction.failed = True
    if all(head.mode == "train" for head in construction.heads) and not construction.failed:
        has = "a head in training only" if construction.heads else "no head"
        message = f"network `{network.name.text}` has {has}, so nothing comes out of it"
        help = "name an output: `head logits = …`"
        construction.report(Diagnostic("E218", message, network.name.span, help=help))
    _check_targets(construction)
    graph = Graph(
        network.name.text,
        scope,
        tuple(construction.inputs),
        tuple(construction.targets),
        tuple(construction.heads),
        tuple(construction.layers),
        {name: value for name, value in names.values.items() if isinstance(value, Value)},
        network.name.span,
    )
    return Built(graph, tuple(construction.requirements), not construction.failed)


def _check_targets(construction: Construction) -> None:
    """Reports heads that depend on a target, which is there for losses only (E508)."""
    source = {id(target): target for target in construction.targets}
    for layer in construction.layers if source else ():
        found = next((source[id(each)] for each in layer.op.reads() if id(each) in source), None)
        if found:
            source.update((id(result), found) for result in layer.results)
    for head in construction.heads:
        if id(head.value) in source:
            message = f"head `{head.name}` depends on the target `{source[id(head.value)].name}`"
            help = "a target is what only losses and metrics read; declare it as an `input`"
            construction.report(Diagnostic("E508", message, head.span, help=help))
