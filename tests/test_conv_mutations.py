"""The oracle comparisons notice every way in which a rule of the convolution could be wrong.

Each mutant puts a wrong rule in the place of one of `Conv`'s; the comparison that watches over that
rule must then fail for at least one case of `oracles/operators.py`.
"""

import math
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, NamedTuple

import pytest

from comparisons import (
    compare_attributes,
    compare_emitted_pytorch,
    compare_fields,
    compare_macs,
    compare_onnx,
    compare_parameters,
    compare_refusal,
    compare_shapes,
)
from netloom.ir.node import Node
from netloom.ir.window import Window
from netloom.ops import conv
from netloom.ops.conv import Conv
from oracles.operators import CONV as CASES
from oracles.refused import CONV as REFUSED

Rule = Callable[[Conv], Any]


def changed(record: Any, **fields: Any) -> Any:
    """A copy of a record with some fields replaced."""
    if isinstance(record, tuple):
        return record._replace(**fields)  # type: ignore[attr-defined]
    other = copy(record)
    for answer in [name for name in vars(other) if name.startswith("_")]:
        del other.__dict__[answer]
    other.__dict__.update(fields)
    return other


TRUE: Mapping[str, Rule] = {
    rule: getattr(Conv, rule) for rule in ("result", "window", "params", "macs", "torch", "onnx")
}


WATCHES: Mapping[str, Callable[[Any], None]] = {
    "result": compare_shapes,
    "window": compare_fields,
    "params": compare_parameters,
    "macs": compare_macs,
    "torch": compare_emitted_pytorch,
    "onnx": compare_onnx,
}
"""Which comparison watches over which rule."""


def noticed(compare: Callable[[Any], None], cases: list[Any]) -> bool:
    """Whether a comparison fails for one of the cases, and not because the mutant cannot run."""
    for case in cases:
        try:
            compare(case)
        except (AttributeError, NameError, RecursionError, TypeError):
            raise
        except Exception:
            return True
    return False


@pytest.mark.parametrize("compare", [*WATCHES.values(), compare_attributes])
def test_the_rules_as_they_are_pass(compare: Callable[[Any], None]) -> None:
    assert not noticed(compare, CASES)


class Mutant(NamedTuple):
    """A wrong rule."""

    title: str
    rule: str
    broken: Rule


OTHER_ARGUMENTS: Mapping[str, Any] = {
    "out": 3,
    "kernel": (2, 2),
    "stride": (1, 1),
    "pad": (0, 0),
    "dilation": (1, 1),
    "groups": 1,
    "bias": True,
}

READS: Mapping[str, tuple[str, ...]] = {
    "result": ("out", "kernel", "stride", "pad", "dilation"),
    "window": ("kernel", "stride", "pad", "dilation"),
    "params": ("out", "kernel", "groups", "bias"),
    "macs": ("out", "kernel", "stride", "pad", "dilation", "groups"),
    "torch": ("out", "kernel", "stride", "pad", "dilation", "groups", "bias"),
    "onnx": ("kernel", "stride", "pad", "dilation", "groups", "bias"),
}
"""On which arguments the answer of each rule depends."""


def _forgetting() -> list[Mutant]:
    """For each rule and argument: answers as if it were another, or its sides were exchanged."""
    found = []
    for rule, arguments in READS.items():
        for name in arguments:
            other = OTHER_ARGUMENTS[name]
            found.append(Mutant(f"{name} ignored", rule, _asked_with(rule, name, other)))
            if isinstance(other, tuple):
                found.append(Mutant(f"{name} turned", rule, _asked_turned(rule, name)))
    return found


def _asked_with(rule: str, name: str, value: Any) -> Rule:
    return lambda op: TRUE[rule](changed(op, **{name: value}))


def _asked_turned(rule: str, name: str) -> Rule:
    return lambda op: TRUE[rule](changed(op, **{name: getattr(op, name)[::-1]}))


def _shape(change: Callable[..., tuple[Any, ...]]) -> Rule:
    """The result with another shape."""

    def broken(op: Conv) -> Any:
        true = TRUE["result"](op)
        return changed(true, shape=change(op, *true.shape))

    return broken


def _windows(change: Callable[[Window], Window]) -> Rule:
    return lambda op: tuple(map(change, TRUE["window"](op)))


def _weight(change: Callable[[Conv, Any], tuple[int, ...]]) -> Rule:
    """The parameters with a weight of another shape."""

    def broken(op: Conv) -> Any:
        true = TRUE["params"](op)
        shape = change(op, true["weight"].shape)
        return {**true, "weight": changed(true["weight"], shape=shape)}

    return broken


def _call(**changes: Callable[[Any], Any]) -> Rule:
    """The call in PyTorch with another target, arguments or the like."""

    def broken(op: Conv) -> Any:
        true = TRUE["torch"](op)
        return changed(
            true, **{name: change(getattr(true, name)) for name, change in changes.items()}
        )

    return broken


def _node(change: Callable[[Node], Node]) -> Rule:
    return lambda op: change(TRUE["onnx"](op))


def _attributes(**changes: Callable[[Any], Any]) -> Rule:
    return _node(
        lambda node: changed(
            node,
            attributes={
                **node.attributes,
                **{name: change(node.attributes[name]) for name, change in changes.items()},
            },
        )
    )


MISCALCULATING = [
    Mutant("one pixel too few", "result", _shape(lambda op, n, c, h, w: (n, c, h, w - 1))),
    Mutant("one pixel too many", "result", _shape(lambda op, n, c, h, w: (n, c, h + 1, w))),
    Mutant("sides exchanged", "result", _shape(lambda op, n, c, h, w: (n, c, w, h))),
    Mutant("one sample", "result", _shape(lambda op, n, c, h, w: (1, c, h, w))),
    Mutant("channels kept", "result", _shape(lambda op, n, c, h, w: (n, op.x.type.shape[1], h, w))),
    Mutant("size kept", "result", _shape(lambda op, n, c, h, w: (n, c, *op.x.type.shape[2:]))),
    Mutant(
        "rounded up",
        "result",
        _shape(
            lambda op, n, c, *_: (
                n,
                c,
                *(
                    (length + 2 * window.pad - window.extent + window.step - 1) // window.step + 1
                    for length, window in zip(op.x.type.shape[2:], op.window(), strict=True)
                ),
            )
        ),
    ),
    Mutant("sign of the padding", "window", _windows(lambda w: Window(w.extent, w.step, -w.pad))),
    Mutant("padding twice", "window", _windows(lambda w: Window(w.extent, w.step, 2 * w.pad))),
    Mutant("extent too large", "window", _windows(lambda w: Window(w.extent + 1, w.step, w.pad))),
    Mutant("a step in taps", "window", _windows(lambda w: Window(w.extent, w.step + 1, w.pad))),
    Mutant("sides exchanged", "window", lambda op: TRUE["window"](op)[::-1]),
    Mutant(
        "kernel times dilation",
        "window",
        lambda op: tuple(
            Window(dilation * kernel, window.step, window.pad)
            for dilation, kernel, window in zip(
                op.dilation, op.kernel, TRUE["window"](op), strict=True
            )
        ),
    ),
    Mutant("only a point", "window", _windows(lambda w: Window())),
    Mutant(
        "no weight", "params", lambda op: {"bias": TRUE["params"](op)["bias"]} if op.bias else {}
    ),
    Mutant("no bias", "params", lambda op: {"weight": TRUE["params"](op)["weight"]}),
    Mutant("weight transposed", "params", _weight(lambda op, s: (s[1], s[0], *s[2:]))),
    Mutant("kernel turned", "params", _weight(lambda op, s: (*s[:2], *s[:1:-1]))),
    Mutant("outputs divided", "params", _weight(lambda op, s: (s[0] // op.groups, *s[1:]))),
    Mutant(
        "nothing learned",
        "params",
        lambda op: {
            name: changed(each, learned=False) for name, each in TRUE["params"](op).items()
        },
    ),
    Mutant("operations counted", "macs", lambda op: 2 * TRUE["macs"](op)),
    Mutant(
        "additions of the bias counted",
        "macs",
        lambda op: TRUE["macs"](op) + op.bias * math.prod(op.result().shape),
    ),
    Mutant("for one group", "macs", lambda op: TRUE["macs"](op) // op.groups),
    Mutant("for one channel", "macs", lambda op: TRUE["macs"](op) // op.out),
    Mutant("weights counted", "macs", lambda op: math.prod(TRUE["params"](op)["weight"].shape)),
    Mutant("free", "macs", lambda op: 0),
    Mutant("another layer", "torch", _call(target=lambda _: "nn.ConvTranspose2d")),
    Mutant("channels exchanged", "torch", _call(arguments=lambda a: (a[1], a[0], a[2]))),
    Mutant("the kernel alone", "torch", _call(arguments=lambda a: (*a[:2], a[2][0]))),
    Mutant("another node", "onnx", _node(lambda n: changed(n, op_type="ConvTranspose"))),
    Mutant("no bias", "onnx", _node(lambda n: changed(n, inputs=n.inputs[:2]))),
    Mutant(
        "a bias of weights",
        "onnx",
        _node(lambda n: changed(n, inputs=(*n.inputs[:2], n.inputs[1]))),
    ),
    Mutant("padding on one side", "onnx", _attributes(pads=lambda p: (*p[:2], 0, 0))),
    Mutant("padding in pairs", "onnx", _attributes(pads=lambda p: (p[0], p[0], p[1], p[1]))),
    Mutant("padding found out", "onnx", _attributes(auto_pad=lambda _: "SAME_UPPER")),
    Mutant("groups by their size", "onnx", _attributes(group=lambda g: 6 // g)),
]


@pytest.mark.parametrize(
    "mutant", [*_forgetting(), *MISCALCULATING], ids=lambda mutant: f"{mutant.rule}, {mutant.title}"
)
def test_a_wrong_rule_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conv, mutant.rule, mutant.broken)
    assert noticed(WATCHES[mutant.rule], CASES)


@pytest.mark.parametrize(
    "name", ["auto_pad", "kernel_shape", "strides", "pads", "dilations", "group"]
)
def test_a_missing_attribute_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(op: Conv) -> Node:
        true: Node = TRUE["onnx"](op)
        attributes = {each: value for each, value in true.attributes.items() if each != name}
        other: Node = changed(true, attributes=attributes)
        return other

    monkeypatch.setattr(Conv, "onnx", without)
    assert noticed(compare_attributes, CASES)


@pytest.mark.parametrize("name", ["out", "kernel", "stride", "pad", "dilation", "groups"])
def test_a_missing_bound_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unbounded = [
        changed(field, minimum=None) if field.name == name else field for field in Conv.signature()
    ]
    monkeypatch.setattr(Conv, "_signature", unbounded)
    assert noticed(compare_refusal, REFUSED)


@pytest.mark.parametrize("check", ["_check_groups", "filled"])
def test_a_missing_check_is_noticed(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, check, lambda *given: given[0])
    assert noticed(compare_refusal, REFUSED)


def test_the_checks_as_they_are_pass() -> None:
    assert not noticed(compare_refusal, REFUSED)
