"""The body of a class, before it is known which other instances share it."""

from dataclasses import dataclass, field

from netloom.emit.torch.expressions import Expression
from netloom.ir.graph import Mode, Scope, Value


@dataclass
class Statement:
    """`targets = expression`; without targets it is what `forward` returns."""

    expression: Expression
    results: tuple[Value, ...]
    targets: tuple[str, ...] = ()
    mode: Mode = "both"
    names: tuple[str | None, ...] = ()


@dataclass
class Body:
    """A class before it is known which other instances share it."""

    scope: Scope
    inputs: tuple[Value, ...]
    input_names: tuple[str, ...] = ()
    attributes: list[tuple[str, Expression]] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    outputs: list[tuple[str, str, Mode]] = field(default_factory=list)
    """Of a network with several heads: head, variable, mode. Others return `returned`."""
    returned: tuple[str, ...] = ()
