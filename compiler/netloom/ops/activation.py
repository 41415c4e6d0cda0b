"""Activations."""

from netloom.ir.call import Function, Module, Option
from netloom.ir.declared import Reject, arg, operand
from netloom.ir.graph import Value
from netloom.ir.node import Node
from netloom.ir.op import Op
from netloom.ir.types import Type, spatial_axes
from netloom.ir.window import POINT, Reach
from netloom.ops.operands import channel_axis, of_rank


class Relu(Op, name="relu"):
    """max(x, 0). PyTorch: `nn.ReLU`; ONNX: `Relu`."""

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        return Module("nn.ReLU", (), (self.x,), function=Function("F.relu", (self.x,)))

    def onnx(self) -> Node:
        return Node("Relu", (self.x,))


class LeakyRelu(Op, name="leaky_relu"):
    """x where positive, else slope * x. PyTorch: `nn.LeakyReLU`; ONNX: `LeakyRelu`."""

    x: Value = operand("any value")
    slope: float = arg("factor of negative values", default=0.01)

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        options = {"negative_slope": Option(self.slope, 0.01)}
        function = Function("F.leaky_relu", (self.x,), options)
        return Module("nn.LeakyReLU", (), (self.x,), options, function=function)

    def onnx(self) -> Node:
        return Node("LeakyRelu", (self.x,), {"alpha": self.slope})


class Tanh(Op, name="tanh"):
    """Hyperbolic tangent. PyTorch: `nn.Tanh`; ONNX: `Tanh`."""

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        return Module("nn.Tanh", (), (self.x,), function=Function("torch.tanh", (self.x,)))

    def onnx(self) -> Node:
        return Node("Tanh", (self.x,))


class Sigmoid(Op, name="sigmoid"):
    """1 / (1 + exp(-x)). PyTorch: `nn.Sigmoid`; ONNX: `Sigmoid`."""

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        return Module("nn.Sigmoid", (), (self.x,), function=Function("torch.sigmoid", (self.x,)))

    def onnx(self) -> Node:
        return Node("Sigmoid", (self.x,))


class Softmax(Op, name="softmax"):
    """exp(x) divided by its sum over the channels, or over another axis.

    PyTorch: `nn.Softmax`; ONNX: `Softmax`.
    """

    x: Value = operand("any value with channels")
    axis: int | None = arg("axis of the sum; the channels if not given", default=None)

    def result(self) -> Type:
        of_rank(self.x, 2, 3, 4)
        if self.axis is not None and not 1 <= self.axis < self.x.type.rank:
            message = f"axis {self.axis} is not one of 1 to {self.x.type.rank - 1}"
            raise Reject("E206", message, "axis")
        return self.x.type

    def window(self) -> tuple[Reach, ...]:
        axes = spatial_axes(self.x.type.rank).values()
        return tuple("whole" if axis == self._axis() else POINT for axis in axes)

    def torch(self) -> Module:
        dim = {"dim": Option(self._axis())}
        function = Function("torch.softmax", (self.x,), dim)
        return Module("nn.Softmax", (), (self.x,), dim, function=function)

    def onnx(self) -> Node:
        return Node("Softmax", (self.x,), {"axis": self._axis()})

    def _axis(self) -> int:
        return channel_axis(self.x.type.rank) if self.axis is None else self.axis


def _unchanged(x: Value) -> Type:
    if x.type.dtype != "float32":
        raise Reject("E210", f"needs float32, but this is {x.type}", "x")
    return x.type
