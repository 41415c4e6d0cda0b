"""Text and plain data about a checked spec: what `explain`, `check` and `--emit` print."""

from typing import Any

from netloom.compile import Network, Spec
from netloom.emit.sizes import sizes_json
from netloom.ir.dims import Dim
from netloom.ir.graph import Value
from netloom.passes.admissible import admissible_sizes
from netloom.passes.fields import Extent, Field, Fields


def explain_json(spec: Spec) -> dict[str, Any]:
    """The analyses of a spec as plain data; `docs/json.md` describes it."""
    return {"networks": {name: _network_json(each) for name, each in spec.networks.items()}}


def _network_json(network: Network) -> dict[str, Any]:
    graph = network.graph
    return {
        "params": network.cost.params,
        "macs": _plain(network.cost.macs),
        "inputs": [_value_json(value) for value in graph.inputs],
        "targets": [_value_json(value) for value in graph.targets],
        "sizes": sizes_json(admissible_sizes(graph)),
        "heads": [
            {**_value_json(head.value), "name": head.name, "mode": head.mode}
            for head in graph.heads
        ],
        "values": [
            {
                "name": value.name,
                "layer": layer.name,
                "op": layer.op.name,
                "shape": [_plain(dim) for dim in value.type.shape],
                "dtype": value.type.dtype,
                "params": network.costs[layer].params if value.index == 0 else 0,
                "macs": _plain(network.costs[layer].macs) if value.index == 0 else 0,
                "rf": fields_json(network.fields[value]),
            }
            for layer in graph.layers
            for value in layer.results
        ],
    }


def fields_json(fields: Fields) -> dict[str, Any]:
    """A receptive field as plain data, by input and axis."""
    return {
        name: {axis: _extent_json(extent) for axis, extent in axes.items()}
        for name, axes in fields.items()
    }


def _extent_json(extent: Extent) -> Any:
    if not isinstance(extent, Field):
        return extent
    return {
        "size": list(extent.sizes),
        "stride": str(extent.stride),
        "offset": str(extent.offset),
        "period": extent.period,
    }


def _value_json(value: Value) -> dict[str, Any]:
    shape = [_plain(dim) for dim in value.type.shape]
    return {"name": value.name, "dtype": value.type.dtype, "shape": shape}


def _plain(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(dim)


def field_words(fields: Fields) -> tuple[str, str, str]:
    """Size, stride and offset of a field, in as few words as say it.

    Axes that agree are told once, others as `3x5` in the order of the axes; sizes of different
    phases are joined by `|`. With several inputs each is named.
    """
    columns: list[tuple[str, str, str]] = []
    for name, axes in fields.items():
        prefix = f"{name}: " if len(fields) > 1 else ""
        words = [_extent_words(extent) for extent in axes.values()]
        size, stride, offset = (
            (_joined(column) for column in zip(*words, strict=True)) if words else ("", "", "")
        )
        columns.append((prefix + size if size else "", stride, offset))
    return (
        ", ".join(column[0] for column in columns if column[0]),
        ", ".join(column[1] for column in columns if column[1]),
        ", ".join(column[2] for column in columns if column[2]),
    )


def _extent_words(extent: Extent) -> tuple[str, str, str]:
    if not isinstance(extent, Field):
        return extent, "", ""
    return "|".join(map(str, extent.sizes)), str(extent.stride), str(extent.offset)


def _joined(words: tuple[str, ...]) -> str:
    return words[0] if len(set(words)) == 1 else "x".join(words)
