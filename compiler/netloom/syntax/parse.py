"""Text to syntax tree."""

import re
from collections.abc import Iterator

from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Source, Span
from netloom.syntax import ast
from netloom.syntax.grammar import parser
from netloom.syntax.mistakes import explain
from netloom.syntax.tree import TreeBuilder

LANGUAGE_VERSION = 1
MAXIMUM_NESTING = 200


def parse(source: Source) -> ast.File:
    """The syntax tree of a spec.

    Raises `Failed` with one diagnostic for each top-level item that does not parse, so that a
    mistake in one network does not hide a mistake in the next.
    """
    diagnostics = Diagnostics()
    _check_nesting(source)
    try:
        tree = parser().parse(source.text)
    except (UnexpectedToken, UnexpectedCharacters) as problem:
        diagnostics.report(explain(source, 0, problem))
        for offset, text in _later_items(source, problem.pos_in_stream or 0):
            try:
                parser().parse(text)
            except (UnexpectedToken, UnexpectedCharacters) as later:
                diagnostics.report(explain(source, offset, later))
        raise Failed(*diagnostics.found) from None
    try:
        file: ast.File = TreeBuilder(source).transform(tree)
    except VisitError as problem:
        raise problem.orig_exc from None
    if file.version is not None and file.version > LANGUAGE_VERSION:
        message = f"this spec is written in version {file.version} of the language"
        help_line = f"this netloom reads version {LANGUAGE_VERSION}; upgrade it"
        raise Failed(Diagnostic("E105", message, file.span, help=help_line))
    return file


def _later_items(source: Source, start: int) -> Iterator[tuple[int, str]]:
    """The top-level items that begin, at the margin, after `start`."""
    begins = [
        match.start()
        for match in re.finditer(r"^(?:network|block|train)\b", source.text, re.MULTILINE)
        if match.start() > start
    ]
    for index, begin in enumerate(begins):
        end = begins[index + 1] if index + 1 < len(begins) else len(source.text)
        yield begin, source.text[begin:end]


def _check_nesting(source: Source) -> None:
    """Refuses deep nesting before any recursive code sees it."""
    depth = 0
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|[\[\](){}]', source.text):
        token = match[0]
        if token in "[({":
            depth += 1
        elif token in "])}":
            depth -= 1
        if depth > MAXIMUM_NESTING:
            message = f"brackets are nested more than {MAXIMUM_NESTING} deep"
            span = Span(source, match.start(), match.start() + 1)
            raise Failed(Diagnostic("E217", message, span))
