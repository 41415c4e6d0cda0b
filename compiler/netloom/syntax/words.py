"""The words of a spec as a formatter sees them: tokens, their roles, comments and blanks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache
from itertools import pairwise

from netloom.diagnostics import Source, Span
from netloom.syntax import ast
from netloom.syntax.automaton import END, Automaton
from netloom.syntax.grammar import parser
from netloom.syntax.tokens import tokens

PRODUCTS = frozenset(("*", "/", "//", "%"))
SUMS = frozenset("+-")
_LITERALS = frozenset(("INT", "FLOAT", "STRING"))
_COMMENT = re.compile(r"#[^\n]*")


class Role(Enum):
    """What the syntax tree says of a token that its text alone does not."""

    NAME = auto()
    """A name, also one that is spelt like a keyword, or the `in` that is a value."""
    ARGUMENT = auto()
    """The name of a named argument."""
    SETTING = auto()
    """The name of a setting of a train section."""
    MINUS = auto()
    """The minus in front of an operand."""


@dataclass(slots=True)
class Comment:
    """A comment in its normal form; `breaks` counts the line ends between it and what is before."""

    text: str
    breaks: int


@dataclass(slots=True)
class Word:
    """A token with the comments in front of it.

    `breaks` counts the line ends directly before it, `begins` is the kind of item, statement,
    branch or setting that it is the first token of. `gap` are the blanks between it and the token
    before where both stand on one line; an operator that is `tight` has none on either side.
    """

    kind: str
    text: str
    start: int
    breaks: int = 0
    comments: list[Comment] = field(default_factory=list)
    role: Role | None = None
    begins: type | None = None
    tight: bool = False
    gap: str = " "


def words(source: Source, file: ast.File) -> list[Word]:
    """All words of a spec that was read as `file`; the last one is empty and stands for the end."""
    found = list(plain_words(source.text))
    _give_roles(found, file)
    _make_tight(found)
    for previous, word in pairwise(found):
        word.gap = _gap(previous, word)
    return found


def plain_words(text: str) -> Iterator[Word]:
    """The words of a text without what a syntax tree tells of them."""
    at = 0
    for kind, token, start, end in tokens(text, _finest(parser())):
        comments = []
        for match in _COMMENT.finditer(text, at, start):
            breaks = text.count("\n", at, match.start())
            comments.append(Comment(_normal(match[0]), breaks))
            at = match.end()
        yield Word(kind, token, start, text.count("\n", at, start), comments)
        if kind == END:
            return
        at = end


def _finest(automaton: Automaton) -> Automaton:
    """The automaton without the tokens that stand for several others."""
    shaped = {kind: shape for kind, shape in automaton.shaped.items() if kind != "PLAIN_CALL"}
    return automaton._replace(shaped=shaped)


@cache
def _normal(comment: str) -> str:
    """A comment with a blank behind its `#`; `#!` and rulers such as `####` stay as they are."""
    return re.sub(r"^(#+)(?=[^#!\s])", r"\1 ", comment.rstrip())


def _give_roles(found: list[Word], file: ast.File) -> None:
    """Tells the words what they are; the tree is walked without recursion, for it may be deep."""
    at = {word.start: word for word in found}
    nodes: list[object] = [file]
    while nodes:
        node = nodes.pop()
        match node:
            case Span():
                continue
            case ast.Name() | ast.Incoming() | ast.Variable():
                word = at[node.span.start]
                word.role = word.role or Role.NAME
            case ast.Setting() | ast.Calls():
                at[node.name.span.start].role = Role.SETTING
            case ast.Argument(name=ast.Name(span=span)):
                at[span.start].role = Role.ARGUMENT
            case ast.Unary(operator="-"):
                at[node.span.start].role = Role.MINUS
        for element in _elements(node):
            at[element.span.start].begins = type(element)
        if isinstance(node, tuple):
            nodes += node


_Element = ast.Item | ast.Statement | ast.Body | ast.Setting | ast.Calls | ast.Call


def _elements(node: object) -> tuple[_Element, ...]:
    """What stands in lines of its own inside a node."""
    match node:
        case ast.File():
            return node.items
        case ast.Network() | ast.Block() | ast.Body():
            return node.statements
        case ast.Join():
            return node.branches
        case ast.Train():
            return node.settings
        case ast.Calls():
            return node.calls
    return ()


@dataclass(slots=True)
class _Level:
    """The expression that is being read inside one bracket: its products, and if they are added.

    `range` is the `..` that it stands beside.
    """

    bracket: str
    products: list[Word] = field(default_factory=list)
    added: bool = False
    range: Word | None = None

    def close(self) -> None:
        """Ends the expression: its products are tight in a sum, and in a shape or another list.

        A range is tight between bounds without operators: `0..n`, but `1 .. n - 1`.
        """
        for word in self.products:
            word.tight = self.added or self.bracket == "["
        if self.range:
            self.range.tight = self.range.tight and not self.products and not self.added
        self.products, self.added = [], False


def _make_tight(found: list[Word]) -> None:
    """Marks the operators without blanks: `2*h` in shapes and sums, `..`, `=` of arguments."""
    levels = [_Level("")]
    for previous, word in pairwise([found[0], *found]):
        level = levels[-1]
        word.tight = word.text == "=" and previous.role is Role.ARGUMENT
        if word.text == "..":
            level.range, word.tight = word, True
        if _separates(word):
            level.close()
        if word.text in PRODUCTS:
            level.products.append(word)
        elif word.text in SUMS and word.role is None:
            level.added = True
        elif word.text in ("(", "[", "{"):
            level.range = None if word.text == "{" else level.range
            levels.append(_Level(word.text))
        elif word.text in (")", "]", "}"):
            levels.pop().close()
    levels[-1].close()


def _separates(word: Word) -> bool:
    """Whether a word stands between two expressions, or between operands of weaker operators."""
    if word.begins or word.role is Role.SETTING:
        return True
    inside = word.text in PRODUCTS | SUMS or word.text in (".", "(", "[", ")", "]")
    return not inside and word.role is None and word.kind not in _LITERALS


def _gap(previous: Word, word: Word) -> str:
    """The blanks between two words of one line."""
    if previous.tight or word.tight or previous.role is Role.MINUS:
        return ""
    if previous.text in ("(", "[", ".") or word.text in (")", "]", ",", ":", "."):
        return ""
    if word.text == "(" and previous.role is Role.NAME:
        return ""
    if word.text == "[" and _ends_operand(previous):
        return ""
    return " "


def _ends_operand(word: Word) -> bool:
    return word.role is Role.NAME or word.kind in _LITERALS or word.text in (")", "]")
