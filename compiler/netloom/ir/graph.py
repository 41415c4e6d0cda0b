"""A checked network: values, the layers that make them, and the scopes that a reader sees.

A graph is flat for the analyses (`layers`, in an order in which each comes after its operands) and
nested for the emitters that write for people (`scope`).
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from netloom.diagnostics import Span
from netloom.ir.field import Fields
from netloom.ir.op import Op
from netloom.ir.types import Type

Mode = Literal["both", "train", "infer"]
ScopeKind = Literal["network", "block", "branch", "shortcut", "repeat", "iteration", "named"]


class Value:
    """One tensor. `name` is how people refer to it: the spec's own name, or its layer's path.

    `fields` are its receptive fields once `passes/fields.py` has found them.
    """

    __slots__ = ("fields", "index", "layer", "name", "span", "type")

    def __init__(
        self,
        name: str,
        type: Type,
        span: Span | None = None,
        layer: "Layer | None" = None,
        index: int = 0,
    ) -> None:
        self.name, self.type, self.span, self.layer, self.index = name, type, span, layer, index
        self.fields: Fields | None = None

    def __repr__(self) -> str:
        return f"<{self.name}: {self.type}>"


class Layer:
    """An operator at its place in a network. `name` is its path: `stage2.basic1.conv2`.

    `mentions` are the names that its arguments read: a hint at what a number stands for.
    `weights_of` is the layer that owns its weights, itself unless they are shared; `twin` is the
    first call of something shared, of which this layer is a later call. `unaligned` says that the
    paths which it joins are meant to look at different places.
    """

    def __init__(self, name: str, op: Op, span: Span) -> None:
        self.name, self.op, self.span = name, op, span
        self.results: tuple[Value, ...] = ()
        self.mentions: tuple[str, ...] = ()
        self.unaligned = False
        self.weights_of: Layer = self
        self.twin: Layer | Scope | None = None

    @property
    def label(self) -> str:
        """The last part of the path."""
        return self.name.rpartition(".")[2]

    def __repr__(self) -> str:
        return f"<{self.name}: {self.op.name}>"


class Line:
    """What one pipeline of the spec placed, in order."""

    def __init__(
        self,
        steps: "tuple[Layer | Scope, ...]",
        results: tuple[Value, ...],
        names: tuple[str, ...] = (),
    ) -> None:
        self.steps, self.results, self.names = steps, results, names


class Scope:
    """A brace of the spec, or a named pipeline: what shares one prefix of names.

    `arguments` are the parameters of a block with what this call gave for them, `defaults` what it
    takes for those that are not given, `tensors` the values among them; other scopes have none.
    `definition` identifies the block or network, `entry` is the value that `in` means, `results` is
    what comes out. `twin` is the first call of something shared, of which this is a later call.

    The emitter sets `common`, the one body of all calls of something shared, and `passed`, what
    this call gives for the values that stand for parameters in it. `calls` are, in such a body, the
    values of all calls for each of its own.
    """

    def __init__(self, kind: ScopeKind, name: str, entry: Value | None) -> None:
        self.kind, self.name, self.entry = kind, name, entry
        self.block: str | None = None
        self.definition: int | None = None
        self.arguments: dict[str, Any] = {}
        self.defaults: dict[str, Any] = {}
        self.tensors: dict[str, Value] = {}
        self.lines: list[Line] = []
        self.results: tuple[Value, ...] = ()
        self.mentions: tuple[str, ...] = ()
        self.twin: Layer | Scope | None = None
        self.common: Scope | None = None
        self.passed: dict[int, Value] = {}
        self.calls: dict[int, tuple[Value, ...]] = {}

    @property
    def label(self) -> str:
        """The last part of the path."""
        return self.name.rpartition(".")[2]

    def steps(self) -> "Iterator[Layer | Scope]":
        """The layers and scopes directly inside, in order."""
        for line in self.lines:
            yield from line.steps

    def scopes(self) -> "Iterator[Scope]":
        """All scopes inside, at any depth, in order."""
        for step in self.steps():
            if isinstance(step, Scope):
                yield step
                yield from step.scopes()

    def layers(self) -> Iterator[Layer]:
        """All layers inside, at any depth, in order."""
        for step in self.steps():
            if isinstance(step, Layer):
                yield step
            else:
                yield from step.layers()


class Head:
    """A named output and the mode in which it exists."""

    def __init__(self, name: str, value: Value, mode: Mode, span: Span) -> None:
        self.name, self.value, self.mode, self.span = name, value, mode, span


class Graph:
    """One network."""

    def __init__(
        self,
        name: str,
        scope: Scope,
        inputs: tuple[Value, ...],
        targets: tuple[Value, ...],
        heads: tuple[Head, ...],
        layers: tuple[Layer, ...],
        named: dict[str, Value],
        span: Span,
    ) -> None:
        self.name, self.scope, self.span = name, scope, span
        self.inputs, self.targets, self.heads = inputs, targets, heads
        self.layers, self.named = layers, named
        self._needed: dict[frozenset[int], list[Layer]] = {}
        self._calls: list[list[list[Layer]]] | None = None

    def heads_in(self, mode: Literal["train", "infer"]) -> tuple[Head, ...]:
        """The heads that exist in training, or in the exported graph."""
        return tuple(head for head in self.heads if head.mode in ("both", mode))

    def layers_for(self, heads: tuple[Head, ...]) -> list[Layer]:
        """The layers that some heads need, in order; everything else is dead."""
        return self.layers_below(head.value for head in heads)

    def layers_below(self, values: Iterable[Value]) -> list[Layer]:
        """The layers on which some values depend, in order."""
        wanted = frozenset(map(id, values))
        if wanted not in self._needed:
            needed = set(wanted)
            kept: list[Layer] = []
            for layer in reversed(self.layers):
                if any(id(result) in needed for result in layer.results):
                    kept.append(layer)
                    needed.update(map(id, layer.op.reads()))
            self._needed[wanted] = kept[::-1]
        return self._needed[wanted]

    def layers_in(self, mode: Literal["train", "infer"]) -> list[Layer]:
        """The layers that training, or the exported graph, consists of."""
        return self.layers_for(self.heads_in(mode))

    def module_layers(self, heads: tuple[Head, ...] | None = None) -> list[Layer]:
        """The layers that a module runs for some heads, or for all.

        A call runs the whole `forward`, also where not all of its results are needed. All calls of
        something shared run one `forward`: what one call needs, each call makes.
        """
        alive = {id(layer) for layer in self.layers_for(self.heads)}
        if not self._calls_at_once():
            return self.layers_for(self.heads if heads is None else heads)
        self._run_together(alive, alive)
        if heads is not None:
            some = {id(layer) for layer in self.layers_for(heads)}
            self._run_together(some, alive)
            alive = some
        return [layer for layer in self.layers if id(layer) in alive]

    def _run_together(self, alive: set[int], served: set[int]) -> None:
        """Adds what else calls run of what is `served`, and what that reads."""
        before = -1
        while before < len(alive):
            before = len(alive)
            for calls in self._calls_at_once():
                called = [layers for layers in calls if any(id(each) in alive for each in layers)]
                for layers in zip(*called, strict=True):
                    if any(id(each) in served for each in layers):
                        alive.update(map(id, layers))
            for layer in reversed(self.layers):
                if id(layer) in alive:
                    alive.update(id(value.layer) for value in layer.op.reads() if value.layer)

    def _calls_at_once(self) -> list[list[list[Layer]]]:
        """The layers of each call, for what has several calls or several results."""
        if self._calls is None:
            found: dict[int, list[Scope]] = {}
            for scope in self.scope.scopes():
                found.setdefault(id(scope.twin or scope), []).append(scope)
            groups = found.values()
            several = [calls for calls in groups if len(calls) > 1 or len(calls[0].results) > 1]
            self._calls = [[list(call.layers()) for call in calls] for calls in several]
        return self._calls
