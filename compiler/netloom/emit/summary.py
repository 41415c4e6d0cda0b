"""The analyses of a network as data for other programs; `docs/json.md` describes both forms."""

import csv
import io
import math
from collections.abc import Iterable
from typing import Any

from netloom.emit.rows import Explained, Row, flat, tree
from netloom.emit.sizes import sizes_json
from netloom.emit.words import field_words
from netloom.ir.dims import Dim
from netloom.ir.field import Extent, Fields, Varying
from netloom.ir.graph import Scope, Value
from netloom.ir.types import shape_text
from netloom.passes.admissible import admissible_sizes
from netloom.passes.memory import PARAMETER_BYTES

COLUMNS = (
    *("network", "name", "operator", "shape", "dtype", "field", "stride", "offset"),
    *("params", "macs", "memory", "mode", "shared_with"),
)
"""The columns of the CSV form."""


def network_json(explained: Explained) -> dict[str, Any]:
    """One network as plain data."""
    network, graph = explained.network, explained.network.graph
    rows = tree(explained)
    return {
        "params": network.cost.params,
        "macs": _plain(network.cost.macs),
        "memory": _memory_json(explained),
        "sizes": dict(explained.sizes),
        "admissible": sizes_json(admissible_sizes(graph)),
        "inputs": [_value_json(explained, value) for value in graph.inputs],
        "targets": [_value_json(explained, value) for value in graph.targets],
        "heads": [
            {**_value_json(explained, head.value), "name": head.name, "mode": head.mode}
            for head in graph.heads
        ],
        "scopes": [_scope_json(row) for row in rows if row.is_scope],
        "values": [_row_json(explained, row) for row in flat(rows)],
    }


def _memory_json(explained: Explained) -> dict[str, Any]:
    memory = explained.memory
    return {
        "weights": PARAMETER_BYTES * explained.network.cost.params,
        "training": _plain(memory.training),
        "inference": [{"bytes": _plain(peak.bytes), "at": peak.made} for peak in memory.peaks],
    }


def _scope_json(row: Row) -> dict[str, Any]:
    assert isinstance(row.step, Scope)
    return {"name": row.name, "kind": row.step.kind, "block": row.step.block, **_cost_json(row)}


def _row_json(explained: Explained, row: Row) -> dict[str, Any]:
    assert row.value
    return {
        **_value_json(explained, row.value),
        "layer": row.step.name,
        "op": row.operator,
        **_cost_json(row),
        "rf": fields_json(explained.network.fields[row.value]),
    }


def _cost_json(row: Row) -> dict[str, Any]:
    return {
        "params": row.params,
        "macs": _plain(row.macs),
        "memory": _plain(row.memory),
        "mode": row.use,
        "shared_with": row.shared_with,
    }


def fields_json(fields: Fields) -> dict[str, Any]:
    """A receptive field as plain data, by input and axis."""
    return {
        name: {axis: _extent_json(extent) for axis, extent in axes.items()}
        for name, axes in fields.items()
    }


def _extent_json(extent: Extent) -> Any:
    if isinstance(extent, str):
        return extent
    if isinstance(extent, Varying):
        return {"cases": [_extent_json(case) for case in extent.cases]}
    return {
        "size": list(extent.sizes),
        "stride": str(extent.stride),
        "offset": None if extent.offset is None else str(extent.offset),
        "period": extent.period,
        "intervals": [
            [None if first == -math.inf else first, last] for first, last in extent.intervals
        ],
    }


def _value_json(explained: Explained, value: Value) -> dict[str, Any]:
    shape = [_plain(dim) for dim in explained.shape(value)]
    return {"name": value.name, "dtype": value.type.dtype, "shape": shape}


def _plain(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(dim)


def csv_heading() -> str:
    """The first line of the CSV form."""
    return _csv_line(COLUMNS)


def csv_lines(explained: Explained, rows: Iterable[Row]) -> list[str]:
    """A line for each row, which are those of values, in the order of `COLUMNS`."""
    return [_csv_line(_cells(explained, row)) for row in rows]


def _cells(explained: Explained, row: Row) -> tuple[object, ...]:
    assert row.value
    return (
        explained.network.graph.name,
        row.name,
        row.operator,
        shape_text(explained.shape(row.value)),
        row.value.type.dtype,
        *field_words(explained.network.fields[row.value]),
        row.params,
        row.macs,
        row.memory,
        row.use,
        row.shared_with or "",
    )


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
