"""The syntax tree: frozen records named after the grammar's rules, with spans and no behaviour."""

from dataclasses import dataclass
from typing import Literal

from netloom.diagnostics import Span

# ruff: noqa: D101  the grammar rule of the same name is each record's documentation


@dataclass(frozen=True)
class Name:
    text: str
    span: Span


@dataclass(frozen=True)
class Number:
    value: int | float
    span: Span


@dataclass(frozen=True)
class Text:
    value: str
    span: Span


@dataclass(frozen=True)
class Truth:
    value: bool
    span: Span


@dataclass(frozen=True)
class Sequence:
    items: tuple["Expression", ...]
    span: Span


@dataclass(frozen=True)
class Variable:
    name: str
    span: Span


@dataclass(frozen=True)
class Incoming:
    """`in`: the value that enters the innermost brace."""

    span: Span


@dataclass(frozen=True)
class Attribute:
    of: "Expression"
    name: Name
    span: Span


@dataclass(frozen=True)
class Application:
    """A call inside an expression: `rf(features)`, `cross_entropy(logits, label)`."""

    name: Name
    arguments: tuple["Argument", ...]
    span: Span


@dataclass(frozen=True)
class Unary:
    """`-x` or `not x`."""

    operator: str
    operand: "Expression"
    span: Span


@dataclass(frozen=True)
class Chain:
    """`first op x op y …` of one precedence level, flat: a long sum is not a deep tree."""

    first: "Expression"
    rest: tuple[tuple[str, "Expression"], ...]
    span: Span


Expression = (
    Number | Text | Truth | Sequence | Variable | Incoming | Attribute | Application | Unary | Chain
)


@dataclass(frozen=True)
class Argument:
    name: Name | None
    value: Expression
    span: Span


@dataclass(frozen=True)
class Parameter:
    name: Name
    type: Name
    default: Expression | None
    span: Span


@dataclass(frozen=True)
class Call:
    """A stage of a pipeline: an operator or block with its arguments, or a value by its name."""

    name: Name
    arguments: tuple[Argument, ...] | None
    span: Span


@dataclass(frozen=True)
class Body:
    statements: tuple["Statement", ...]
    span: Span


@dataclass(frozen=True)
class Join:
    """`concat { … }`, `add { … }`, `mul { … }`; each branch starts from the entering value."""

    kind: Name
    arguments: tuple[Argument, ...]
    branches: tuple["Body", ...]
    span: Span


@dataclass(frozen=True)
class Residual:
    body: Body
    shortcut: "Shortcut | None"
    span: Span


@dataclass(frozen=True)
class Shortcut:
    condition: Expression | None
    body: Body
    span: Span


@dataclass(frozen=True)
class Repeat:
    """`repeat n { … }` or `repeat i in a..b { … }` (b not included)."""

    variable: Name | None
    start: Expression | None
    stop: Expression
    body: Body
    span: Span


Stage = Call | Incoming | Join | Residual | Repeat


@dataclass(frozen=True)
class Pipeline:
    stages: tuple[Stage, ...]
    span: Span


@dataclass(frozen=True)
class Input:
    name: Name
    dtype: Name
    dims: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True)
class Target:
    name: Name
    dtype: Name
    dims: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True)
class Head:
    mode: Literal["train", "infer"] | None
    name: Name
    pipeline: Pipeline | None
    span: Span


@dataclass(frozen=True)
class Require:
    condition: Expression
    span: Span


@dataclass(frozen=True)
class Let:
    name: Name
    value: Expression
    span: Span


@dataclass(frozen=True)
class If:
    condition: Expression
    then: Body
    otherwise: "Body | If | None"
    span: Span


@dataclass(frozen=True)
class Flow:
    """`pipeline`, `name = pipeline` or `a, b = pipeline`."""

    names: tuple[Name, ...]
    pipeline: Pipeline
    span: Span


Statement = Input | Target | Head | Require | Let | If | Flow


@dataclass(frozen=True)
class Network:
    name: Name
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True)
class Block:
    name: Name
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True)
class Setting:
    name: Name
    value: Expression
    span: Span


@dataclass(frozen=True)
class Calls:
    """A setting that is a list of calls, one after the other: `augment { hflip rotate(10) }`."""

    name: Name
    calls: tuple[Call, ...]
    span: Span


@dataclass(frozen=True)
class Train:
    network: Name
    settings: tuple[Setting | Calls, ...]
    span: Span


@dataclass(frozen=True)
class File:
    """A whole spec."""

    version: int | None
    networks: tuple[Network, ...]
    blocks: tuple[Block, ...]
    trains: tuple[Train, ...]
    span: Span
