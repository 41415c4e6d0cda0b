"""Evaluation of the expressions that a spec contains, at compile time."""

import math
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

from netloom.diagnostics import Diagnostic, Failed, Span, unknown_name
from netloom.ir.dims import LARGEST, Dim, Symbolic, is_unwieldy
from netloom.ir.equality import Proved
from netloom.ir.graph import Value
from netloom.ir.types import Shape, shape_text
from netloom.limits import DEFAULT, Limits
from netloom.passes.comparison import compare
from netloom.syntax import ast
from netloom.syntax.record import Record

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Poison:
    """Stands for a value whose making failed. The mistake has been told; nothing more is said."""


POISON = Poison()


class Poisoned(Exception):  # noqa: N818  a signal, not a fault
    """An expression needs a value whose making failed."""


class Names:
    """What names mean at one place of a spec.

    `entry` is the value that `in` means. `functions` can be asked about values; `facts` are what is
    known of the whole network, and only once it is built.
    """

    def __init__(
        self,
        values: MutableMapping[str, Any] | None = None,
        entry: Value | Poison | None = None,
        functions: Mapping[str, Callable[..., Any]] = NOTHING,
        facts: Mapping[str, Any] = NOTHING,
        limits: Limits = DEFAULT,
    ) -> None:
        self.values: ChainMap[str, Any] = (
            values if isinstance(values, ChainMap) else ChainMap({} if values is None else values)
        )
        self.entry, self.functions, self.facts = entry, functions, facts
        self.limits = limits

    def find(self, name: str) -> Any:
        """What a name stands for; None for nothing. Quicker than the map's own way."""
        for values in self.values.maps:
            if name in values:
                return values[name]
        return None

    def tensor_names(self) -> set[str]:
        """The names that stand for values of the network."""
        return {name for name, v in self.values.items() if isinstance(v, Value | Poison)}

    def inner(self, entry: Value | Poison | None) -> "Names":
        """The names inside a brace: those outside can be read, new ones stay inside."""
        return Names(self.values.new_child(), entry, self.functions, self.facts, self.limits)

    def as_they_are(self, wanted: Iterable[str]) -> "Names":
        """The wanted names as they are now, whatever they come to mean."""
        values = {name: self.values[name] for name in wanted if name in self.values}
        return Names(values, self.entry, self.functions, self.facts, self.limits)


def shape_of(value: Value) -> Shape:
    """`shape(x)`."""
    return value.type.shape


BUILD_FUNCTIONS: Mapping[str, Callable[[Value], Any]] = {"shape": shape_of}
ANALYSIS_FUNCTIONS = ("rf", "stride", "offset", "aligned", "params", "macs")
"""Functions whose answers exist only once the network is built, so in `require` only."""

RELATIVE_FUNCTIONS = ("rf", "stride", "offset")
"""Those that can be asked `from` an inner value instead of the inputs."""

_AXES = {
    2: {"batch": 0, "channels": 1, "features": 1},
    3: {"batch": 0, "steps": 1, "channels": 2, "features": 2},
    4: {"batch": 0, "channels": 1, "height": 2, "width": 3},
}


class Settled(Record):
    """An expression whose value is already known; no spec contains it."""

    value: Any
    span: Span


def evaluate(expression: ast.Expression, names: Names) -> Any:
    """The value of an expression: a number, truth, string, tuple, dimension or tensor value.

    Raises:
        Failed: with one diagnostic.
        Poisoned: it needs a value whose making failed.
    """
    match expression:
        case ast.Number() | ast.Text() | ast.Truth() | Settled():
            return expression.value
        case ast.Sequence():
            return _sequence(expression, names)
        case ast.Variable():
            return _lookup(expression, names)
        case ast.Incoming():
            if names.entry is None:
                help = "`in` is what enters a block or a brace; here, call the value by its name"
                message = "there is no value for `in` to mean here"
                raise _failure("E212", message, expression.span, help)
            return _clean(names.entry)
        case ast.Attribute():
            return _attribute(expression, names)
        case ast.Element():
            return _element(expression, names)
        case ast.Application():
            return _apply(expression, names)
        case ast.Unary():
            return _unary(expression, names)
        case ast.Chain():
            return _chain(expression, names)


def names_in(node: object) -> Iterable[str]:
    """The names that an expression reads."""
    if isinstance(node, ast.Variable):
        yield node.name
    elif isinstance(node, tuple) and not isinstance(node, Span):
        for part in node:
            yield from names_in(part)


def truth_of(expression: ast.Expression, names: Names) -> bool:
    """The value of a condition. Raises `Failed` (E216) if it is neither true nor false."""
    return _truth(evaluate(expression, names), expression.span)


def whole_number_of(expression: ast.Expression, names: Names) -> int:
    """The value of a count. Raises `Failed`: E205 if it is no whole number, E206 if negative."""
    value = evaluate(expression, names)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _failure("E205", f"a count is a whole number, not {text_of(value)}", expression.span)
    if value < 0:
        raise _failure("E206", f"a count cannot be {value}", expression.span)
    return value


def text_of(value: Any) -> str:
    """A value as a spec would write it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 10_000:
            return f"{value:_}"
        case str():
            return f'"{value}"'
        case tuple():
            return (
                shape_text(value)
                if all(isinstance(v, Dim) for v in value)
                else ("[" + ", ".join(text_of(item) for item in value) + "]")
            )
        case Value():
            return str(value.type)
    return str(value)


def _sequence(expression: ast.Sequence, names: Names) -> tuple[Any, ...]:
    """A list. One of lists is counted to the bottom, because naming a list twice doubles it."""
    items = tuple(evaluate(item, names) for item in expression.items)
    count, waiting = 0, [items]
    while waiting:
        here = waiting.pop()
        count += len(here)
        if count > names.limits.elements:
            message = f"this list has more than {names.limits.elements:,} elements"
            help = names.limits.raised_by("elements")
            raise _failure("E217", message, expression.span, help)
        waiting += [item for item in here if isinstance(item, tuple)]
    return items


def _lookup(variable: ast.Variable, names: Names) -> Any:
    for values in names.values.maps:
        if variable.name in values:
            return _clean(values[variable.name])
    if variable.name in names.facts:
        return _clean(names.facts[variable.name])
    if variable.name in ANALYSIS_FUNCTIONS:
        help = "it is known once the network is built, so it can stand in `require` only"
        raise _failure("E216", f"`{variable.name}` is not known here", variable.span, help)
    message = f"there is no value named `{variable.name}` here"
    words = {"True": "`true`", "False": "`false`", "None": "leave it out"}
    if variable.name in words:
        help = f"write {words[variable.name]}" if variable.name != "None" else words["None"]
        message = f"there is no value named `{variable.name}` here"
        raise _failure("E201", message, variable.span, help)
    known = [*names.values, *names.facts]
    raise Failed(unknown_name("E201", message, variable.span, variable.name, known, names.values))


def _clean(value: Any) -> Any:
    if isinstance(value, Poison):
        raise Poisoned
    return value


def _attribute(expression: ast.Attribute, names: Names) -> Dim:
    of = evaluate(expression.of, names)
    name = expression.name
    if not isinstance(of, Value):
        raise _failure("E216", f"`{text_of(of)}` has no attributes", expression.span)
    axes = _AXES.get(of.type.rank, {})
    if name.text not in axes:
        message = f"{of.type} has no `{name.text}`"
        raise Failed(unknown_name("E201", message, name.span, name.text, axes))
    return of.type.shape[axes[name.text]]


def _element(expression: ast.Element, names: Names) -> Any:
    of, index = evaluate(expression.of, names), evaluate(expression.position, names)
    if not isinstance(of, tuple):
        raise _failure("E216", f"only a list has elements, not {text_of(of)}", expression.of.span)
    if isinstance(index, bool) or not isinstance(index, int):
        message = f"an element is counted by a whole number, not {text_of(index)}"
        raise _failure("E216", message, expression.position.span)
    if not -len(of) <= index < len(of):
        message = f"this list has {len(of)} elements, so there is none at {index}"
        help = "elements are counted from 0, and from -1 backwards"
        raise _failure("E216", message, expression.position.span, help)
    return of[index]


def _apply(expression: ast.Application, names: Names) -> Any:
    name = expression.name
    if name.text in _ARITHMETIC:
        return _calculate(expression, names)
    if name.text not in names.functions:
        if name.text in ANALYSIS_FUNCTIONS:
            help = "it is known once the network is built, so it can stand in `require` only"
            raise _failure("E216", f"`{name.text}` is not known here", name.span, help)
        known = [*names.functions, *ANALYSIS_FUNCTIONS, *_ARITHMETIC]
        message = f"there is no function `{name.text}`"
        raise Failed(unknown_name("E201", message, name.span, name.text, known))
    asked, *others = expression.arguments or (None,)
    sources = [each for each in others if each.name and each.name.text == "from"]
    if asked is None or asked.name or len(sources) < len(others) or len(sources) > 1:
        form = f"`{name.text}(x, from=y)`" if name.text in RELATIVE_FUNCTIONS else None
        message = f"`{name.text}` is asked of exactly one value"
        raise _failure("E204", message, expression.span, form)
    value = _value_for(name.text, asked, names)
    if not sources:
        return names.functions[name.text](value)
    if name.text not in RELATIVE_FUNCTIONS:
        raise _failure("E203", f"`{name.text}` has no argument `from`", sources[0].span)
    source = _value_for(name.text, sources[0], names)
    answer = names.functions[name.text](value, source)
    if answer is None:
        message = f"`{value.name}` does not depend on `{source.name}`"
        raise _failure("E216", message, expression.span)
    return answer


def _value_for(function: str, argument: ast.Argument, names: Names) -> Value:
    value = evaluate(argument.value, names)
    if not isinstance(value, Value):
        message = f"`{function}` is asked of a value of the network, not of {text_of(value)}"
        raise _failure("E205", message, argument.span)
    return value


def _calculate(expression: ast.Application, names: Names) -> Any:
    """The value of a function of numbers. Raises `Failed` (E216) for one that is out of range."""
    return _in_range(_calculated(expression, names), expression.span)


def _calculated(expression: ast.Application, names: Names) -> Any:
    """`min`, `max`, `sum`, `len` and `round`, of a list or, the first three, of several numbers."""
    name = expression.name.text
    if any(argument.name for argument in expression.arguments) or not expression.arguments:
        raise _failure("E204", f"`{name}` takes numbers or one list", expression.span)
    values = tuple(evaluate(argument.value, names) for argument in expression.arguments)
    if name == "round":
        (number, *others) = values
        if others or isinstance(number, bool) or not isinstance(number, int | float):
            raise _failure("E204", "`round` takes one number", expression.span)
        return round(number) if math.isfinite(number) else number
    items = values[0] if len(values) == 1 else values
    if not isinstance(items, tuple) or (name == "len" and len(values) != 1):
        raise _failure("E205", f"`{name}` takes a list, not {text_of(items)}", expression.span)
    if name == "len":
        return len(items)
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise _failure("E205", f"`{name}` takes numbers, not {text_of(item)}", expression.span)
    if not items and name != "sum":
        raise _failure("E216", f"an empty list has no `{name}`", expression.span)
    if name == "sum":
        return sum(items)
    return min(items) if name == "min" else max(items)


_ARITHMETIC = ("min", "max", "sum", "len", "round")


def _unary(expression: ast.Unary, names: Names) -> Any:
    value = evaluate(expression.operand, names)
    if expression.operator == "not":
        return not _truth(value, expression.operand.span)
    if isinstance(value, bool) or not isinstance(value, int | float | Symbolic):
        raise _failure("E216", f"`-` needs a number, not {text_of(value)}", expression.operand.span)
    return -value


def _chain(expression: ast.Chain, names: Names) -> Any:
    first_operator = expression.rest[0][0]
    if first_operator in ("and", "or"):
        return _connect(expression, names, stop_at=first_operator == "or")
    left = evaluate(expression.first, names)
    for operator, operand in expression.rest:
        right = evaluate(operand, names)
        span = Span(expression.span.source, expression.span.start, operand.span.end)
        if operator in ("==", "!=", "<", "<=", ">", ">="):
            left = _decide(operator, left, right, span)
        else:
            left = _arithmetic(operator, left, right, span)
    return left


def _connect(expression: ast.Chain, names: Names, stop_at: bool) -> bool:
    """`and` and `or`, which do not evaluate what no longer matters."""
    for operand in (expression.first, *(operand for _, operand in expression.rest)):
        if _truth(evaluate(operand, names), operand.span) is stop_at:
            return stop_at
    return not stop_at


def _truth(value: Any, span: Span) -> bool:
    if not isinstance(value, bool):
        raise _failure("E216", f"this must be true or false, but is {text_of(value)}", span)
    return value


def _decide(operator: str, left: Any, right: Any, span: Span) -> bool:
    verdict = compare(operator, left, right)
    if isinstance(verdict, Proved):
        return True
    opposite = compare(_OPPOSITE[operator], left, right)
    if isinstance(opposite, Proved):
        return False
    message = (
        f"whether {text_of(left)} {operator} {text_of(right)} depends on the size of the input"
    )
    help = "a network has one structure for all sizes; test something that is a number"
    raise _failure("E216", message, span, help)


def _arithmetic(operator: str, left: Any, right: Any, span: Span) -> Any:
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | float | Symbolic):
            raise _failure("E216", f"`{operator}` needs numbers, not {text_of(value)}", span)
    symbolic = isinstance(left, Symbolic) or isinstance(right, Symbolic)
    if symbolic and (isinstance(left, float) or isinstance(right, float)):
        raise _failure("E216", "a size of the input can be joined with whole numbers only", span)
    if operator in ("/", "//", "%"):
        if symbolic and not (operator == "//" and isinstance(right, int) and right > 0):
            raise _failure(
                "E216", "a size of the input can be divided by `//` and a number only", span
            )
        if right == 0:
            raise _failure("E216", "division by 0", span)
    result = _in_range(_OPERATIONS[operator](left, right), span)
    if is_unwieldy(result):
        raise _failure("E217", "this size is too complicated to follow", span)
    return result


def _in_range(result: Any, span: Span) -> Any:
    if isinstance(result, int) and abs(result) > LARGEST:
        raise _failure("E216", "the result is beyond 64 bits", span)
    if isinstance(result, float) and not math.isfinite(result):
        raise _failure("E216", "the result is not a finite number", span)
    return result


def _exact(left: int | float, right: int | float) -> int | float:
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "//": lambda left, right: left // right,
    "/": _exact,
    "%": lambda left, right: left % right,
}

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _failure(code: str, message: str, span: Span, help: str | None = None) -> Failed:
    return Failed(Diagnostic(code, message, span, help=help))
