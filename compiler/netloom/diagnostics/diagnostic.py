"""Spans, notes and diagnostics: plain data, rendered elsewhere."""

import bisect
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

from netloom.diagnostics.codes import CODES


class Source:
    """The text of one spec and the name under which a user knows it."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

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


class Diagnostic(NamedTuple):
    """One mistake: `message` says what, `span` where, `notes` why, `help` what to write instead."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[Note, ...] = ()
    help: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as plain data, with offsets in UTF-8 bytes as editors and CI systems count."""
        return {
            "code": self.code,
            "name": CODES[self.code],
            "message": self.message,
            "span": _span_as_json(self.span),
            "label": self.label,
            "notes": [
                {"message": note.message, "span": _span_as_json(note.span)} for note in self.notes
            ],
            "help": self.help,
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
        """Raises `Failed` with all of them, in the order of the text."""
        if self.found:
            raise Failed(*sorted(self.found, key=_place))


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A `help` line that names the nearest known name, or lists all when they are few."""
    import difflib  # which costs a check without mistakes more than it would take to render one

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if 0 < len(names) <= 12:
        return "one of " + ", ".join(f"`{known_name}`" for known_name in names)
    return None


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.source.name, span.start) if span else ("", -1)


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
