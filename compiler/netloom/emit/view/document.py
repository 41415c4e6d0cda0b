"""What the page shows, as plain data: values, layers and scopes, each list counted from 0."""

from typing import Any

from netloom.compile import Network
from netloom.emit.view.plain import Plain, plain_dim, plain_reaches
from netloom.emit.view.sizes import needed, opening_sizes
from netloom.ir.declared import Field, Pair
from netloom.ir.dims import Dim
from netloom.ir.field import Fields, extent_words
from netloom.ir.graph import Graph, Layer, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import shape_text
from netloom.passes.cost import batch_size
from netloom.passes.expressions import text_of


def network_document(network: Network) -> dict[str, Plain]:
    """One network: what it is made of, what is known of it, and what draws its footprints."""
    graph = network.graph
    values = _values(graph)
    number = {value: index for index, value in enumerate(values)}
    exported = set(graph.layers_in("infer"))
    batch = batch_size(graph)
    return {
        "name": graph.name,
        "params": network.cost.params,
        "macs": _counted(network.cost.macs),
        "sizes": dict(opening_sizes(graph)),
        "batch": batch.name if batch else None,
        "needed": [_counted(dim) for dim in needed(graph)],
        "inputs": [number[value] for value in graph.inputs],
        "targets": [number[value] for value in graph.targets],
        "heads": [
            {"name": head.name, "value": number[head.value], "mode": head.mode}
            for head in graph.heads
        ],
        "values": [_value(value, network, number) for value in values],
        "layers": [
            _layer(layer, network, number, is_exported=layer in exported) for layer in graph.layers
        ],
        "scope": _scope(graph.scope, number, {each: i for i, each in enumerate(graph.layers)}),
    }


def _values(graph: Graph) -> list[Value]:
    results = [result for layer in graph.layers for result in layer.results]
    return [*graph.inputs, *graph.targets, *results]


def _counted(dim: Dim) -> dict[str, Plain]:
    """A number, or what it is for all sizes in words and as a tree."""
    return {"text": str(dim), "tree": plain_dim(dim)}


def _value(value: Value, network: Network, number: dict[Value, int]) -> dict[str, Plain]:
    operands = value.layer.op.operands() if value.layer else []
    return {
        "name": value.name,
        "dtype": value.type.dtype,
        "text": shape_text(value.type.shape),
        "shape": [plain_dim(dim) for dim in value.type.shape],
        "field": _field(network.fields[value]),
        "sees": [[number[each], plain_reaches(value, each)] for each in operands],
    }


def _field(fields: Fields) -> dict[str, Plain]:
    """Size, stride and offset in words, by input and axis."""
    return {
        name: {axis: list(extent_words(extent)) for axis, extent in axes.items()}
        for name, axes in fields.items()
    }


def _layer(
    layer: Layer, network: Network, number: dict[Value, int], *, is_exported: bool
) -> dict[str, Plain]:
    owner = layer.weights_of
    return {
        "name": layer.name,
        "op": layer.op.name,
        "arguments": arguments_text(layer.op),
        "family": type(layer.op).__module__.rpartition(".")[2],
        "reads": [number[value] for value in layer.op.reads()],
        "results": [number[value] for value in layer.results],
        "params": network.costs[layer].params,
        "macs": _counted(network.costs[layer].macs),
        "exported": is_exported,
        "weightsOf": None if owner is layer else owner.name,
    }


def arguments_text(op: Op) -> str:
    """The arguments of a call as a spec writes them, without those that have their defaults."""
    return ", ".join(
        _written(entry, getattr(op, entry.name))
        for entry in op.signature()
        if not entry.is_operand and (entry.required or getattr(op, entry.name) != entry.default)
    )


def _written(entry: Field, given: Any) -> str:
    is_square = entry.type in (Pair, Pair | None) and given is not None and given[0] == given[1]
    text = text_of(given[0] if is_square else given)
    return text if entry.required and not entry.by_name else f"{entry.name}={text}"


def _scope(
    scope: Scope, number: dict[Value, int], layer_number: dict[Layer, int]
) -> dict[str, Plain]:
    """A scope with its steps: a number is a layer, else it is a scope."""
    return {
        "kind": scope.kind,
        "name": scope.name,
        "call": _call_text(scope),
        "results": [number[value] for value in scope.results if value in number],
        "steps": [
            layer_number[step] if isinstance(step, Layer) else _scope(step, number, layer_number)
            for step in scope.steps()
        ],
    }


def _call_text(scope: Scope) -> str:
    """The call of a block with what it was given; empty for other scopes."""
    if scope.block is None:
        return ""
    given = [
        f"{name}={text_of(value)}"
        for name, value in scope.arguments.items()
        if not isinstance(value, Value)
    ]
    return f"{scope.block}({', '.join(given)})" if given else scope.block
