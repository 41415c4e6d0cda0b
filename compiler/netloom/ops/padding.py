"""How pixels are put around a map in ONNX."""

from typing import Literal

from netloom.ir.declared import Pair
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node

Mode = Literal["constant", "reflect", "edge"]

ZERO = Constant("float32", -0.0)
"""Zeros as ONNX Runtime's optimiser leaves them alone.

It makes a `Pad` of 0.0 the padding of a pooling behind it, where zeros would have been the maximum
or would have counted in the mean, and refuses the model if that is wider than the kernel. It does
not do so for -0.0, nor where `axes` are given; but it loses those when it moves a transposition
through the `Pad` (both seen in 1.31.1). Hence -0.0, and all four axes.
"""


def pad_node(
    x: Value | Local,
    before: Pair,
    after: Pair,
    output: int | Local = 0,
    value: Constant = ZERO,
    mode: Mode = "constant",
) -> Node:
    """`Pad` of a map by pixels above and to the left, and below and to the right."""
    pads = Constant("int64", (0, 0, *before, 0, 0, *after))
    return Node("Pad", (x, pads, value), {"mode": mode}, (output,))
