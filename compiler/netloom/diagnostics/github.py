"""Diagnostics as workflow commands, which GitHub shows at the lines of a pull request."""

from collections.abc import Iterable

from netloom.diagnostics.codes import CODES
from netloom.diagnostics.diagnostic import Diagnostic


def github(diagnostics: Iterable[Diagnostic]) -> str:
    """One `::error …::message` or `::warning …` a line."""
    return "".join(f"{_command(diagnostic)}\n" for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    properties: dict[str, object] = {}
    if diagnostic.span:
        source, start, end = diagnostic.span
        line, column = source.position(start)
        end_line, end_column = source.position(end)
        properties = {"file": source.path, "line": line, "endLine": end_line}
        if line == end_line:  # GitHub takes columns for places on one line only
            ends = {"endLine": end_line, "endColumn": end_column}
            properties = {"file": source.path, "line": line, "col": column, **ends}
    properties["title"] = f"{diagnostic.code} {CODES[diagnostic.code]}"
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{diagnostic.severity} {listed}::{_data(_message(diagnostic))}"


def _message(diagnostic: Diagnostic) -> str:
    """The message with its help, since GitHub shows nothing else."""
    return (
        f"{diagnostic.message}\nhelp: {diagnostic.help}" if diagnostic.help else diagnostic.message
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
