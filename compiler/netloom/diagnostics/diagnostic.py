"""Spans, notes and diagnostics: plain data, rendered elsewhere."""

import bisect
import itertools
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

    @cached_property
    def _line_bytes(self) -> list[int]:
        """The bytes before each line, in UTF-8."""
        ends = [*self.line_starts[1:], len(self.text)]
        lines = (self.text[a:b] for a, b in zip(self.line_starts, ends, strict=True))
        return list(itertools.accumulate((len(line.encode()) for line in lines), initial=0))

    def byte_offset(self, offset: int) -> int:
        """An offset in the UTF-8 bytes of the text."""
        if self.text.isascii():
            return offset
        line, _ = self.position(offset)
        begin = self.line_starts[line - 1]
        return self._line_bytes[line - 1] + len(self.text[begin:offset].encode())

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

    def __str__(self) -> str:
        # What somebody sees who calls the compiler from Python.
        from netloom.diagnostics.render import render

        return render(self.diagnostics).rstrip()


MOST = 1_000
"""How many mistakes, and how many warnings, of one run are told."""


class Diagnostics:
    """Gathers the independent mistakes of one run, so that all of them are reported at once.

    After `MOST` of a severity the others are only counted: nobody reads them.
    """

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._places: set[tuple[str, Span]] = set()
        self._counts = {"error": 0, "warning": 0}

    def report(self, diagnostic: Diagnostic) -> None:
        """Notes a mistake; one in a block is told once, however often the block is called."""
        if diagnostic.span is not None:
            place = (diagnostic.code, diagnostic.span)
            if place in self._places:
                return
            self._places.add(place)
        self._counts[diagnostic.severity] += 1
        if self._counts[diagnostic.severity] <= MOST:
            self.found.append(diagnostic)

    def raise_if_any(self) -> None:
        """Raises `Failed` with all of them, in the order of the text, if there is a mistake."""
        if self._counts["error"]:
            *others, last = sorted(self.found, key=_place)
            more = sum(self._counts.values()) - len(self.found)
            if more:
                note = Note(f"there are {more:,} more that are not told")
                last = last._replace(notes=(*last.notes, note))
            raise Failed(*others, last)


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.source.name, span.start) if span else ("", -1)


def _edit_as_json(edit: Edit | None) -> dict[str, Any] | None:
    return edit and {"span": _span_as_json(edit.span), "replacement": edit.replacement}


def _span_as_json(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    line, column = span.source.position(span.start)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "start": span.source.byte_offset(span.start),
        "end": span.source.byte_offset(span.end),
    }
