"""Joins: several values become one."""

from netloom.ir.call import Function, Option
from netloom.ir.declared import Reject, operand
from netloom.ir.dims import Dim
from netloom.ir.graph import Value
from netloom.ir.node import Local, Node
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.ops.operands import (
    all_equal,
    channel_axis,
    differing_axis,
    disagreement,
    of_rank,
    same_shape,
)

CHANNELS_ONLY = "branches of a concat may differ in their channels only"
ONE_SHAPE = "nothing is broadcast; give the branches one shape"
GENERAL = (CHANNELS_ONLY, ONE_SHAPE)
"""What can be said of any branches that disagree, where nothing better is known."""


class Concat(Op, name="concat"):
    """Puts channels of several values one after the other. PyTorch: `torch.cat`; ONNX: `Concat`."""

    xs: tuple[Value, ...] = operand("values that agree in all but their channels")

    def result(self) -> Type:
        first = self.xs[0]
        shape = list(of_rank(first, 2, 3, 4, at="xs.0"))
        axis = channel_axis(first.type.rank)
        channels: Dim = 0
        for index, x in enumerate(self.xs):
            of_rank(x, first.type.rank, at=f"xs.{index}")
            different = differing_axis(first.type.shape, x.type.shape, skip=axis)
            if different is not None:
                message = disagreement(first, x)
                raise Reject("E208", message, f"xs.{index}", CHANNELS_ONLY, different)
            channels = channels + x.type.shape[axis]
        shape[axis] = channels
        return Type("float32", tuple(shape))

    def torch(self) -> Function:
        axis = channel_axis(self.xs[0].type.rank)
        return Function("torch.cat", (list(self.xs),), {"dim": Option(axis, 0)})

    def onnx(self) -> Node:
        return Node("Concat", self.xs, {"axis": channel_axis(self.xs[0].type.rank)})


class Add(Op, name="add"):
    """The sum of values of one shape. PyTorch: `+`; ONNX: `Add`."""

    xs: tuple[Value, ...] = operand("values of the same shape")

    def result(self) -> Type:
        return _elementwise(self.xs)

    def torch(self) -> Function:
        return Function("+", self.xs)

    def onnx(self) -> tuple[Node, ...]:
        return _pairwise("Add", self.xs)


class Mul(Op, name="mul"):
    """The elementwise product of values of one shape. PyTorch: `*`; ONNX: `Mul`."""

    xs: tuple[Value, ...] = operand("values of the same shape")

    def result(self) -> Type:
        return _elementwise(self.xs)

    def torch(self) -> Function:
        return Function("*", self.xs)

    def onnx(self) -> tuple[Node, ...]:
        return _pairwise("Mul", self.xs)


def _elementwise(xs: tuple[Value, ...]) -> Type:
    for index, x in enumerate(xs):
        of_rank(x, 2, 3, 4, at=f"xs.{index}")
        if all_equal(xs[0].type.shape, x.type.shape):
            continue
        projected = projection(xs[0], x)
        help = ONE_SHAPE
        if projected:
            help = f"`{projected}` in that branch projects it"
        same_shape(xs[0], x, f"xs.{index}", help)
    return xs[0].type


def projection(wanted: Value, found: Value) -> str | None:
    """The convolution that would give one feature map the shape of another, if one does."""
    if not wanted.type.rank == found.type.rank == 4:
        return None
    _, channels, *size = wanted.type.shape
    _, own_channels, *own_size = found.type.shape
    if size == own_size and channels != own_channels:
        return f"conv({channels}, 1)"
    for stride in (2, 3, 4, 8, 16):
        if [(length - 1) // stride + 1 for length in own_size] == size:
            return f"conv({channels}, 1, stride={stride})"
    return None


def _pairwise(op_type: str, xs: tuple[Value, ...]) -> tuple[Node, ...]:
    """A chain of binary nodes: ONNX's variadic Sum has no counterpart for products."""
    nodes = []
    left: Value | Local = xs[0]
    for index, right in enumerate(xs[1:], start=1):
        last = index == len(xs) - 1
        partial = Local(f"partial{index}")
        nodes.append(Node(op_type, (left, right), {}, (0 if last else partial,)))
        left = partial
    return tuple(nodes)
