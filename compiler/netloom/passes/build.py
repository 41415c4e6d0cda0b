"""Syntax tree to graph: resolves names, expands blocks, binds arguments, types each value.

A value whose making fails becomes poison: the mistake is told once, what depends on it is silent,
and everything else is still checked, so one run reports every independent mistake.
"""

from dataclasses import dataclass

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note
from netloom.ir.graph import Graph, Scope, Value
from netloom.ir.op import Op
from netloom.passes.binding import Call, bind_fields, parameter_signature
from netloom.passes.construction import Construction, Place, Requirement
from netloom.passes.expressions import BUILD_FUNCTIONS, Names, Poisoned
from netloom.passes.scopes import OpenScope, names_given
from netloom.passes.statements import Statements
from netloom.syntax import ast


@dataclass(frozen=True)
class Built:
    """A network and what it must still be shown to fulfil.

    One with mistakes is not `sound`: its graph holds what could be built, which is enough to check
    requirements on those values, and no more.
    """

    graph: Graph
    requirements: tuple[Requirement, ...]
    sound: bool


def build(file: ast.File, diagnostics: Diagnostics) -> dict[str, Built]:
    """The networks of a spec, by name; mistakes are reported."""
    blocks = _blocks(file, diagnostics)
    return {
        network.name.text: _build_network(network, Construction(blocks, diagnostics))
        for network in file.networks
    }


def _blocks(file: ast.File, diagnostics: Diagnostics) -> dict[str, ast.Block]:
    """The blocks by name; names of blocks and networks are all different, and no operator's."""
    blocks: dict[str, ast.Block] = {}
    first: dict[str, ast.Name] = {}
    definitions: list[ast.Block | ast.Network] = [*file.blocks, *file.networks]
    for definition in sorted(definitions, key=lambda each: each.span.start):
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
    return blocks


def _build_network(network: ast.Network, construction: Construction) -> Built:
    scope = Scope("network", "", None)
    names = Names(functions=BUILD_FUNCTIONS)
    place = Place(names, OpenScope(scope, names_given(network.statements)), None, is_network=True)
    try:
        call = Call(network.name, (), f"network `{network.name.text}`")
        parameters = bind_fields(parameter_signature(network.parameters), call, names).fields
        names.values.update(parameters)
        Statements(construction).run(network.statements, place)
    except Failed as failure:
        construction.tell(failure)
    except Poisoned:
        pass
    if all(head.mode == "train" for head in construction.heads) and not construction.failed:
        has = "a head in training only" if construction.heads else "no head"
        message = f"network `{network.name.text}` has {has}, so nothing comes out of it"
        help = "name an output: `head logits = …`"
        construction.report(Diagnostic("E218", message, network.name.span, help=help))
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
