"""Which parameter of a class stands for a literal in which its instances differ."""

from collections.abc import Sequence
from typing import Any

from netloom.emit.names import identifier
from netloom.emit.torch.body import Body
from netloom.emit.torch.expressions import Code, Expression, Hole, Infix
from netloom.ops.operands import channel_axis


def known_arguments(bodies: list[Body]) -> dict[str, tuple[Any, ...]]:
    """What could explain a literal: the channels that enter, then the block's parameters."""
    known: dict[str, tuple[Any, ...]] = {}
    entries = [body.scope.entry for body in bodies]
    channels = tuple(
        entry.type.shape[channel_axis(entry.type.rank)] if entry and entry.type.rank > 1 else None
        for entry in entries
    )
    parameters = bodies[0].scope.arguments
    if "in_channels" not in parameters:
        known["in_channels"] = channels
    for name in parameters:
        known[name] = tuple(body.scope.arguments[name] for body in bodies)
    return known


def settled_literal(
    column: Sequence[Hole],
    known: dict[str, tuple[Any, ...]],
    used: dict[str, tuple[Any, ...]],
) -> Expression:
    """What stands for one literal in the class that all instances share."""
    values = tuple(hole.value for hole in column)
    first = column[0]
    if all(_same(value, values[0]) for value in values):
        return first

    # Several names may explain the numbers: those that the call itself reads do so best, and the
    # block's own parameters do better than the channels that happen to enter.
    def likelihood(item: tuple[str, Any]) -> tuple[bool, bool]:
        return item[0] not in first.mentions, item[0] == "in_channels"

    candidates = sorted(known.items(), key=likelihood)
    for name, vector in candidates:
        if vector in (values, tuple(map(_pair, values))):
            used[name] = vector
            return Code(identifier(name))
    for name, vector in candidates:
        scaled = _scaled(identifier(name), vector, values)
        if scaled:
            used[name] = vector
            return scaled
    for name, vector in used.items():
        if vector == values:
            return Code(identifier(name))
    fresh = first.role
    while fresh in used or fresh in known:
        fresh += "_"
    used[fresh] = values
    return Code(identifier(fresh))


def _scaled(name: str, vector: tuple[Any, ...], values: tuple[Any, ...]) -> Expression | None:
    """A multiple or a part of a parameter that gives the values."""
    if not all(type(each) is int and each for each in (*vector, *values)):
        return None
    factor = values[0] // vector[0]
    if factor > 1 and all(v == factor * p for v, p in zip(values, vector, strict=True)):
        return Infix("*", (Code(str(factor)), Code(name)))
    part = vector[0] // values[0]
    if part > 1 and all(v == p // part for v, p in zip(values, vector, strict=True)):
        return Infix("//", (Code(name), Code(str(part))))
    return None


def _pair(value: Any) -> Any:
    """A pair of equal numbers as the number that the spec gave."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)
