"""Calls of one block that differ in optional parts: a projection, a skip connection, a gate.

The fullest call stands for all. What another call lacks is, there, the identity: a module with one
operand and one result, or the sum of a residual.
"""

from typing import NamedTuple

from netloom.emit.torch.modules import arguments_of, chain, inputs_of
from netloom.ir.call import Function, Module
from netloom.ir.graph import Layer, Scope, Value

Step = Layer | Scope


class Embedding(NamedTuple):
    """How a call is part of a fuller one.

    `values` are what the call has for each value of the fuller one, `without` the steps of the
    fuller one that it lacks; both by identity.
    """

    values: dict[int, Value]
    without: frozenset[int]


def embedding(full: Scope, call: Scope) -> Embedding | None:
    """How `call` is part of `full`; None if it is not."""
    if _is_shared(full) or _is_shared(call):
        return None
    entering, given = inputs_of(full), inputs_of(call)
    if len(entering) != len(given) or len(full.results) != len(call.results):
        return None
    values = {id(one): other for one, other in zip(entering, given, strict=True)}
    without = set()
    waiting = list(call.steps())
    for step in full.steps():
        if waiting and _matches(step, waiting[0], values):
            other = waiting.pop(0)
            pairs = zip(step.results, other.results, strict=True)
            values.update((id(one), result) for one, result in pairs)
            continue
        left = _when_left_out(step)
        if left is None:
            return None
        values[id(step.results[0])] = values[id(left)]
        without.add(id(step))
    pairs = zip(full.results, call.results, strict=True)
    if any(values.get(id(one)) is not other for one, other in pairs):
        return None
    return Embedding(values, frozenset(without))


def is_sum(step: Step) -> bool:
    """Whether a step is the sum of a residual, or another sum of two."""
    call = step.op.torch() if isinstance(step, Layer) else None
    return isinstance(call, Function) and call.name == "+" and len(call.arguments) == 2


def _is_shared(scope: Scope) -> bool:
    """Whether something in it is called twice, or reads values one iteration after the other."""
    return any(
        step.twin is not None
        or (isinstance(step, Scope) and (step.common is not None or _is_unrolled(step)))
        for step in scope.steps()
    )


def _is_unrolled(scope: Scope) -> bool:
    return scope.kind == "repeat" and chain(scope) is None


def _when_left_out(step: Step) -> Value | None:
    """What stands for the result of a step that a call lacks."""
    if isinstance(step, Scope):
        given = arguments_of(step)
        return given[0] if len(given) == len(step.results) == 1 else None
    call = step.op.torch()
    if isinstance(call, Module):
        is_plain = call.picks == ((),) and not call.call_options and len(call.inputs) == 1
        return call.inputs[0] if is_plain and not call.function else None
    first = call.arguments[0] if is_sum(step) else None
    return first if isinstance(first, Value) else None


def _matches(step: Step, other: Step, values: dict[int, Value]) -> bool:
    if step.label != other.label or len(step.results) != len(other.results):
        return False
    if isinstance(step, Scope) and isinstance(other, Scope):
        return step.kind == other.kind and _stand_for(
            list(arguments_of(step)), list(arguments_of(other)), values
        )
    if isinstance(step, Layer) and isinstance(other, Layer):
        return _is_same_layer(step, other, values)
    return False


def _is_same_layer(layer: Layer, other: Layer, values: dict[int, Value]) -> bool:
    one, two = layer.op.torch(), other.op.torch()
    if isinstance(one, Function) and isinstance(two, Function):
        return _is_same_function(one, two, values)
    if not (isinstance(one, Module) and isinstance(two, Module)):
        return False
    in_place = one.function, two.function
    if any(in_place):
        return all(in_place) and _is_same_function(*in_place, values)  # type: ignore[arg-type]
    return (
        one.target == two.target
        and one.picks == two.picks
        and not one.call_options
        and not two.call_options
        and _stand_for(list(one.inputs), list(two.inputs), values)
    )


def _is_same_function(one: Function, other: Function, values: dict[int, Value]) -> bool:
    options = [{name: each.value for name, each in call.options.items()} for call in (one, other)]
    return (
        one.name == other.name
        and options[0] == options[1]
        and _stand_for(list(one.arguments), list(other.arguments), values)
    )


def _stand_for(ours: list[object], theirs: list[object], values: dict[int, Value]) -> bool:
    """Whether arguments are what stands for the others, literals and lists included."""
    if len(ours) != len(theirs):
        return False
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, Value):
            if values.get(id(one)) is not other:
                return False
        elif isinstance(one, list) and isinstance(other, list):
            if not _stand_for(one, other, values):
                return False
        elif type(one) is not type(other) or one != other:
            return False
    return True
