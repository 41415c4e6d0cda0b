"""A network as plain data: from it come the text of a spec and, separately, a run in PyTorch."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

Argument = Any
"""A number, a pair, a word, true or false; or a `Param`."""


@dataclass(frozen=True)
class Param:
    """A block's parameter as an argument of a call inside it."""

    name: str


@dataclass(frozen=True)
class Call:
    """An operator with the arguments that are written out, the first `by_place` without name.

    `where` names the indices that an unpooling reads, or the map that a crop is cut down to.
    """

    operator: str
    arguments: dict[str, Argument] = field(default_factory=dict)
    by_place: int = 0
    where: str | None = None


@dataclass(frozen=True)
class Pipeline:
    """Stages on a value: the named one, else the current one. Without stages it is `in`."""

    stages: "tuple[Stage, ...]" = ()
    start: str | None = None


@dataclass(frozen=True)
class Line:
    """A statement: a pipeline, and names for its results."""

    pipeline: Pipeline
    names: tuple[str, ...] = ()


Body = tuple[Line, ...]


@dataclass(frozen=True)
class Join:
    """`add`, `mul` or `concat` of branches."""

    kind: str
    branches: tuple[Body, ...]


@dataclass(frozen=True)
class Residual:
    """What enters, or what a shortcut makes of it, plus what the body makes of it."""

    body: Body
    shortcut: Body | None = None


@dataclass(frozen=True)
class Gate:
    """What enters, times factors that the body makes of it."""

    body: Body


@dataclass(frozen=True)
class Repeat:
    """A body several times, one after the other."""

    times: int
    body: Body


@dataclass(frozen=True)
class BlockCall:
    """A call of a block, with all of its arguments."""

    block: str
    arguments: dict[str, Argument]


@dataclass(frozen=True)
class Shared:
    """A call of what `share` declares: every call has the same weights."""

    name: str


Stage = Call | Join | Residual | Gate | Repeat | BlockCall | Shared


@dataclass(frozen=True)
class Block:
    """A block with whole numbers as parameters."""

    name: str
    parameters: tuple[str, ...]
    body: Body


Side = int | str
"""A size of an input: a number, a letter, `2*h` or `2*h + 1`."""

Sizes = dict[str, int]
"""What the letters stand for."""


@dataclass(frozen=True)
class Net:
    """A network. At each of `bindings` no map in it is empty; `probes` are for receptive fields."""

    inputs: dict[str, tuple[Side, ...]]
    body: Body
    heads: tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    shares: dict[str, Call] = field(default_factory=dict)
    bindings: tuple[Sizes, ...] = ()
    seed: int = 0

    def with_body(self, body: Body) -> "Net":
        """The same with another body."""
        return replace(self, body=body)


def number(side: Side, sizes: Sizes) -> int:
    """A side of an input in numbers."""
    if isinstance(side, int):
        return side
    product, _, added = side.partition(" + ")
    factor, _, letter = product.rpartition("*")
    return int(factor or 1) * sizes[letter] + int(added or 0)


def letters(inputs: dict[str, tuple[Side, ...]]) -> list[str]:
    """The letters that the shapes of the inputs have."""
    sides = [side for shape in inputs.values() for side in shape if isinstance(side, str)]
    return sorted({side.partition(" + ")[0].rpartition("*")[2] for side in sides})


def spatial_axes(rank: int) -> dict[str, int]:
    """The axes along which a value has positions."""
    return {4: {"h": 2, "w": 3}, 3: {"t": 1}}.get(rank, {})


def stages(body: Body) -> Iterator[Stage]:
    """All stages in a body, at any depth."""
    for line in body:
        for stage in line.pipeline.stages:
            yield stage
            for inner in inner_bodies(stage):
                yield from stages(inner)


def inner_bodies(stage: Stage) -> tuple[Body, ...]:
    """The braces of a stage."""
    match stage:
        case Join():
            return stage.branches
        case Residual():
            return (stage.body, stage.shortcut) if stage.shortcut is not None else (stage.body,)
        case Gate() | Repeat():
            return (stage.body,)
        case _:
            return ()


def with_inner_bodies(stage: Stage, bodies: tuple[Body, ...]) -> Stage:
    """The stage with other braces."""
    match stage:
        case Join():
            return replace(stage, branches=bodies)
        case Residual():
            return Residual(bodies[0], bodies[1] if len(bodies) > 1 else None)
        case Gate() | Repeat():
            return replace(stage, body=bodies[0])
        case _:
            return stage
