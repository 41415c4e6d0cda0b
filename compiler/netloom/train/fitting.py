"""Whether data fits a network: every input and target is there, with its type, before any step."""

from collections.abc import Iterator

from netloom.diagnostics import Diagnostic, Failed, Note
from netloom.ir.dims import Dim, Size, evaluate, size, sizes
from netloom.ir.graph import Graph, Value
from netloom.ir.types import shape_text
from netloom.passes.cost import batch_size
from netloom.train.program import Program
from netloom.train.sources import Data, Dataset, Field

LARGEST_SIZE = 16_384
"""The largest number that a free size is tried with."""


def open_for(program: Program, data: Data) -> Dataset:
    """Reads the data and checks it against the network.

    Raises:
        Failed: E505 for every input and target that the data has no fitting field for.
    """
    graph = program.graph
    declared = (*graph.inputs, *graph.targets)
    dataset = data.source.open({value.name: value.type for value in declared})
    offers = f"`{data.text}` offers " + "; ".join(str(field) for field in dataset.fields)
    note = Note("the data is named here", data.span)
    found = [
        Diagnostic("E505", message, value.span, notes=(note,), help=offers)
        for value, message in _misfits(graph, dataset, program)
    ]
    if found:
        raise Failed(*found)
    return dataset


def _misfits(graph: Graph, dataset: Dataset, program: Program) -> Iterator[tuple[Value, str]]:
    fields = {field.name: field for field in dataset.fields}
    batch = batch_size(graph)
    binding: dict[str, int] = {}
    for value in (*graph.inputs, *graph.targets):
        kind = "input" if value in graph.inputs else "target"
        field = fields.get(value.name)
        if field is None:
            yield value, f"the data has nothing for {kind} `{value.name}`"
        elif field.dtype != value.type.dtype:
            yield value, f"{kind} `{value.name}` is {value.type}, but the data is {field.dtype}"
        elif batch is None and value in graph.targets and _is_free(value):
            pass  # told of the first input, whose first size would be the batch
        elif batch is None or not _counts_samples(value, batch):
            message = f"{kind} `{value.name}` is {value.type}"
            yield value, f"{message}: its first size, and no other, must be a free batch"
        elif not _fits(value, field, binding):
            wanted = shape_text(value.type.shape[1:])
            yield value, f"a sample of {kind} `{value.name}` is {wanted}, not {list(field.shape)}"
        elif len(field.classes) > program.classes.get(value, len(field.classes)):
            last, count = len(field.classes) - 1, program.classes[value]
            yield value, f"labels run from 0 to {last}, but the network tells {count} classes apart"


def _counts_samples(value: Value, batch: Size) -> bool:
    """Whether the first size is the batch and the others do not depend on it."""
    first, others = value.type.shape[:1], value.type.shape[1:]
    return first == (size(batch.name),) and all(batch not in sizes(dim) for dim in others)


def _is_free(value: Value) -> bool:
    """Whether the first size is a name."""
    return bool(value.type.shape) and not isinstance(value.type.shape[0], int)


def _fits(value: Value, field: Field, binding: dict[str, int]) -> bool:
    """Whether some choice of the free sizes, kept in `binding`, gives the field's shape."""
    wanted = value.type.shape[1:]
    if len(wanted) != len(field.shape):
        return False
    # Those with fewer sizes first: they decide the sizes of the others.
    pairs = sorted(zip(wanted, field.shape, strict=True), key=lambda pair: len(sizes(pair[0])))
    return all(_solve(dim, found, binding) for dim, found in pairs)


def _solve(dim: Dim, found: int, binding: dict[str, int]) -> bool:
    dim = evaluate(dim, binding)
    if isinstance(dim, int):
        return dim == found
    name, *others = sorted(each.name for each in sizes(dim))
    if others:
        return True  # one equation does not decide several sizes
    for choice in range(1, LARGEST_SIZE + 1):
        if evaluate(dim, {name: choice}) == found:
            binding[name] = choice
            return True
    return False
