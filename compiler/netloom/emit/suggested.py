"""Suggestions in words and as data."""

import textwrap
from typing import Any

from netloom.diagnostics import Span
from netloom.ir.dims import number
from netloom.passes.suggestions import Suggestion

WIDTH = 100


def suggestion_text(suggestion: Suggestion) -> str:
    """Where it is, what it is and what it would save, in a few lines."""
    name, times = suggestion.layer.name, suggestion.times
    more = f" and {times - 1} more of this line" if times > 1 else ""
    message = textwrap.wrap(suggestion.message, WIDTH - 4)
    lines = [f"  {_place(suggestion.span)}  {suggestion.kind}: `{name}`{more}", *message]
    saved = [
        f"{number(amount)} {what}"
        for amount, what in (
            (suggestion.saved_params, "parameters"),
            (suggestion.saved_macs, "MACs"),
        )
        if amount != 0
    ]
    if saved:
        lines.append(f"saves {' and '.join(saved)}" + (" in all" if times > 1 else ""))
    return "\n    ".join(lines)


def suggestion_json(suggestion: Suggestion) -> dict[str, Any]:
    """The same as plain data."""
    macs, span = suggestion.saved_macs, suggestion.span
    line, column = span.source.position(span.start)
    return {
        "kind": suggestion.kind,
        "layer": suggestion.layer.name,
        "times": suggestion.times,
        "message": suggestion.message,
        "file": span.source.name,
        "line": line,
        "column": column,
        "saved_params": suggestion.saved_params,
        "saved_macs": macs if isinstance(macs, int) else str(macs),
    }


def _place(span: Span) -> str:
    line, column = span.source.position(span.start)
    return f"{span.source.name}:{line}:{column}"
