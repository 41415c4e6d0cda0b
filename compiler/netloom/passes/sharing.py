"""Two calls of one thing have the same weights."""

from typing import Any

from netloom.diagnostics import Diagnostic, Failed, Note, Span
from netloom.ir.call import Call, Module
from netloom.ir.graph import Layer, Scope, Value
from netloom.passes.construction import Instance


def pair_weights(
    first: Layer | Scope, second: Layer | Scope, instance: Instance, span: Span
) -> None:
    """Lets the layers of a later call use the weights of the first call's.

    Raises `Failed` (E220) where the two differ: in a layer, in a weight's shape, or in what has to
    be written for a layer, which can depend on the size of what enters.
    """
    one, two = _layers(first), _layers(second)
    differences = [
        f"`{left.name}` and `{right.name}`"
        for left, right in zip(one, two, strict=False)
        if not _is_same(left, right)
    ]
    if len(one) != len(two) or differences:
        what = f": {differences[0]} differ" if differences else ""
        message = f"this call of `{instance.name}` cannot share the weights of the first{what}"
        notes = (Note("the first call is here", instance.first_span),)
        help = "what enters must have the same channels, and the arguments must be the same"
        raise Failed(Diagnostic("E220", message, span, notes=notes, help=help))
    for left, right in zip(one, two, strict=True):
        right.weights_of = left.weights_of
    second.twin = first.twin or first


def _layers(step: Layer | Scope) -> list[Layer]:
    return [step] if isinstance(step, Layer) else list(step.layers())


def _is_same(one: Layer, two: Layer) -> bool:
    if type(one.op) is not type(two.op):
        return False
    shapes = [{key: p.shape for key, p in layer.op.params().items()} for layer in (one, two)]
    return shapes[0] == shapes[1] and _written(one.op.torch()) == _written(two.op.torch())


def _written(call: Call) -> Any:
    """What a call says apart from the values that it is applied to."""
    options = {name: option.value for name, option in call.options.items()}
    literals = [each for each in call.arguments if not isinstance(each, Value | list)]
    if isinstance(call, Module):
        given = {k: v for k, v in call.call_options.items() if not isinstance(v, Value)}
        inner = _written(call.function) if call.function else None
        return (call.target, literals, options, given, inner)
    return (call.name, literals, options)
