"""Syntax errors in the language's own words."""

import re

from netloom.diagnostics import Diagnostic, Edit, Source, Span
from netloom.syntax.automaton import END
from netloom.syntax.grammar import parser
from netloom.syntax.tokens import UNKNOWN, Token, begins_line

_KINDS = {"NAME": "a name", "INT": "a number", "FLOAT": "a number", "STRING": "a string"}

_HABITS = {
    "def": "a block begins with `block`",
    "for": "`repeat i in 0..n { … }`",
    "while": "`repeat n { … }`",
    "elif": "`else if`",
    "class": "a network begins with `network`, a block with `block`",
}
"""Words of other languages, and what stands for them here."""

_CLOSING = {"{": "}", "(": ")", "[": "]"}


def explain(source: Source, found: Token, expected: frozenset[str], before: int) -> Diagnostic:
    """What the parser stumbled over, told for a person.

    `expected` are the kinds of tokens that could stand there instead, `before` is the end of the
    last token that fitted.
    """
    if found.kind == UNKNOWN:
        return _explain_character(source, found.start)
    if found.kind == END:
        return _explain_end(source, before)
    if found.kind == "PLAIN_CALL":  # a call that is one token is known by its name
        name = found.text.partition("(")[0]
        found = Token("NAME", name, found.start, found.start + len(name))
    span = Span(source, found.start, found.end)
    unclosed = _unclosed(source, found, expected, before)
    if unclosed:
        return unclosed
    message = f"`{found.text}` cannot stand here"
    arrow = _fat_arrow(source, found, expected)
    if arrow:
        return arrow
    if found.text in ("/", "//"):
        help_line = "comments begin with `#`"
        edit = _comment(span) if found.text == "//" else None
        return Diagnostic("E101", message, span, "unexpected", help=help_line, edit=edit)
    line = source.text[source.text.rfind("\n", 0, found.start) + 1 : found.start].split()
    if line and line[0] in _HABITS:
        return Diagnostic("E101", message, span, "unexpected", help=_HABITS[line[0]])
    keyword = _keyword_as_name(source, found, before)
    if keyword:
        return keyword
    expectation = _expectation(source, found, expected, before)
    in_brackets = found.text == "->" and expected & {")", "]"}
    edit = _closed_on_its_line(source, before) if in_brackets else None
    return Diagnostic("E101", message, span, "unexpected", help=expectation, edit=edit)


def _fat_arrow(source: Source, found: Token, expected: frozenset[str]) -> Diagnostic | None:
    """`=>` where `->` is meant; behind a bare name it is only understood at its second half."""
    start = found.start - (found.text == ">")
    if not source.text.startswith("=>", start):
        return None
    span = Span(source, start, start + 2)
    certain = "->" in expected or found.text == ">"
    edit = Edit(span, "->") if certain else None
    help_line = "a pipeline is written `->`" if certain else "at least is written `>=`"
    return Diagnostic("E101", "`=>` is not an arrow", span, help=help_line, edit=edit)


def _comment(slashes: Span) -> Edit | None:
    """`#` for `//`, unless a bracket would then be in the comment that its partner is not in."""
    rest = slashes.source.text[slashes.start :].split("\n", 1)[0]
    return None if _is_unbalanced(rest) else Edit(slashes, "#")


def _explain_character(source: Source, start: int) -> Diagnostic:
    character = source.text[start]
    span = Span(source, start, start + 1)
    if character == '"':
        help_line = 'a string ends on the line on which it begins; escapes are \\" \\\\ \\n \\t'
        return Diagnostic("E102", "this string does not end", span, help=help_line)
    if character == ";":
        opened = open_brackets(source.text[:start])
        between = not opened or source.text[opened[-1]] == "{"
        help_line = "statements need no separator" if between else "the separator is `,`"
        edit = Edit(span, "") if between else None
        return Diagnostic("E102", "`;` cannot stand here", span, help=help_line, edit=edit)
    word = re.compile(r"\w*", re.ASCII).match(source.text, start)
    if word and word[0]:
        span = Span(source, start, word.end())
        if not character.isdigit():
            message = f"this name has {len(word[0])} letters; 64 is the most"
            return Diagnostic("E102", message, span)
        message = f"`{word[0][:40]}` is neither a number nor a name"
        return Diagnostic("E102", message, span, help="a name begins with a letter or `_`")
    if not character.isascii():
        help_line = "names are ASCII letters, digits and `_`; other letters belong in strings"
        return Diagnostic("E102", f"`{character}` cannot stand here", span, help=help_line)
    return Diagnostic("E102", f"`{character}` cannot stand here", span)


def _explain_end(source: Source, before: int) -> Diagnostic:
    """The text ended too early: the bracket that was never closed is the place to look at."""
    opened = open_brackets(source.text)
    if not opened:
        end = len(source.text)
        return Diagnostic(
            "E101", "the spec ends in the middle of a statement", Span(source, end, end)
        )
    edit = _last_brace(source, opened[0]) if len(opened) == 1 else None
    return _never_closed(source, opened[-1], before, edit)


def _never_closed(source: Source, start: int, before: int, edit: Edit | None = None) -> Diagnostic:
    bracket = source.text[start]
    message = f"this `{bracket}` is never closed"
    help_line = f"add the missing `{_CLOSING[bracket]}`"
    if bracket != "{" and "\n" not in source.text[start:before]:
        edit = _closed_on_its_line(source, before)
    return Diagnostic("E103", message, Span(source, start, start + 1), help=help_line, edit=edit)


_PLAIN_ARGUMENTS = re.compile(r'(?=[^\n]*[0-9,=])(?:[\w\s.,+*/%"-]|=(?!=))+')
"""What can stand in brackets: no more brackets, no comparison; and not the half of a name."""


def _closed_on_its_line(source: Source, end: int) -> Edit | None:
    """What closes, at `end`, the one bracket that this line opens and does not close."""
    begin = source.text.rfind("\n", 0, end) + 1
    line = source.text[begin:].split("\n", 1)[0]
    opened = [each for each in open_brackets(line) if line[each] != "{"]
    if len(opened) != 1 or not _PLAIN_ARGUMENTS.fullmatch(line[opened[0] + 1 : end - begin]):
        return None
    return Edit(Span(source, end, end), _CLOSING[line[opened[0]]])


def _last_brace(source: Source, start: int) -> Edit | None:
    """The `}` at the end of the text that closes a brace, if no line above can have meant to."""
    text = source.text
    begin = text.rfind("\n", 0, start) + 1
    margin = len(text[begin:]) - len(text[begin:].lstrip(" \t"))
    for line in text[start:].split("\n")[1:]:
        if line.strip() and len(line) - len(line.lstrip(" \t")) <= margin:
            return None
    indent = text[begin : begin + margin]
    line_end = "" if text.endswith("\n") else "\n"
    return Edit(Span(source, len(text), len(text)), f"{line_end}{indent}}}\n")


def _unclosed(
    source: Source, found: Token, expected: frozenset[str], before: int
) -> Diagnostic | None:
    """The bracket that is open where something stands that only makes sense outside of it."""
    closing = expected & {"}", ")", "]"}
    if closing and found.text in _CLOSING.values():
        opened = open_brackets(source.text[: found.start])
        closers = [_CLOSING[source.text[start]] for start in opened]
        is_extra = found.text not in closers or closers[-1] == found.text
        return None if is_extra else _never_closed(source, opened[-1], before)
    if not closing or not begins_line(source.text, found.start):
        return None
    outside = found.text in ("network", "block", "train", "from", "let")
    if "}" in closing and not outside:
        return None
    opened = open_brackets(source.text[: found.start])
    return _never_closed(source, opened[-1], before) if opened else None


def _keyword_as_name(source: Source, found: Token, before: int) -> Diagnostic | None:
    """A word of the language where a name was meant: `input = conv(3)`."""
    start = before
    while start and (source.text[start - 1].isalnum() or source.text[start - 1] == "_"):
        start -= 1
    word = source.text[start:before]
    is_keyword = word in parser().words and word not in ("head", "let", "share")
    if found.kind != "=" or not is_keyword:
        return None
    message = f"`{word}` is a word of the language, so it cannot be a name"
    return Diagnostic("E101", message, Span(source, start, before), help=f"`{word}_` would do")


def _expectation(source: Source, found: Token, expected: frozenset[str], before: int) -> str | None:
    """What could stand there instead, as one line; None where it would be too much."""
    last = source.text[:before]
    if last.endswith("->"):
        return "after `->` comes an operator, a block or a join"
    if last.endswith("=") and "INT" not in expected:
        return "a name stands for what a pipeline makes; a constant is named by `let`"
    if found.text == "," and "}" in expected:
        return "statements and branches need no separator"
    if found.text == "=" and "==" in expected:
        return "`==` compares; `=` gives a name or an argument"
    if found.text == "+" and "}" in expected:
        return "values are added by `add { a  b }`"
    if "{" in expected and last.rstrip().endswith(")") and _is_join(last):
        return "the branches of a join stand in braces: `concat { a  b }`"
    if "}" in expected and "NAME" in expected:
        return "a statement begins with a name or a keyword"
    if "network" in expected:
        return "at the top level stand `from`, `let`, `network`, `block` and `train`"
    names = sorted({_KINDS.get(kind, f"`{kind}`") for kind in expected})
    if 0 < len(names) <= 6:
        return "expected " + " or ".join(names)
    if ")" in expected and "," in expected:
        return "expected `,` or `)`"
    return None


def _is_unbalanced(text: str) -> bool:
    brackets = [text.count(each) for each in "([{"], [text.count(each) for each in ")]}"]
    return brackets[0] != brackets[1]


def _is_join(text: str) -> bool:
    """Whether a text ends in a join with arguments in parentheses."""
    return re.search(r"\b(?:concat|add|mul)\s*\([^()]*\)\s*$", text) is not None


def open_brackets(text: str) -> list[int]:
    """The offsets of the brackets, outside strings and comments, that are left open."""
    opened: list[int] = []
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|[\[\](){}]', text):
        token = match[0]
        if token in "[({":
            opened.append(match.start())
        elif token in "])}" and opened:
            opened.pop()
    return opened
