"""Numbers for free sizes that come from outside the spec: `--size h=7,w=7`."""

from collections.abc import Iterable

from netloom.diagnostics import Diagnostic, Failed, did_you_mean
from netloom.ir.dims import evaluate, number, sizes
from netloom.ir.graph import Graph
from netloom.ir.types import shape_text
from netloom.passes.admissible import admissible_sizes
from netloom.passes.cost import batch_size

LARGEST_SIZE = 1_000_000_000


def given_sizes(texts: Iterable[str], graphs: Iterable[Graph]) -> dict[str, int]:
    """Numbers for free sizes of some networks, each text being `h=7` or `h=7,w=7`.

    Raises `Failed`: E203 for a size that none of the networks has, E206 for what is not a number of
    at least 1, E209 where a value is empty at these sizes.
    """
    graphs = tuple(graphs)
    known = {name for graph in graphs for name in free_sizes(graph)}
    parts = [part.strip() for text in texts for part in text.split(",")]
    given: dict[str, int] = {}
    for name, length in (_named(part, known, graphs) for part in parts):
        if name in given:
            raise Failed(Diagnostic("E206", f"the size `{name}` is given twice"))
        given[name] = length
    for graph in graphs:
        _refuse_empty(graph, given)
    return given


def free_sizes(graph: Graph) -> list[str]:
    """The free sizes of a network's inputs, without the one that counts samples."""
    batch = batch_size(graph)
    found = {each for value in graph.inputs for dim in value.type.shape for each in sizes(dim)}
    return sorted(each.name for each in found if each != batch)


def _named(part: str, known: set[str], graphs: tuple[Graph, ...]) -> tuple[str, int]:
    name, _, digits = (each.strip() for each in part.partition("="))
    if name not in known:
        raise Failed(_unknown(name, known, graphs))
    digits = digits.replace("_", "")
    if not digits.isdecimal() or not 1 <= int(digits[:19]) <= LARGEST_SIZE:
        message = f"the size `{name}` is a number from 1 to {LARGEST_SIZE:,}, not `{digits}`"
        raise Failed(Diagnostic("E206", message, help=f"as in `--size {name}=7`"))
    return name, int(digits)


def _unknown(name: str, known: set[str], graphs: tuple[Graph, ...]) -> Diagnostic:
    of = f"`{graphs[0].name}` has" if len(graphs) == 1 else "none of these networks has"
    message = f"{of} no free size `{name}`"
    if any((batch := batch_size(graph)) and batch.name == name for graph in graphs):
        message = f"`{name}` counts samples, and costs are given for one"
    nothing = "leave `--size` out: all sizes are numbers already"
    return Diagnostic("E203", message, help=did_you_mean(name, known) if known else nothing)


def _refuse_empty(graph: Graph, given: dict[str, int]) -> None:
    for value in (*graph.inputs, *(result for layer in graph.layers for result in layer.results)):
        shape = tuple(evaluate(dim, given) for dim in value.type.shape)
        if any(isinstance(dim, int) and dim < 1 for dim in shape):
            sizes_text = ", ".join(f"{name} = {number(size)}" for name, size in given.items())
            message = f"at {sizes_text} nothing is left of `{value.name}`: {shape_text(shape)}"
            raise Failed(Diagnostic("E209", message, value.span, help=_least(graph)))


def _least(graph: Graph) -> str:
    """What the sizes must be, for those that have a smallest."""
    bounds = admissible_sizes(graph).bounds
    least = [
        f"{name} is at least {each.minimum}" for name, each in bounds.items() if each.minimum > 1
    ]
    return " and ".join(least) or "`netloom explain` says which sizes it takes"
