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
    partners = _given(first, second)
    differences = []
    for left, right in zip(one, two, strict=False):
        if not _is_same(left, right) or not _are_wired_alike(left, right, partners):
            differences.append(f"`{left.name}` and `{right.name}`")
        for value, partner in zip(left.results, right.results, strict=False):
            partners.setdefault(id(value), set()).add(id(partner))
    if len(one) != len(two) or differences:
        what = f": {differences[0]} differ" if differences else ""
        message = f"this call of `{instance.name}` cannot share the weights of the first{what}"
        notes = (Note("the first call is here", instance.first_span),)
        help = "what enters must have the same channels, and the arguments must be the same"
        raise Failed(Diagnostic("E220", message, span, notes=notes, help=help))
    for left, right in zip(one, two, strict=True):
        right.weights_of = left.weights_of
    second.twin = first.twin or first


def _given(first: Layer | Scope, second: Layer | Scope) -> dict[int, set[int]]:
    """For each value that the first call is given, those that the second is given in its place."""
    if isinstance(first, Layer) or isinstance(second, Layer):
        reads = [[id(value) for value in step.op.reads()] for step in (first, second)]  # type: ignore[union-attr]
        pairs = list(zip(*reads, strict=False))
    else:
        names = first.tensors.keys() & second.tensors.keys()
        pairs = [(id(first.entry), id(second.entry))]
        pairs += [(id(first.tensors[name]), id(second.tensors[name])) for name in names]
    partners: dict[int, set[int]] = {}
    for one, two in pairs:
        partners.setdefault(one, set()).add(two)
    return partners


def _are_wired_alike(one: Layer, two: Layer, partners: dict[int, set[int]]) -> bool:
    """Whether a layer reads what corresponds to what its counterpart reads."""
    left, right = one.op.operands(), two.op.operands()
    return len(left) == len(right) and all(
        id(theirs) in partners.get(id(ours), set())
        for ours, theirs in zip(left, right, strict=True)
    )


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
