"""One body for all calls of something shared, with parameters in place of what a call gives.

`s(l)` on `l` and `s(u)` on `l` read other values, and so few that nobody sees in the first call
which of them is meant. All calls together tell: two operands are the same parameter if each call
gives the same value for both.
"""

from collections.abc import Sequence
from copy import copy
from typing import cast

from netloom.ir.graph import Layer, Line, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import Type


def share_bodies(scope: Scope) -> None:
    """Gives all calls of something shared, at any depth, their common body."""
    groups: dict[str, list[Scope]] = {}
    for step in scope.steps():
        if isinstance(step, Scope):
            groups.setdefault((step.twin or step).name, []).append(step)
    for calls in groups.values():
        body = calls[0]
        if len(calls) > 1:
            common = _Common(len(calls))
            body = common.scope(calls)
            for call, passed in zip(calls, common.passed, strict=True):
                call.common, call.passed = body, passed
        share_bodies(body)


class _Common:
    """Walks along all calls at once. What they make becomes one value, what they read a parameter.

    Calls of one instance are equal in structure; `check` refuses others.
    """

    def __init__(self, count: int) -> None:
        self.values: dict[tuple[int, ...], Value] = {}
        self.calls: dict[int, tuple[Value, ...]] = {}
        self.passed: list[dict[int, Value]] = [{} for _ in range(count)]

    def scope(self, calls: Sequence[Scope]) -> Scope:
        """The body, or a scope inside it."""
        body = copy(calls[0])
        body.calls = self.calls
        body.entry = self._value([call.entry for call in calls])
        names = body.tensors
        body.tensors = {name: self._read([each.tensors[name] for each in calls]) for name in names}
        lines = zip(*(call.lines for call in calls), strict=True)
        body.lines = [self._line(each) for each in lines]
        body.results = self._reads([call.results for call in calls])
        return body

    def _line(self, lines: Sequence[Line]) -> Line:
        steps = [self._step(each) for each in zip(*(line.steps for line in lines), strict=True)]
        return Line(tuple(steps), self._reads([line.results for line in lines]), lines[0].names)

    def _step(self, steps: "Sequence[Layer | Scope]") -> "Layer | Scope":
        if isinstance(steps[0], Layer):
            return self._layer(cast("Sequence[Layer]", steps))
        return self.scope(cast("Sequence[Scope]", steps))

    def _layer(self, layers: Sequence[Layer]) -> Layer:
        layer = copy(layers[0])
        layer.op = self._op([each.op for each in layers])
        results = []
        for made in zip(*(each.results for each in layers), strict=True):
            first = made[0]
            result = Value(first.name, self._type(made), first.span, layer, first.index)
            self.values[tuple(map(id, made))] = result
            self.calls[id(result)] = tuple(made)
            results.append(result)
        layer.results = tuple(results)
        return layer

    def _op(self, ops: Sequence[Op]) -> Op:
        copied: Op = object.__new__(type(ops[0]))
        fields = copied.__dict__
        fields.update(ops[0].__dict__)
        fields.pop("_operands", None)
        for field in copied.signature():
            if field.is_operand:
                given = [getattr(op, field.name) for op in ops]
                is_list = isinstance(given[0], tuple)
                fields[field.name] = self._reads(given) if is_list else self._value(given)
        return copied

    def _type(self, made: Sequence[Value]) -> Type:
        """The type in the first call; indices of a pooling point to a value of the body."""
        pooled = self._value([each.type.pooled_from for each in made])
        return made[0].type._replace(pooled_from=pooled)

    def _reads(self, columns: Sequence[tuple[Value, ...]]) -> tuple[Value, ...]:
        return tuple(self._read(each) for each in zip(*columns, strict=True))

    def _value(self, values: "Sequence[Value | None]") -> Value | None:
        return None if values[0] is None else self._read(cast("Sequence[Value]", values))

    def _read(self, values: Sequence[Value]) -> Value:
        key = tuple(map(id, values))
        if key not in self.values:
            first = values[0]  # its maker stays: an `unpool` asks it for the window
            parameter = Value(first.name, self._type(values), first.span, first.layer, first.index)
            self.values[key] = parameter
            self.calls[id(parameter)] = tuple(values)
            for passed, value in zip(self.passed, values, strict=True):
                passed[id(parameter)] = value
        return self.values[key]
