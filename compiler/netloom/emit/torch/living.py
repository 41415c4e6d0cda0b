"""The part of a network that some head needs."""

from copy import copy

from netloom.emit.torch.common import share_bodies
from netloom.ir.graph import Graph, Layer, Line, Scope


def living(graph: Graph) -> Scope:
    """The scopes of a network without the layers of which no head needs a result."""
    scope = _pruned(graph.scope, {id(layer) for layer in graph.module_layers()})
    share_bodies(scope)
    return scope


def _pruned(scope: Scope, alive: set[int]) -> Scope:
    lines = []
    for line in scope.lines:
        steps = tuple(step for each in line.steps for step in _kept(each, alive))
        if steps:
            lines.append(Line(steps, line.results, line.names))
    pruned = copy(scope)
    pruned.lines = lines
    # What a scope only hands on is there without it; what it no longer makes, nobody reads.
    made = {id(result) for layer in pruned.layers() for result in layer.results}
    pruned.results = tuple(result for result in scope.results if id(result) in made)
    return pruned


def _kept(step: Layer | Scope, alive: set[int]) -> list[Layer | Scope]:
    if isinstance(step, Layer):
        return [step] if id(step) in alive else []
    pruned = _pruned(step, alive)
    return [pruned] if pruned.lines else []
