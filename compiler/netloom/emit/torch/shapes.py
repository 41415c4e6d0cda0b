"""Shapes in comments of emitted code, true for every instance of a class."""

from collections.abc import Sequence
from typing import Any

from netloom.ir.dims import Dim
from netloom.ir.graph import Value


def shape_comment(
    values: Sequence[Value], entries: Sequence[Value | None], arguments: dict[str, tuple[Any, ...]]
) -> str | None:
    """The shape that a value has in all instances: `(N, ch, h//2, w//2)`.

    A dimension that is not the same everywhere is named by the parameter that it equals, or by the
    height and width that enter, h and w, divided or multiplied by a small number; `*` where no
    word fits. None if instances differ in their number of axes.
    """
    words = dict(arguments)
    if len(values) > 1 and all(entry and entry.type.rank == 4 for entry in entries):
        for name, axis in (("h", 2), ("w", 3)):
            words[name] = tuple(entry.type.shape[axis] for entry in entries if entry)
        if "in_channels" not in words:
            words["channels"] = tuple(entry.type.shape[1] for entry in entries if entry)
    if len({value.type.rank for value in values}) > 1:
        return None
    dims = []
    for axis in range(values[0].type.rank):
        # Square maps are as high as wide; the axis tells which is meant.
        elsewhere = {2: "w", 3: "h"}.get(axis)
        fitting = {name: vector for name, vector in words.items() if name != elsewhere}
        dims.append(_word([value.type.shape[axis] for value in values], fitting))
    return f"({', '.join(dims)}{',' * (len(dims) == 1)})"


def _word(column: Sequence[Dim], words: dict[str, tuple[Any, ...]]) -> str:
    if all(dim == column[0] for dim in column):
        return str(column[0])
    for name, vector in words.items():
        if tuple(column) == vector:
            return name
    for name, vector in words.items():
        if any(isinstance(each, bool) or not isinstance(each, Dim) for each in vector):
            continue
        for factor in (2, 3, 4, 6, 8, 16):
            if all(dim == part // factor for dim, part in zip(column, vector, strict=True)):
                return f"{name}//{factor}"
            if all(dim == part * factor for dim, part in zip(column, vector, strict=True)):
                return f"{factor}*{name}"
    return _divided(column, words) or "*"


def _divided(column: Sequence[Dim], words: dict[str, tuple[Any, ...]]) -> str | None:
    """`h//stride`: what enters, divided by a parameter."""
    divisors = {
        name: vector
        for name, vector in words.items()
        if name not in ("h", "w") and all(type(each) is int and each > 0 for each in vector)
    }
    for name in ("h", "w"):
        for divisor, steps in divisors.items():
            sizes = zip(column, words.get(name, ()), steps, strict=False)
            if name in words and all(dim == size // step for dim, size, step in sizes):
                return f"{name}//{divisor}"
    return None
