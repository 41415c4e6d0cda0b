"""The syntax tree: records named after the grammar's rules, with spans and no behaviour.

They are tuples, because a tree of a hundred thousand lines is made of a million of them.
"""

from typing import Literal

from netloom.diagnostics import Span
from netloom.syntax.record import Record

# ruff: noqa: D101  the grammar rule of the same name is each record's documentation


class Name(Record):
    text: str
    span: Span


class Number(Record):
    value: int | float
    span: Span


class Text(Record):
    value: str
    span: Span


class Truth(Record):
    value: bool
    span: Span


class Sequence(Record):
    items: tuple["Expression", ...]
    span: Span


class Variable(Record):
    name: str
    span: Span


class Incoming(Record):
    """`in`: the value that enters the innermost brace."""

    span: Span


class Attribute(Record):
    of: "Expression"
    name: Name
    span: Span


class Element(Record):
    """`list[position]`, counted from 0."""

    of: "Expression"
    position: "Expression"
    span: Span


class Application(Record):
    """A call inside an expression: `rf(features)`, `cross_entropy(logits, label)`."""

    name: Name
    arguments: tuple["Argument", ...]
    span: Span


class Unary(Record):
    """`-x` or `not x`."""

    operator: str
    operand: "Expression"
    span: Span


class Chain(Record):
    """`first op x op y …` of one precedence level, flat: a long sum is not a deep tree."""

    first: "Expression"
    rest: tuple[tuple[str, "Expression"], ...]
    span: Span


Expression = (
    Number
    | Text
    | Truth
    | Sequence
    | Variable
    | Incoming
    | Attribute
    | Element
    | Application
    | Unary
    | Chain
)


class Argument(Record):
    name: Name | None
    value: Expression
    span: Span


class Parameter(Record):
    name: Name
    type: Name
    default: Expression | None
    span: Span


class Call(Record):
    """A stage of a pipeline: an operator, block or network with arguments, or a value by its name.

    `head` chooses one of several heads of a network: `deepid.embedding`.
    """

    name: Name
    arguments: tuple[Argument, ...] | None
    head: Name | None
    span: Span


class Body(Record):
    statements: tuple["Statement", ...]
    span: Span


class Join(Record):
    """`concat { … }`, `add { … }`, `mul { … }`; each branch starts from the entering value.

    `unaligned` says that its paths are meant to look at different places.
    """

    kind: Name
    arguments: tuple[Argument, ...]
    branches: tuple["Body", ...]
    unaligned: bool
    span: Span


class Gate(Record):
    """`gate { … }`: multiplies what enters by what the body makes of it."""

    body: Body
    unaligned: bool
    span: Span


class Residual(Record):
    """`residual { body } shortcut { … }`, or with a condition, without which only the body is."""

    condition: Expression | None
    body: Body
    shortcut: "Shortcut | None"
    unaligned: bool
    span: Span


class Shortcut(Record):
    condition: Expression | None
    body: Body
    span: Span


class Repeat(Record):
    """`repeat n { … }`, `repeat i in a..b { … }` (b not included) or `repeat x in list { … }`.

    `stop` is None for a list, which is then `start`; `start` is None for a count.
    """

    variable: Name | None
    start: Expression | None
    stop: Expression | None
    body: Body
    span: Span


Stage = Call | Incoming | Join | Gate | Residual | Repeat


class Pipeline(Record):
    stages: tuple[Stage, ...]
    span: Span


class Input(Record):
    name: Name
    dtype: Name
    dims: tuple[Expression, ...]
    span: Span


class Target(Record):
    name: Name
    dtype: Name
    dims: tuple[Expression, ...]
    span: Span


class Head(Record):
    mode: Literal["train", "infer"] | None
    name: Name
    pipeline: Pipeline | None
    span: Span


class Require(Record):
    condition: Expression
    span: Span


class Let(Record):
    name: Name
    value: Expression
    span: Span


class Share(Record):
    """`share name = block(…)`: one instance, whose every call has the same weights."""

    name: Name
    call: Call
    span: Span


class Return(Record):
    """`return a, b`: the results of a block that has several."""

    names: tuple[Name, ...]
    span: Span


class If(Record):
    condition: Expression
    then: Body
    otherwise: "Body | If | None"
    span: Span


class Flow(Record):
    """`pipeline`, `name = pipeline` or `a, b = pipeline`."""

    names: tuple[Name, ...]
    pipeline: Pipeline
    span: Span


Statement = Input | Target | Head | Require | Let | Share | If | Flow | Return


class Network(Record):
    name: Name
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    span: Span


class Block(Record):
    name: Name
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    span: Span


class Setting(Record):
    name: Name
    value: Expression
    span: Span


class Calls(Record):
    """A setting that is a list of calls, one after the other: `augment { hflip rotate(10) }`."""

    name: Name
    calls: tuple[Call, ...]
    span: Span


class Train(Record):
    network: Name
    settings: tuple[Setting | Calls, ...]
    span: Span


class Imported(Record):
    """One name of an import, and the name that it gets here."""

    name: Name
    alias: Name | None
    span: Span


class Imports(Record):
    """`from "resnet.loom" import stage, basic as plain`."""

    path: Text
    names: tuple[Imported, ...]
    span: Span


Item = Imports | Let | Network | Block | Train


class File(Record):
    """A whole spec. `damaged` are the names of what could not be read because of mistakes in it."""

    version: int | None
    items: tuple[Item, ...]
    damaged: frozenset[str]
    span: Span
