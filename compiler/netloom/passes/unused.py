"""What a spec computes for nothing."""

from collections.abc import Iterable

from netloom.diagnostics import Diagnostic, Diagnostics, Source, Span
from netloom.ir.graph import Layer, Value
from netloom.passes.build import Built


def report_unused(built: Iterable[Built], source: Source, diagnostics: Diagnostics) -> None:
    """Warns (W201) of each place of a spec whose result no head and no requirement needs.

    A place in a block counts as used if one call of the block uses it; of a chain of layers that
    nobody needs only the end is told.
    """
    used: set[Span] = set()
    ends: dict[Span, Layer] = {}
    for each in built:
        alive = _needed(each)
        read = {id(value) for layer in each.graph.layers for value in layer.op.reads()}
        for layer in each.graph.layers:
            if id(layer) in alive:
                used.add(layer.span)
            elif not any(id(result) in read for result in layer.results):
                ends.setdefault(layer.span, layer)
    for span, layer in ends.items():
        if span not in used and span.source is source:
            name = layer.results[0].name
            message = f"`{name}` is computed, but no head needs it"
            help = "read it, make it a `head`, or delete it"
            diagnostics.report(Diagnostic("W201", message, span, help=help))


def _needed(built: Built) -> set[int]:
    """The layers that some head or requirement needs."""
    values = [head.value for head in built.graph.heads]
    for requirement in built.requirements:
        values += [each for each in requirement.names.values.values() if isinstance(each, Value)]
    return {id(layer) for layer in built.graph.layers_below(values)}
