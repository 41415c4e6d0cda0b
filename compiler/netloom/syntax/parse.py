"""Text to syntax tree. Syntax errors are told in the language's own words."""

import re
from collections.abc import Iterator
from typing import Any

from lark import Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError
from lark.tree import Meta

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note, Source, Span
from netloom.syntax import ast
from netloom.syntax.grammar import parser

LANGUAGE_VERSION = 1
MAXIMUM_NESTING = 200
MAXIMUM_DIGITS = 19


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
        diagnostics.report(_explain(source, 0, problem))
        for offset, text in _later_items(source, problem.pos_in_stream or 0):
            try:
                parser().parse(text)
            except (UnexpectedToken, UnexpectedCharacters) as later:
                diagnostics.report(_explain(source, offset, later))
        raise Failed(*diagnostics.found) from None
    try:
        file: ast.File = _Transformer(source).transform(tree)
    except VisitError as problem:
        raise problem.orig_exc from None
    if file.version is not None and file.version > LANGUAGE_VERSION:
        message = f"this spec is written in version {file.version} of the language"
        help_line = f"this netloom reads version {LANGUAGE_VERSION}; upgrade it"
        raise Failed(Diagnostic("E105", message, file.span, help=help_line))
    return file


# ---- the tree


@v_args(meta=True)
class _Transformer(Transformer[Token, ast.File]):
    """One method a grammar rule; children arrive already transformed."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def NAME(self, token: Token) -> ast.Name:  # noqa: N802  lark calls terminals by their name
        start = token.start_pos or 0
        return ast.Name(str(token), Span(self.source, start, start + len(token)))

    def _span(self, meta: Meta) -> Span:
        if meta.empty:
            return Span(self.source, 0, 0)
        return Span(self.source, meta.start_pos, meta.end_pos)

    def start(self, meta: Meta, items: list[Any]) -> ast.File:
        version = [item for item in items if isinstance(item, int)]
        return ast.File(
            version[0] if version else None,
            tuple(item for item in items if isinstance(item, ast.Network)),
            tuple(item for item in items if isinstance(item, ast.Block)),
            tuple(item for item in items if isinstance(item, ast.Train)),
            self._span(meta),
        )

    def version(self, meta: Meta, items: list[Any]) -> int:
        return int(items[0])

    def network(self, meta: Meta, items: list[Any]) -> ast.Network:
        return ast.Network(*_definition(items), self._span(meta))

    def block(self, meta: Meta, items: list[Any]) -> ast.Block:
        return ast.Block(*_definition(items), self._span(meta))

    def parameters(self, meta: Meta, items: list[Any]) -> tuple[ast.Parameter, ...]:
        return tuple(items)

    def parameter(self, meta: Meta, items: list[Any]) -> ast.Parameter:
        name, kind, *default = items
        return ast.Parameter(name, kind, default[0] if default else None, self._span(meta))

    def input(self, meta: Meta, items: list[Any]) -> ast.Input:
        name, dtype, *dims = items
        return ast.Input(name, dtype, tuple(dims), self._span(meta))

    def target(self, meta: Meta, items: list[Any]) -> ast.Target:
        name, dtype, *dims = items
        return ast.Target(name, dtype, tuple(dims), self._span(meta))

    def mode(self, meta: Meta, items: list[Any]) -> str:
        return str(items[0])

    def head(self, meta: Meta, items: list[Any]) -> ast.Head:
        mode = items.pop(0) if isinstance(items[0], str) else None
        return ast.Head(mode, items[0], items[1] if len(items) > 1 else None, self._span(meta))

    def require(self, meta: Meta, items: list[Any]) -> ast.Require:
        return ast.Require(items[0], self._span(meta))

    def let(self, meta: Meta, items: list[Any]) -> ast.Let:
        return ast.Let(items[0], items[1], self._span(meta))

    def flow(self, meta: Meta, items: list[Any]) -> ast.Flow:
        names = items[0] if len(items) > 1 else ()
        return ast.Flow(names, items[-1], self._span(meta))

    def names(self, meta: Meta, items: list[Any]) -> tuple[ast.Name, ...]:
        return tuple(items)

    def pipeline(self, meta: Meta, items: list[Any]) -> ast.Pipeline:
        return ast.Pipeline(tuple(items), self._span(meta))

    def call(self, meta: Meta, items: list[Any]) -> ast.Call:
        return ast.Call(items[0], items[1] if len(items) > 1 else None, self._span(meta))

    def arguments(self, meta: Meta, items: list[Any]) -> tuple[ast.Argument, ...]:
        return tuple(
            item if isinstance(item, ast.Argument) else ast.Argument(None, item, item.span)
            for item in items
        )

    def named(self, meta: Meta, items: list[Any]) -> ast.Argument:
        return ast.Argument(items[0], items[1], self._span(meta))

    def incoming(self, meta: Meta, items: list[Any]) -> ast.Incoming:
        return ast.Incoming(self._span(meta))

    def body(self, meta: Meta, items: list[Any]) -> ast.Body:
        return ast.Body(tuple(items), self._span(meta))

    def joining(self, meta: Meta, items: list[Any]) -> ast.Name:
        return ast.Name(str(items[0]), self._span(meta))

    def join(self, meta: Meta, items: list[Any]) -> ast.Join:
        arguments = items.pop(1) if len(items) > 1 and isinstance(items[1], tuple) else ()
        return ast.Join(items[0], arguments, tuple(items[1:]), self._span(meta))

    def branch(self, meta: Meta, items: list[Any]) -> ast.Body:
        (content,) = items
        if isinstance(content, ast.Body):
            return content
        return ast.Body((ast.Flow((), content, content.span),), content.span)

    def residual(self, meta: Meta, items: list[Any]) -> ast.Residual:
        return ast.Residual(items[0], items[1] if len(items) > 1 else None, self._span(meta))

    def shortcut(self, meta: Meta, items: list[Any]) -> ast.Shortcut:
        return ast.Shortcut(items[0] if len(items) > 1 else None, items[-1], self._span(meta))

    def repeat(self, meta: Meta, items: list[Any]) -> ast.Repeat:
        *counter, stop, body = items
        variable, start = counter or (None, None)
        return ast.Repeat(variable, start, stop, body, self._span(meta))

    def conditional(self, meta: Meta, items: list[Any]) -> ast.If:
        otherwise = items[2] if len(items) > 2 else None
        return ast.If(items[0], items[1], otherwise, self._span(meta))

    def train(self, meta: Meta, items: list[Any]) -> ast.Train:
        return ast.Train(items[0], tuple(items[1:]), self._span(meta))

    def setting(self, meta: Meta, items: list[Any]) -> ast.Setting:
        return ast.Setting(items[0], items[1], self._span(meta))

    def calls(self, meta: Meta, items: list[Any]) -> ast.Calls:
        return ast.Calls(items[0], tuple(items[1:]), self._span(meta))

    def _chain(self, meta: Meta, items: list[Any]) -> ast.Expression:
        first, *rest = items
        if not rest:
            return first  # type: ignore[no-any-return]
        pairs = tuple((str(rest[index]), rest[index + 1]) for index in range(0, len(rest) - 1, 2))
        return ast.Chain(first, pairs, self._span(meta))

    def _connective(self, word: str, meta: Meta, items: list[Any]) -> ast.Expression:
        first, *rest = items
        if not rest:
            return first  # type: ignore[no-any-return]
        return ast.Chain(first, tuple((word, item) for item in rest), self._span(meta))

    def either(self, meta: Meta, items: list[Any]) -> ast.Expression:
        return self._connective("or", meta, items)

    def both(self, meta: Meta, items: list[Any]) -> ast.Expression:
        return self._connective("and", meta, items)

    comparison = sum = product = _chain

    def negation(self, meta: Meta, items: list[Any]) -> ast.Unary:
        return ast.Unary("not", items[0], self._span(meta))

    def minus(self, meta: Meta, items: list[Any]) -> ast.Unary:
        return ast.Unary("-", items[0], self._span(meta))

    def attribute(self, meta: Meta, items: list[Any]) -> ast.Attribute:
        return ast.Attribute(items[0], items[1], self._span(meta))

    def application(self, meta: Meta, items: list[Any]) -> ast.Application:
        return ast.Application(items[0], items[1], self._span(meta))

    def integer(self, meta: Meta, items: list[Any]) -> ast.Number:
        digits = items[0].replace("_", "")
        if len(digits) > MAXIMUM_DIGITS:
            message = f"this number has {len(digits)} digits; {MAXIMUM_DIGITS} is the most"
            raise Failed(Diagnostic("E104", message, self._span(meta)))
        return ast.Number(int(digits), self._span(meta))

    def decimal(self, meta: Meta, items: list[Any]) -> ast.Number:
        value = float(items[0].replace("_", ""))
        if value in (float("inf"), float("-inf")):
            raise Failed(Diagnostic("E104", "this number is too large", self._span(meta)))
        return ast.Number(value, self._span(meta))

    def string(self, meta: Meta, items: list[Any]) -> ast.Text:
        escapes = {r"\n": "\n", r"\t": "\t", r"\"": '"', r"\\": "\\"}
        text = re.sub(r"\\.", lambda match: escapes[match[0]], items[0][1:-1])
        return ast.Text(text, self._span(meta))

    def truth(self, meta: Meta, items: list[Any]) -> ast.Truth:
        return ast.Truth(items[0] == "true", self._span(meta))

    def sequence(self, meta: Meta, items: list[Any]) -> ast.Sequence:
        return ast.Sequence(tuple(items), self._span(meta))

    def variable(self, meta: Meta, items: list[Any]) -> ast.Variable:
        return ast.Variable(items[0].text, items[0].span)


def _definition(items: list[Any]) -> tuple[ast.Name, tuple[Any, ...], tuple[Any, ...]]:
    """Name, parameters and statements of a network or block."""
    name, *rest = items
    parameters = rest.pop(0) if rest and isinstance(rest[0], tuple) else ()
    return name, parameters, tuple(rest)


# ---- errors


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


def _explain(
    source: Source, offset: int, problem: UnexpectedToken | UnexpectedCharacters
) -> Diagnostic:
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
    if character in "/;":
        meaning = "comments begin with `#`" if character == "/" else "statements need no separator"
        return Diagnostic("E102", f"`{character}` cannot stand here", span, help=meaning)
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
