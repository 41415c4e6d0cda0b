"""A block that is called again in the same way is copied instead of expanded.

Deep networks are a few blocks called over and over: of the fifty bottlenecks of a ResNet-152, eight
are different. What an expansion makes depends on the block, the constants that it is given and the
types of the values that it reads, and on nothing else. The layers of an earlier call are therefore
right for a later one, but for their names and the values that they read. Calls in which something
is of its own (`Construction.own_layers`) are not copied.
"""

from typing import Any

from netloom.diagnostics import Span
from netloom.ir.graph import Layer, Line, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.passes.construction import Construction
from netloom.syntax import ast

Key = tuple[int, str, tuple[Type, ...], tuple[int, ...]]


def key_of(block: ast.Block | ast.Network, constants: dict[str, Any], read: list[Value]) -> Key:
    """What an expansion depends on: `read` are the entering value and the tensor arguments."""
    same = tuple(next(i for i, each in enumerate(read) if each is value) for value in read)
    return (id(block), repr(constants), tuple(value.type for value in read), same)


class Expanded:
    """A call of a block as it has been expanded: its scope, its layers in order, what it read."""

    def __init__(
        self, scope: Scope, layers: list[Layer], read: list[Value], nodes: int, depth: int
    ) -> None:
        self.scope, self.layers, self.read = scope, layers, read
        self.nodes, self.depth = nodes, depth
        self.blocks = _blocks_in(scope)
        # A name that is given to the call's result later is not the name of another call's.
        self.names = {id(value): value.name for layer in layers for value in layer.results}

    def copy(
        self, path: str, read: list[Value], construction: Construction, span: Span
    ) -> Scope | None:
        """The same layers below another path, reading other values; None where that is refused.

        Raises `Failed` (E217) where the network becomes too large.
        """
        if not construction.could_enter(self.blocks, self.depth):
            return None
        construction.spend(span, self.nodes)
        copies = _Copies(self, path, read)
        for layer in self.layers:
            construction.layers.append(copies.layer(layer))
        return copies.scope(self.scope)


class _Copies:
    def __init__(self, expanded: Expanded, path: str, read: list[Value]) -> None:
        self.old, self.new = len(expanded.scope.name), path
        self.names = expanded.names
        self.values = {id(old): new for old, new in zip(expanded.read, read, strict=True)}
        self.layers: dict[int, Layer] = {}

    def layer(self, layer: Layer) -> Layer:
        """A layer whose operands have already been copied."""
        copied = Layer(self._name(layer.name), self._op(layer.op), layer.span)
        copied.mentions, copied.unaligned = layer.mentions, layer.unaligned
        copied.results = tuple(
            Value(self._name(self.names[id(each)]), each.type, each.span, copied, each.index)
            for each in layer.results
        )
        for old, new in zip(layer.results, copied.results, strict=True):
            self.values[id(old)] = new
        self.layers[id(layer)] = copied
        return copied

    def scope(self, scope: Scope) -> Scope:
        """A scope, once all layers are copied."""
        copied = Scope(scope.kind, self._name(scope.name), self._value(scope.entry))
        copied.block, copied.definition = scope.block, scope.definition
        copied.mentions = scope.mentions
        copied.arguments, copied.defaults = scope.arguments, scope.defaults
        copied.tensors = {name: self.values[id(value)] for name, value in scope.tensors.items()}
        copied.results = tuple(self.values[id(value)] for value in scope.results)
        copied.lines = [
            Line(
                tuple(self._step(step) for step in line.steps),
                tuple(self.values[id(value)] for value in line.results),
                line.names,
            )
            for line in scope.lines
        ]
        return copied

    def _step(self, step: Layer | Scope) -> Layer | Scope:
        return self.layers[id(step)] if isinstance(step, Layer) else self.scope(step)

    def _op(self, op: Op) -> Op:
        """An operator with other operands; what its rules have answered stays true."""
        copied = object.__new__(type(op))
        fields = copied.__dict__
        fields.update(op.__dict__)
        fields.pop("_operands", None)
        for field in op.signature():
            if field.is_operand:
                given = fields[field.name]
                if isinstance(given, tuple):
                    fields[field.name] = tuple(self.values[id(each)] for each in given)
                else:
                    fields[field.name] = self._value(given)
        return copied

    def _value(self, value: Value | None) -> Value | None:
        return None if value is None else self.values[id(value)]

    def _name(self, name: str) -> str:
        return self.new + name[self.old :]


def _blocks_in(scope: Scope) -> set[int]:
    found = {scope.definition} if scope.definition else set()
    for step in scope.steps():
        if isinstance(step, Scope):
            found |= _blocks_in(step)
    return found
