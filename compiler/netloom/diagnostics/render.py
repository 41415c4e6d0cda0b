"""Diagnostics as text, in the manner of rustc: the place, the lines, carets, notes, help."""

import unicodedata
from collections.abc import Iterable

from netloom.diagnostics.diagnostic import Diagnostic, Source, Span


def render(diagnostics: Iterable[Diagnostic], colour: bool = False) -> str:
    """All diagnostics, one blank line between them, and a closing count where there are several."""
    found = list(diagnostics)
    parts = [_render_one(diagnostic, Palette(colour)) for diagnostic in found]
    mistakes = sum(diagnostic.severity == "error" for diagnostic in found)
    if mistakes > 1:
        parts.append(f"{mistakes} mistakes\n")
    return "\n".join(parts)


class Palette:
    """The few terminal colours in use; none of them when `colour` is off."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def error(self, text: str) -> str:
        """Red and bold: what is wrong."""
        return self._wrap("1;31", text)

    def note(self, text: str) -> str:
        """Blue: frames, and the places that explain why."""
        return self._wrap("1;34", text)

    def help(self, text: str) -> str:
        """Green: what to write instead."""
        return self._wrap("1;32", text)


def _render_one(diagnostic: Diagnostic, palette: Palette) -> str:
    lines = [
        palette.error(f"{diagnostic.severity}[{diagnostic.code}]")
        + f": {printable(diagnostic.message)}"
    ]
    marks: list[tuple[Span, str, bool]] = []
    if diagnostic.span:
        marks.append((diagnostic.span, diagnostic.label, True))
    marks += [(note.span, note.message, False) for note in diagnostic.notes if note.span]
    width = max((_last_line_width(span) for span, _, _ in marks), default=1)
    sources: list[Source] = []
    for span, _, _ in marks:
        if span.source not in sources:
            sources.append(span.source)
    for index, source in enumerate(sources):
        lines += _render_source(
            source, [mark for mark in marks if mark[0].source is source], width, index == 0, palette
        )
    margin = " " * width
    equals = palette.note("=")
    remarks = [note for note in diagnostic.notes if note.span is None]
    if marks and (remarks or diagnostic.help):
        lines.append(f"{margin} {palette.note('|')}")
    lines += [f"{margin} {equals} note: {printable(note.message)}" for note in remarks]
    if diagnostic.help:
        first, *rest = printable(diagnostic.help).split("\n")
        lines.append(f"{margin} {equals} {palette.help('help')}: {first}")
        lines += [f"{margin}         {line}" for line in rest]
    return "\n".join(lines) + "\n"


def _render_source(
    source: Source,
    marks: list[tuple[Span, str, bool]],
    width: int,
    first: bool,
    palette: Palette,
) -> list[str]:
    """The quoted lines of one file: carets under the primary span, dashes under the others."""
    margin = " " * width
    line, column = source.position(marks[0][0].start)
    arrow = palette.note("-->" if first else ":::")
    lines = [f"{margin}{arrow} {printable(source.name)}:{line}:{column}"]
    bar = palette.note("|")
    lines.append(f"{margin} {bar}")
    previous = None
    for span, label, primary in sorted(marks, key=lambda mark: (mark[0].start, not mark[2])):
        number, start = source.position(span.start)
        text, shift = _around(source.line(number), start - 1)
        start -= shift
        if number != previous:
            if previous is not None and number > previous + 1:
                lines.append(palette.note("..."))
            lines.append(f"{palette.note(str(number).rjust(width))} {bar} {printable(text)}")
            previous = number
        end = min(start - 1 + max(1, span.end - span.start), max(len(text), start))
        under = ("^" if primary else "-") * max(1, _columns(text[start - 1 : end]))
        pointer = f"{under} {printable(label)}".rstrip()
        paint = palette.error if primary else palette.note
        lines.append(f"{margin} {bar} {' ' * _columns(text[: start - 1])}{paint(pointer)}")
    return lines


LONGEST_LINE = 2_000
"""How much of one line is quoted, in characters: few are that long, and those by no person."""


def _around(line: str, offset: int) -> tuple[str, int]:
    """What is quoted of a line, and how far what stands at an offset moves to the left."""
    if len(line) <= LONGEST_LINE:
        return line, 0
    begin = max(0, offset - LONGEST_LINE // 2)
    return line[begin : begin + LONGEST_LINE], begin


def printable(text: str) -> str:
    """Text without the control characters that could steer a terminal; tabs become one blank."""
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf")
        else (" " if character == "\t" else "�")
        for character in text
    )


def _columns(text: str) -> int:
    """How many terminal columns a text takes."""
    return sum(
        0
        if unicodedata.combining(character)
        else (2 if unicodedata.east_asian_width(character) in "WF" else 1)
        for character in text
    )


def _last_line_width(span: Span) -> int:
    return len(str(span.source.position(span.start)[0]))
