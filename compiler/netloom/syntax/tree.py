"""From the parts of a rule to a record of the syntax tree: one method a grammar rule."""

import re
from typing import Any

from netloom.diagnostics import Diagnostic, Source, Span
from netloom.syntax import ast

MAXIMUM_DIGITS = 19
LARGEST = 2**63 - 1


_PlainArgument = tuple[
    str | None, int, int, int, int, type[ast.Number] | type[ast.Truth], int | float | bool
]
"""An argument of a plain call: its name, the places of name and value, what and which value."""


class TreeBuilder:
    """One method a grammar rule; it is given the rule's place and its parts, already built."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.mistakes: list[Diagnostic] = []
        self._plain_calls: dict[str, tuple[str, list[_PlainArgument]]] = {}

    def start(self, span: Span, *items: Any) -> ast.File:
        version = items[0] if items and isinstance(items[0], int) else None
        found = items if version is None else items[1:]
        return ast.File(version, tuple(found), frozenset(), span)

    def version(self, span: Span, digits: str) -> int:
        number = self.integer(span, digits).value
        assert isinstance(number, int)
        return number

    def imports(self, span: Span, path: str, *names: ast.Imported) -> ast.Imports:
        end = span.start + self.source.text[span.start :].index(path) + len(path)
        return ast.Imports(self.string(Span(self.source, end - len(path), end), path), names, span)

    def imported(self, span: Span, name: ast.Name, alias: ast.Name | None) -> ast.Imported:
        return ast.Imported(name, alias, span)

    def network(
        self, span: Span, name: ast.Name, parameters: Any, *statements: ast.Statement
    ) -> ast.Network:
        return ast.Network(name, parameters or (), statements, span)

    def block(
        self, span: Span, name: ast.Name, parameters: Any, *statements: ast.Statement
    ) -> ast.Block:
        return ast.Block(name, parameters or (), statements, span)

    def parameters(self, span: Span, *parameters: ast.Parameter) -> tuple[ast.Parameter, ...]:
        return parameters

    def parameter(self, span: Span, name: ast.Name, kind: ast.Name, default: Any) -> ast.Parameter:
        return ast.Parameter(name, kind, default, span)

    def input(self, span: Span, name: ast.Name, dtype: ast.Name, *dims: Any) -> ast.Input:
        return ast.Input(name, dtype, dims, span)

    def target(self, span: Span, name: ast.Name, dtype: ast.Name, *dims: Any) -> ast.Target:
        return ast.Target(name, dtype, dims, span)

    def mode(self, span: Span, word: str) -> str:
        return word

    def head(self, span: Span, mode: Any, name: ast.Name, pipeline: Any) -> ast.Head:
        return ast.Head(mode, name, pipeline, span)

    def require(self, span: Span, condition: ast.Expression) -> ast.Require:
        return ast.Require(condition, span)

    def let(self, span: Span, name: ast.Name, value: ast.Expression) -> ast.Let:
        return ast.Let(name, value, span)

    def share(self, span: Span, name: ast.Name, call: ast.Call) -> ast.Share:
        return ast.Share(name, call, span)

    def conditional(
        self, span: Span, condition: ast.Expression, then: ast.Body, otherwise: Any
    ) -> ast.If:
        return ast.If(condition, then, otherwise, span)

    def return_(self, span: Span, *names: ast.Name) -> ast.Return:
        return ast.Return(names, span)

    def flow(self, span: Span, names: Any, pipeline: ast.Pipeline) -> ast.Flow:
        return ast.Flow(names or (), pipeline, span)

    def names(self, span: Span, *names: ast.Name) -> tuple[ast.Name, ...]:
        return names

    def pipeline(self, span: Span, *stages: ast.Stage) -> ast.Pipeline:
        return ast.Pipeline(stages, span)

    def call(self, span: Span, name: ast.Name, arguments: Any, head: Any) -> ast.Call:
        return ast.Call(name, arguments, head, span)

    def plain_call(self, span: Span, text: str, head: Any) -> ast.Call:
        name, arguments = self._plain(text, span.start)
        return ast.Call(name, arguments, head, span)

    def plain_application(self, span: Span, text: str) -> ast.Application:
        return ast.Application(*self._plain(text, span.start), span)

    def _plain(self, text: str, start: int) -> tuple[ast.Name, tuple[ast.Argument, ...]]:
        """The name and the arguments of a call that is one token."""
        if text not in self._plain_calls:
            self._plain_calls[text] = _read_plain(text)
        name, found = self._plain_calls[text]
        arguments = []
        # As ast.Argument(…) would, at half the cost; this is most of what parsing makes.
        new, source = tuple.__new__, self.source
        for argument, begin, middle, at, end, record, literal in found:
            key = None
            if argument:
                key = new(ast.Name, (argument, new(Span, (source, start + begin, start + middle))))
            value = new(record, (literal, new(Span, (source, start + at, start + end))))
            span = new(Span, (source, start + begin, start + end))
            arguments.append(new(ast.Argument, (key, value, span)))
        return ast.Name(name, Span(source, start, start + len(name))), tuple(arguments)

    def arguments(self, span: Span, *arguments: ast.Argument) -> tuple[ast.Argument, ...]:
        return arguments

    def positional(self, span: Span, value: ast.Expression) -> ast.Argument:
        return ast.Argument(None, value, span)

    def named(self, span: Span, name: ast.Name, value: ast.Expression) -> ast.Argument:
        return ast.Argument(name, value, span)

    def incoming(self, span: Span) -> ast.Incoming:
        return ast.Incoming(span)

    def body(self, span: Span, *statements: ast.Statement) -> ast.Body:
        return ast.Body(statements, span)

    def joining(self, span: Span, word: str) -> ast.Name:
        return ast.Name(word, span)

    def join(
        self, span: Span, kind: ast.Name, unaligned: Any, arguments: Any, *branches: ast.Body
    ) -> ast.Join:
        return ast.Join(kind, arguments or (), branches, unaligned is not None, span)

    def unaligned(self, span: Span, word: str) -> str:
        return word

    def line(self, span: Span, pipeline: ast.Pipeline) -> ast.Body:
        return ast.Body((ast.Flow((), pipeline, span),), span)

    def gate(self, span: Span, unaligned: Any, body: ast.Body) -> ast.Gate:
        return ast.Gate(body, unaligned is not None, span)

    def residual(
        self, span: Span, unaligned: Any, condition: Any, body: ast.Body, shortcut: Any
    ) -> ast.Residual:
        return ast.Residual(condition, body, shortcut, unaligned is not None, span)

    def shortcut(self, span: Span, condition: Any, body: ast.Body) -> ast.Shortcut:
        return ast.Shortcut(condition, body, span)

    def repeat(self, span: Span, count: ast.Expression, body: ast.Body) -> ast.Repeat:
        return ast.Repeat(None, None, count, body, span)

    def repeat_over(
        self, span: Span, variable: ast.Name, start: ast.Expression, stop: Any, body: ast.Body
    ) -> ast.Repeat:
        return ast.Repeat(variable, start, stop, body, span)

    def train(self, span: Span, network: ast.Name, *settings: Any) -> ast.Train:
        return ast.Train(network, settings, span)

    def setting(self, span: Span, name: ast.Name, value: ast.Expression) -> ast.Setting:
        return ast.Setting(name, value, span)

    def calls(self, span: Span, name: ast.Name, *calls: ast.Call) -> ast.Calls:
        return ast.Calls(name, calls, span)

    def either(self, span: Span, first: ast.Expression, *others: ast.Expression) -> ast.Chain:
        return ast.Chain(first, tuple(("or", other) for other in others), span)

    def both(self, span: Span, first: ast.Expression, *others: ast.Expression) -> ast.Chain:
        return ast.Chain(first, tuple(("and", other) for other in others), span)

    def comparison(self, span: Span, first: ast.Expression, *rest: Any) -> ast.Chain:
        return ast.Chain(first, tuple(zip(rest[::2], rest[1::2], strict=True)), span)

    sum = product = comparison

    def negation(self, span: Span, operand: ast.Expression) -> ast.Unary:
        return ast.Unary("not", operand, span)

    def minus(self, span: Span, operand: ast.Expression) -> ast.Unary:
        return ast.Unary("-", operand, span)

    def attribute(self, span: Span, of: ast.Expression, name: ast.Name) -> ast.Attribute:
        return ast.Attribute(of, name, span)

    def element(self, span: Span, of: ast.Expression, index: ast.Expression) -> ast.Element:
        return ast.Element(of, index, span)

    def application(self, span: Span, name: ast.Name, arguments: Any) -> ast.Application:
        return ast.Application(name, arguments, span)

    def integer(self, span: Span, text: str) -> ast.Number:
        digits = text.replace("_", "")
        if len(digits) > MAXIMUM_DIGITS or int(digits) > LARGEST:
            message = "this number is beyond 64 bits"
            self.mistakes.append(Diagnostic("E104", message, span))
            return ast.Number(0, span)
        return ast.Number(int(digits), span)

    def decimal(self, span: Span, text: str) -> ast.Number:
        value = float(text.replace("_", ""))
        if value == float("inf"):
            self.mistakes.append(Diagnostic("E104", "this number is too large", span))
            value = 0.0
        return ast.Number(value, span)

    def string(self, span: Span, text: str) -> ast.Text:
        if "\\" not in text:
            return ast.Text(text[1:-1], span)
        escapes = {r"\n": "\n", r"\t": "\t", r"\"": '"', r"\\": "\\"}
        return ast.Text(re.sub(r"\\.", lambda match: escapes[match[0]], text[1:-1]), span)

    def truth(self, span: Span, word: str) -> ast.Truth:
        return ast.Truth(word == "true", span)

    def sequence(self, span: Span, *items: ast.Expression) -> ast.Sequence:
        return ast.Sequence(items, span)

    def variable(self, span: Span, name: ast.Name) -> ast.Variable:
        return ast.Variable(name.text, span)


def _read_plain(text: str) -> tuple[str, list[_PlainArgument]]:
    """A plain call with the places of its parts, counted from its beginning."""
    name, _, rest = text.partition("(")
    arguments: list[_PlainArgument] = []
    for match in re.finditer(r"(?:(\w+)[ ]*=[ ]*)?([\w.]+)", rest):
        at, end = match.start(2) + len(name) + 1, match.end(2) + len(name) + 1
        begin, middle = (match.start(1), match.end(1)) if match[1] else (match.start(2), 0)
        literal = match[2]
        offset = len(name) + 1
        place = (match[1], begin + offset, middle + offset, at, end)
        if literal in ("true", "false"):
            arguments.append((*place, ast.Truth, literal == "true"))
        else:
            number = float(literal) if "." in literal else int(literal)
            arguments.append((*place, ast.Number, number))
    return name, arguments
