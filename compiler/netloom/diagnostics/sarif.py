"""Diagnostics as SARIF 2.1.0, which code scanning services and editors read."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from netloom import __version__
from netloom.diagnostics.catalogue import page, prose_of, summary
from netloom.diagnostics.codes import CODES
from netloom.diagnostics.diagnostic import Diagnostic, Edit, Note, Source, Span

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """One run with all diagnostics as results; its rules are the codes that occur."""
    found = list(diagnostics)
    codes = sorted({diagnostic.code for diagnostic in found})
    driver = {
        "name": "netloom",
        "version": __version__,
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in found],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    return {
        "id": code,
        "name": CODES[code],
        "shortDescription": {"text": summary(code)},
        "fullDescription": {"text": prose_of(code)},
        "help": {"text": page(code), "markdown": page(code)},
        "defaultConfiguration": {"level": "warning" if code.startswith("W") else "error"},
    }


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    remarks = [note.message for note in diagnostic.notes if note.span is None]
    remarks += [f"help: {diagnostic.help}"] if diagnostic.help else []
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": "\n".join([diagnostic.message, *remarks])},
    }
    if diagnostic.span:
        result["locations"] = [_location(diagnostic.span, diagnostic.label)]
    related = [_related(number, note) for number, note in enumerate(_placed(diagnostic.notes), 1)]
    if related:
        result["relatedLocations"] = related
    if diagnostic.edit:
        result["fixes"] = [_fix(diagnostic.edit, diagnostic.help)]
    return result


def _placed(notes: Iterable[Note]) -> list[tuple[str, Span]]:
    return [(note.message, note.span) for note in notes if note.span]


def _related(number: int, note: tuple[str, Span]) -> dict[str, Any]:
    message, span = note
    return {"id": number, **_location(span, message)}


def _location(span: Span, message: str = "") -> dict[str, Any]:
    physical = {"artifactLocation": {"uri": _uri(span.source)}, "region": _region(span)}
    location: dict[str, Any] = {"physicalLocation": physical}
    if message:
        location["message"] = {"text": message}
    return location


def _fix(edit: Edit, help: str | None) -> dict[str, Any]:
    replacement = {
        "deletedRegion": _region(edit.span),
        "insertedContent": {"text": edit.replacement},
    }
    change = {
        "artifactLocation": {"uri": _uri(edit.span.source)},
        "replacements": [replacement],
    }
    fix: dict[str, Any] = {"artifactChanges": [change]}
    if help:
        fix["description"] = {"text": help}
    return fix


def _region(span: Span) -> dict[str, int]:
    """Lines and columns from 1, the end's column not included; offsets in UTF-8 bytes from 0."""
    text = span.source.text
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    start = len(text[: span.start].encode())
    return {
        "startLine": line,
        "startColumn": column,
        "endLine": end_line,
        "endColumn": end_column,
        "byteOffset": start,
        "byteLength": len(text[span.start : span.end].encode()),
    }


def _uri(source: Source) -> str:
    """A file as a URI, relative to the working folder where it lies below it."""
    path = PurePath(source.path)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
