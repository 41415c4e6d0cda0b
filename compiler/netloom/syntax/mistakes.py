"""Syntax errors in the language's own words."""

import re

from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from netloom.diagnostics import Diagnostic, Source, Span

_TOKEN_NAMES = {
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "DOT": "`.`",
    "NAME": "a name",
    "INT": "a number",
    "STRING": "a string",
    "COMPARE": "a comparison",
    "SIGN": "`+`",
    "FACTOR": "`*`",
    "MINUS": "`-`",
    "__ANON_0": "`->`",
    "__ANON_1": "`..`",
}


def explain(
    source: Source, offset: int, problem: UnexpectedToken | UnexpectedCharacters
) -> Diagnostic:
    """What lark stumbled over, told for a person; `offset` is where the parsed text begins."""
    start = offset + (problem.pos_in_stream or 0)
    if isinstance(problem, UnexpectedCharacters):
        return _explain_character(source, start)
    token = problem.token
    if token.type == "$END":
        return _explain_end(source)
    found = Span(source, start, start + len(token))
    expected = set(problem.accepts or problem.expected)
    if source.text.startswith("=>", start):
        return Diagnostic("E101", "`=>` is not an arrow", found, help="a pipeline is written `->`")
    if token in ("/", "//"):
        help_line = "comments begin with `#`"
        return Diagnostic(
            "E101", f"`{token}` cannot stand here", found, "unexpected", help=help_line
        )
    return Diagnostic(
        "E101",
        f"`{token}` cannot stand here",
        found,
        "unexpected",
        help=_expectation(source, expected, start),
    )


def _explain_character(source: Source, start: int) -> Diagnostic:
    character = source.text[start]
    span = Span(source, start, start + 1)
    if character == '"':
        help_line = 'a string ends on the line on which it begins; escapes are \\" \\\\ \\n \\t'
        return Diagnostic("E102", "this string does not end", span, help=help_line)
    if character == ";":
        help_line = "statements need no separator"
        return Diagnostic("E102", "`;` cannot stand here", span, help=help_line)
    if character.isdigit():
        end = start
        while end < len(source.text) and (source.text[end].isalnum() or source.text[end] == "_"):
            end += 1
        word = source.text[start:end]
        message = f"`{word}` is neither a number nor a name"
        help_line = "a name begins with a letter or `_`"
        return Diagnostic("E102", message, Span(source, start, end), help=help_line)
    if not character.isascii():
        help_line = "names are ASCII letters, digits and `_`; other letters belong in strings"
        return Diagnostic("E102", f"`{character}` cannot stand here", span, help=help_line)
    return Diagnostic("E102", f"`{character}` cannot stand here", span)


def _explain_end(source: Source) -> Diagnostic:
    """The text ended too early: the brace that was never closed is the place to look at."""
    open_brackets = [offset for offset, depth in _brackets(source.text) if depth == "open"]
    if not open_brackets:
        end = len(source.text)
        return Diagnostic(
            "E101", "the spec ends in the middle of a statement", Span(source, end, end)
        )
    start = open_brackets[-1]
    bracket = source.text[start]
    closing = {"{": "}", "(": ")", "[": "]"}[bracket]
    return Diagnostic(
        "E103",
        f"this `{bracket}` is never closed",
        Span(source, start, start + 1),
        help=f"add the missing `{closing}`",
    )


def _expectation(source: Source, expected: set[str], start: int) -> str | None:
    """What could stand at `start` instead, as one line; None where it would be too much."""
    before = source.text[:start].rstrip()
    if before.endswith("->"):
        return "after `->` comes an operator, a block or a join"
    if before.endswith("=") and "INT" not in expected:
        return "a name stands for what a pipeline makes; a constant is named by `let`"
    if "RBRACE" in expected and "NAME" in expected:
        return "a statement begins with a name or a keyword"
    if expected == {"NETWORK", "BLOCK", "TRAIN", "$END"} or "NETWORK" in expected:
        return "at the top level stand `network`, `block` and `train`"
    names = sorted(_TOKEN_NAMES.get(each, f"`{each.lower()}`") for each in expected)
    if 0 < len(names) <= 6:
        return "expected " + " or ".join(names)
    if "RPAR" in expected and "COMMA" in expected:
        return "expected `,` or `)`"
    return None


def _brackets(text: str) -> list[tuple[int, str]]:
    """The brackets outside strings and comments that are left open, with their offsets."""
    opened: list[tuple[int, str]] = []
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|[\[\](){}]', text):
        token = match[0]
        if token in "[({":
            opened.append((match.start(), "open"))
        elif token in "])}" and opened:
            opened.pop()
    return opened
