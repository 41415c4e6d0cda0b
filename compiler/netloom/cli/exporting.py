"""`netloom export` without its proof and its option parser, which take longer than the export."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.checking import report
from netloom.diagnostics import Failed

if TYPE_CHECKING:
    from netloom.emit.onnx.rewrites import Change

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
    "--force": ("force", True),
}


INTERRUPTED = "interrupted; nothing was written"


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
    try:
        _write(**arguments)
    except Failed as failure:
        report(failure)
        return 1
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    return 0


def _write(
    target: str,
    weights: str | None = None,
    out: str | None = None,
    network: str | None = None,
    fold: bool = True,
    external: bool = False,
    by_reference: bool = False,
    explain: bool = False,
    force: bool = False,
) -> None:
    from netloom.runtime.export import export_model
    from netloom.runtime.trained import find

    trained = find(Path(target), network, Path(weights) if weights else None)
    path = Path(out) if out else trained.model_path
    exported = export_model(trained, path, fold, external, by_reference, force=force)
    print_files(exported.files)
    if explain:
        print_changes(exported.changes)


def print_files(paths: Sequence[Path]) -> None:
    """What was written, on stderr."""
    for each in paths:
        print(f"wrote {each} ({each.stat().st_size:,} bytes)", file=sys.stderr, flush=True)


def print_changes(changes: Sequence["Change"]) -> None:
    """What was done to which layer, a line each."""
    width = max((len(change.rewrite) for change in changes), default=0)
    for change in changes:
        print(f"{change.rewrite:<{width}}  {change.words}")
    if not changes:
        print("nothing is left out or merged")
