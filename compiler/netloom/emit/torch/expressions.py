"""Python expressions as data, and the printer that lays them out in at most 88 columns.

The layout is that of ruff and black: on one line if it fits, else one argument a line with a
trailing comma. Every literal passes through `literal`, every name through `emit/names.py`; no text
of a spec reaches the source in another way.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netloom.ir.graph import Value

WIDTH = 88
INDENT = "    "


@dataclass(frozen=True)
class Code:
    """A name or another fragment that is printed as it stands."""

    text: str


@dataclass(frozen=True)
class Hole:
    """A literal that may become a parameter, if instances of one class differ in it.

    `role` is what to call that parameter, `mentions` the names that the spec's call read.
    """

    value: Any
    role: str
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Each:
    """The value of a hole in an iteration that is written once for all: one for each of them."""

    values: tuple[Any, ...]


class Several(tuple[Any, ...]):
    """Values of a parameter that has one for each iteration; written as a list."""


@dataclass(frozen=True)
class Keyword:
    """A keyword argument; it is left out where its value is the callee's default."""

    name: str
    value: "Expression"
    default: Any = ...


@dataclass(frozen=True)
class Invoke:
    """A call."""

    function: "Expression"
    arguments: "tuple[Expression, ...]" = ()
    keywords: tuple[Keyword, ...] = ()


@dataclass(frozen=True)
class Listing:
    """A list display."""

    items: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Infix:
    """Operands joined by one operator."""

    operator: str
    operands: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Pick:
    """An element of what a call returns, by a path of indices."""

    of: "Expression"
    path: tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """An attribute of an expression: `x.size`."""

    of: "Expression"
    name: str


@dataclass(frozen=True)
class Variable:
    """A local variable that stands for `value`; it has its name once a whole body is laid out."""

    value: Value


@dataclass(frozen=True)
class Repeated:
    """`item for variable in over`, as the only argument; starred, it is many arguments.

    Until it is settled `over` is a hole, the number of iterations.
    """

    item: "Expression"
    over: "Expression"
    starred: bool
    variable: str = "_"


@dataclass(frozen=True)
class Choice:
    """`chosen if condition else otherwise`."""

    condition: "Expression"
    chosen: "Expression"
    otherwise: "Expression"


Expression = Code | Hole | Invoke | Listing | Infix | Pick | Member | Variable | Repeated | Choice


def rewrite(
    expression: Expression, leaf: Callable[[Code | Hole | Variable], Expression]
) -> Expression:
    """The expression with every leaf replaced by what `leaf` makes of it."""
    match expression:
        case Code() | Hole() | Variable():
            return leaf(expression)
        case Invoke():
            return Invoke(
                rewrite(expression.function, leaf),
                tuple(rewrite(each, leaf) for each in expression.arguments),
                tuple(
                    Keyword(each.name, rewrite(each.value, leaf), each.default)
                    for each in expression.keywords
                ),
            )
        case Listing():
            return Listing(tuple(rewrite(item, leaf) for item in expression.items))
        case Infix():
            operands = tuple(rewrite(each, leaf) for each in expression.operands)
            return Infix(expression.operator, operands)
        case Pick():
            return Pick(rewrite(expression.of, leaf), expression.path)
        case Member():
            return Member(rewrite(expression.of, leaf), expression.name)
        case Repeated():
            item, over = rewrite(expression.item, leaf), rewrite(expression.over, leaf)
            return Repeated(item, over, expression.starred, expression.variable)
        case Choice():
            return Choice(
                rewrite(expression.condition, leaf),
                rewrite(expression.chosen, leaf),
                rewrite(expression.otherwise, leaf),
            )


def leaves(expression: Expression) -> list[Code | Hole | Variable]:
    """The leaves of an expression, from left to right."""
    found: list[Code | Hole | Variable] = []

    def gather(each: Code | Hole | Variable) -> Expression:
        found.append(each)
        return each

    rewrite(expression, gather)
    return found


def literal(value: Any) -> str:
    """A Python literal, in ASCII.

    Raises:
        TypeError: for a value that has no literal; no spec can bring one here.
    """
    match value:
        case None | bool() | int():
            return repr(value)
        case float():
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        case str():
            escaped = ascii(value)[1:-1].replace("\\'", "'").replace('"', '\\"')
            return f'"{escaped}"'
        case Several():
            return f"[{', '.join(literal(item) for item in value)}]"
        case tuple():
            return f"({', '.join(literal(item) for item in value)}{',' * (len(value) == 1)})"
    raise TypeError(f"{value!r} is not a literal")


def plain(value: Any) -> Any:
    """A pair of equal numbers as one number, which PyTorch takes for both."""
    if isinstance(value, Several):
        return value
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        return value[0]
    return value


def one_line(expression: Expression) -> str:
    """The expression on one line, however long."""
    match expression:
        case Code():
            return expression.text
        case Hole():
            return literal(plain(expression.value))
        case Invoke():
            inside = ", ".join(_arguments(expression))
            return f"{one_line(expression.function)}({inside})"
        case Listing():
            return f"[{', '.join(one_line(item) for item in expression.items)}]"
        case Infix():
            return f" {expression.operator} ".join(
                f"({one_line(each)})" if _needs_brackets(each, expression) else one_line(each)
                for each in expression.operands
            )
        case Member():
            return f"{one_line(expression.of)}.{expression.name}"
        case Variable():
            return "x"  # for estimates of width only
        case Pick():
            return one_line(expression.of) + "".join(f"[{index}]" for index in expression.path)
        case Repeated():
            text = f"{one_line(expression.item)} {_loop(expression)}"
            return f"*({text})" if expression.starred else text
        case Choice():
            return f"{one_line(expression.chosen)} {_condition(expression)}"


def _needs_brackets(operand: Expression, outer: Infix) -> bool:
    """Whether an operand binds no more than what is done with it."""
    if isinstance(operand, Infix) and operand.operator in ("*", "//"):
        return outer.operator not in ("+", "-")
    return isinstance(operand, Infix | Choice)


def _loop(repeated: Repeated) -> str:
    return f"for {repeated.variable} in {one_line(repeated.over)}"


def _condition(choice: Choice) -> str:
    return f"if {one_line(choice.condition)} else {one_line(choice.otherwise)}"


def laid_out(prefix: str, expression: Expression, depth: int, suffix: str = "") -> list[str]:
    """The lines of `prefix` and an expression at an indentation of `depth` levels."""
    margin = INDENT * depth
    line = f"{margin}{prefix}{one_line(expression)}{suffix}"
    if len(line) <= WIDTH:
        return [line]
    match expression:
        case Hole(value=Several() as values):
            listing = Listing(tuple(Code(literal(each)) for each in values))
            return _broken(f"{margin}{prefix}[", listing, "]", depth, suffix)
        case Invoke() if expression.arguments or expression.keywords:
            opening = f"{margin}{prefix}{one_line(expression.function)}("
            return _broken(opening, expression, ")", depth, suffix)
        case Listing():
            return _broken(f"{margin}{prefix}[", expression, "]", depth, suffix)
        case Repeated():
            if not expression.starred:
                lines = laid_out(prefix, expression.item, depth)
                return [*lines, f"{margin}{_loop(expression)}{suffix}"]
            return [
                f"{margin}{prefix}*(",
                *laid_out("", expression.item, depth + 1),
                f"{margin}{INDENT}{_loop(expression)}",
                f"{margin}){suffix}",
            ]
        case Choice():
            return _broken_choice(prefix, expression, depth, suffix)
    return [line]


def _broken_choice(prefix: str, choice: Choice, depth: int, suffix: str) -> list[str]:
    """A choice in parentheses: on a line of its own if that fits, else over three."""
    margin = INDENT * depth
    inside = f"{margin}{INDENT}{one_line(choice)}"
    lines = [inside]
    if len(inside) > WIDTH:
        lines = [
            *laid_out("", choice.chosen, depth + 1),
            *laid_out("if ", choice.condition, depth + 1),
            *laid_out("else ", choice.otherwise, depth + 1),
        ]
    return [f"{margin}{prefix}(", *lines, f"{margin}){suffix}"]


def _broken(
    opening: str, expression: Invoke | Listing, closing: str, depth: int, suffix: str
) -> list[str]:
    """A call or list over several lines: its content on one line if that fits, else one an item."""
    margin = INDENT * depth
    inside = (
        [one_line(each) for each in expression.items] if isinstance(expression, Listing) else []
    )
    if isinstance(expression, Invoke):
        inside = _arguments(expression)
    joined = f"{margin}{INDENT}{', '.join(inside)}"
    if len(joined) <= WIDTH:
        return [opening, joined, f"{margin}{closing}{suffix}"]
    lines = [opening]
    items = _named_items(expression)
    for name, item in items:
        prefix = f"{name}=" if name else ""
        lines += laid_out(prefix, item, depth + 1, "," if len(items) > 1 else "")
    return [*lines, f"{margin}{closing}{suffix}"]


def _arguments(call: Invoke) -> list[str]:
    return [
        f"{name}={one_line(item)}" if name else one_line(item) for name, item in _named_items(call)
    ]


def _named_items(expression: Invoke | Listing) -> list[tuple[str, Expression]]:
    if isinstance(expression, Listing):
        return [("", item) for item in expression.items]
    given = [keyword for keyword in expression.keywords if not is_default(keyword)]
    return [
        *(("", argument) for argument in expression.arguments),
        *((keyword.name, keyword.value) for keyword in given),
    ]


def is_default(keyword: Keyword) -> bool:
    """Whether a keyword argument says what the callee would assume anyway."""
    value = keyword.value
    if not isinstance(value, Hole) or keyword.default is ...:
        return False
    same_kind = isinstance(value.value, bool) == isinstance(keyword.default, bool)
    return same_kind and bool(plain(value.value) == plain(keyword.default))
