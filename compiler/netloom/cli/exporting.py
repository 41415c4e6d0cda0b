"""`netloom export` without its proof and its option parser, which take longer than the export."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netloom.cli.checking import report
from netloom.diagnostics import Failed

_NAMED = {
    "--weights": "weights",
    "-w": "weights",
    "--out": "out",
    "-o": "out",
    "--network": "network",
    "-n": "network",
}
_FLAGS = {
    "--no-verify": ("verify", False),
    "--no-fold": ("fold", False),
    "--external": ("external", True),
    "--by-reference": ("by_reference", True),
    "--explain": ("explain", True),
}


def plain_arguments(arguments: Sequence[str]) -> dict[str, Any] | None:
    """The arguments of an export without a proof; None if there are others than the plain ones."""
    found: dict[str, Any] = {}
    rest = iter(arguments)
    for each in rest:
        if each in _FLAGS:
            name, value = _FLAGS[each]
            found[name] = value
        elif each in _NAMED:
            found[_NAMED[each]] = next(rest, "")
        elif each.startswith("-") or "target" in found:
            return None
        else:
            found["target"] = each
    contradicts = found.get("external") and found.get("by_reference")
    if found.pop("verify", True) or "target" not in found or "" in found.values() or contradicts:
        return None
    return found


def export_plainly(arguments: dict[str, Any]) -> int:
    """Exports and says what was written; returns the exit code."""
    explain = arguments.pop("explain", False)
    try:
        write(**arguments, explain=explain)
    except Failed as failure:
        report(failure)
        return 1
    return 0


def write(
    target: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    network: str | None = None,
    settings: Sequence[str] = (),
    fold: bool = True,
    external: bool = False,
    by_reference: bool = False,
    explain: bool = False,
) -> tuple[Any, Path]:
    """Finds the network, writes its model, and says so; returns both.

    Raises `Failed` as `find` and `export_model` do.
    """
    from netloom.runtime.export import export_model
    from netloom.runtime.trained import find

    trained = find(Path(target), network, Path(weights) if weights else None, settings)
    path = Path(out) if out else trained.model_path
    exported = export_model(trained, path, fold, external, by_reference)
    for each in exported.files:
        print(f"wrote {each} ({each.stat().st_size:,} bytes)", file=sys.stderr)
    if explain:
        print_changes(exported)
    return trained, path


def print_changes(exported: Any) -> None:
    """What was done to which layer, a line each."""
    width = max((len(change.rewrite) for change in exported.changes), default=0)
    for change in exported.changes:
        print(f"{change.rewrite:<{width}}  {change.words}")
    count = len(exported.changes)
    print(f"{count} change{'s' * (count != 1)}; the model has {exported.nodes} nodes")
