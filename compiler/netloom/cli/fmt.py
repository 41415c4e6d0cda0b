"""`netloom fmt`: the canonical layout of specs."""

import re
import sys
from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.app import app, reporting
from netloom.cli.checking import report, specs_in
from netloom.diagnostics import Failed

_STDIN = Path("-")


@app.command()
def fmt(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SPEC", help="Specs, folders with specs, or `-` for stdin."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only list the specs that would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Only show what would change.")] = False,
) -> None:
    """Lay out specs in the one canonical way; without arguments, those in this folder."""
    if paths == [_STDIN]:
        _format_stdin(check, diff)
        return
    if paths and _STDIN in paths:
        raise typer.BadParameter("`-` stands alone")
    with reporting():
        specs = [Path(spec) for path in paths or [Path()] for spec in specs_in(path)]
    clean = [_format_file(spec, check, diff) for spec in specs]
    if not all(clean):
        raise typer.Exit(1)


def _format_file(path: Path, check: bool, diff: bool) -> bool:
    """Formats one file; False where it has mistakes, or is to be left as it is and is not clean."""
    from netloom.emit.files import write_atomically
    from netloom.syntax.format import format_source
    from netloom.syntax.source import read

    try:
        formatted = format_source(read(path))
        before = path.read_bytes().decode()
        if before == formatted:
            return True
        if not check and not diff:
            write_atomically(path.resolve(), [formatted.encode()])
    except Failed as failure:
        report(failure)
        return False
    _show(str(path), before, formatted, diff)
    return not check and not diff


def _format_stdin(check: bool, diff: bool) -> None:
    """Formats what comes in on stdin to stdout."""
    from netloom.limits import DEFAULT
    from netloom.syntax.format import format_source
    from netloom.syntax.source import from_bytes

    content = sys.stdin.buffer.read(DEFAULT.text + 1)
    try:
        formatted = format_source(from_bytes("stdin", content))
    except Failed as failure:
        report(failure)
        raise typer.Exit(1) from None
    if not check and not diff:
        sys.stdout.buffer.write(formatted.encode())
    elif content != formatted.encode():
        _show("stdin", content.decode(), formatted, diff)
        raise typer.Exit(1)


def _show(name: str, before: str, after: str, diff: bool) -> None:
    """Prints which file changes, or how."""
    if not diff:
        print(name)
        return
    for line in unified_diff(_lines(before), _lines(after), name, name):
        print(line, end="" if line.endswith("\n") else "\n\\ No newline at end of file\n")


def _lines(text: str) -> list[str]:
    """The lines of a text with their ends; unlike `splitlines`, split at LF only."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
