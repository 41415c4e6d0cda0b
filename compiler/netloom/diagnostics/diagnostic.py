"""Spans, notes and diagnostics: plain data, rendered elsewhere."""

import bisect
import os
from functools import cached_property
from typing import Any, Literal, NamedTuple

from netloom.diagnostics.codes import CODES


class Source:
    """The text of one spec and the name under which a user knows it."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    @property
    def path(self) -> str:
        """The file's path, relative to the working folder where it lies below it."""
        relative = os.path.relpath(self.name)
        return os.path.abspath(self.name) if relative.startswith(os.pardir) else relative

    @cached_property
    def line_starts(self) -> list[int]:
        """The offset at which each line begins."""
        starts = [0]
        for offset, character in enumerate(self.text):
            if character == "\n":
                starts.append(offset + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """The line and column of an offset, both counted from 1."""
        line = bisect.bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its line end."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)]


class Span(NamedTuple):
    """A stretch of a source: offsets in characters, `end` not included."""

    source: Source
    start: int
    end: int

    def __repr__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{line}:{column}"


class Note(NamedTuple):
    """A second place that explains why, for instance where a disagreeing shape came from."""

    message: str
    span: Span | None = None


class Edit(NamedTuple):
    """A correction that is certain: what is at the span is replaced."""

    span: Span
    replacement: str


class Diagnostic(NamedTuple):
    """One mistake: `message` says what, `span` where, `notes` why, `help` what to write instead.

    `edit` is there only where nobody could have meant anything else.
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[Note, ...] = ()
    help: str | None = None
    edit: Edit | None = None

    @property
    def severity(self) -> Literal["error", "warning"]:
        """Whether the spec is wrong, or sound but hardly what was meant."""
        return "warning" if self.code.startswith("W") else "error"

    def as_json(self) -> dict[str, Any]:
        """The same as plain data, with offsets in UTF-8 bytes as editors and CI systems count."""
        return {
            "code": self.code,
            "severity": self.severity,
            "name": CODES[self.code],
            "message": self.message,
            "span": _span_as_json(self.span),
            "label": self.label,
            "notes": [
                {"message": note.message, "span": _span_as_json(note.span)} for note in self.notes
            ],
            "help": self.help,
            "edit": _edit_as_json(self.edit),
        }


class Failed(Exception):  # noqa: N818  what the stage did, not a kind of error
    """A stage ended with diagnostics instead of a result."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in diagnostics))
        self.diagnostics = diagnostics


class Diagnostics:
    """Gathers the independent mistakes of one run, so that all of them are reported at once."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    def report(self, diagnostic: Diagnostic) -> None:
        """Notes a mistake; one in a block is told once, however often the block is called."""
        place = (diagnostic.code, diagnostic.span)
        if diagnostic.span is None or all((d.code, d.span) != place for d in self.found):
            self.found.append(diagnostic)

    def raise_if_any(self) -> None:
        """Raises `Failed` with all of them, in the order of the text, if there is a mistake."""
        if any(each.severity == "error" for each in self.found):
            raise Failed(*sorted(self.found, key=_place))


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.source.name, span.start) if span else ("", -1)


def _edit_as_json(edit: Edit | None) -> dict[str, Any] | None:
    return edit and {"span": _span_as_json(edit.span), "replacement": edit.replacement}


def _span_as_json(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    text = span.source.text
    line, column = span.source.position(span.start)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "start": len(text[: span.start].encode()),
        "end": len(text[: span.end].encode()),
    }
