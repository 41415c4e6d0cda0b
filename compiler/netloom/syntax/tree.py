"""From lark's parse tree to the syntax tree: one method a grammar rule."""

import re
from typing import Any

from lark import Token, v_args
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive

from netloom.diagnostics import Diagnostic, Failed, Source, Span
from netloom.syntax import ast

MAXIMUM_DIGITS = 19


@v_args(meta=True)
class TreeBuilder(Transformer_NonRecursive[Token, ast.File]):
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
