"""The reference of everything that a spec can call by name, made from the declarations.

`make docs` writes it to docs/reference.md; a test compares, so the page cannot drift.
"""

import inspect
import types
from typing import Any, Literal, Union, get_args, get_origin

import netloom.ops  # noqa: F401  registers the operators
from netloom.ir.declared import Declared, Field, Pair
from netloom.ir.graph import Value
from netloom.ir.op import Op
from netloom.passes.expressions import text_of
from netloom.train.augmentations import Augmentation
from netloom.train.losses import Loss
from netloom.train.metrics import Metric
from netloom.train.optimizers import Optimizer
from netloom.train.schedules import Schedule
from netloom.train.sources import DataSource

FAMILIES: dict[str, type[Declared]] = {
    "Operators": Op,
    "Losses": Loss,
    "Optimizers": Optimizer,
    "Schedules": Schedule,
    "Augmentations": Augmentation,
    "Metrics": Metric,
    "Data sources": DataSource,
}

INTRODUCTION = """\
# Reference

Everything that a spec can call by name. This page is made from the declarations in the code by
`make docs`.

Of an operator, the first operand is the current value and is not written in the call; the others
are arguments, in this order or by name. A `pair` is one whole number for both axes, or
`[height, width]`.
"""


def reference() -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION]
    for heading, family in FAMILIES.items():
        parts.append(f"## {heading}\n")
        parts += [_entry(family.registry[name]) for name in sorted(family.registry)]
    return "\n".join(parts)


def _entry(declared: type[Declared]) -> str:
    signature = declared.signature()
    if declared.family == "operator":
        # Joins and gates are written with a brace and take no arguments.
        is_braced = get_origin(signature[0].type) is tuple or declared.name == "gate"
        call = f"{declared.name} {{ … }}" if is_braced else _call(declared.name, signature[1:])
    else:
        call = _call(declared.name, signature)
    lines = [f"### `{call}`", "", inspect.cleandoc(declared.__doc__ or ""), ""]
    lines += [f"- `{each.name}`: {_described(each)}" for each in signature]
    return "\n".join([*lines, ""]) if signature else "\n".join(lines)


def _call(name: str, signature: list[Field]) -> str:
    arguments = [
        each.name if each.required else f"{each.name}={_default(each)}" for each in signature
    ]
    return f"{name}({', '.join(arguments)})" if arguments else name


def _default(field: Field) -> str:
    if field.default is None:
        return "…"
    if field.type == Pair:
        return text_of(field.default[0])
    return text_of(field.default)


def _described(field: Field) -> str:
    if field.is_operand:
        return field.doc
    bounds = [
        f"{word} {text_of(limit)}"
        for word, limit in (
            ("at least", field.minimum),
            ("more than", field.above),
            ("at most", field.maximum),
        )
        if limit is not None
    ]
    kind = ", ".join([_kind(field.type), *bounds])
    return f"{field.doc} ({kind})"


def _kind(kind: Any) -> str:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _kind(get_args(kind)[0])
    if origin is Literal:
        return " or ".join(text_of(choice) for choice in get_args(kind))
    if kind == Pair:
        return "pair"
    names = {int: "whole number", float: "number", bool: "true or false", str: "string"}
    return "value" if kind is Value else names[kind]


if __name__ == "__main__":
    print(reference(), end="")
