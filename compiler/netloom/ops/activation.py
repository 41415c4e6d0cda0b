"""Activations."""

from netloom.ir.call import Function, Module, Option
from netloom.ir.declared import Reject, arg, operand
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node, Weight
from netloom.ir.op import Filled, Op, Parameter
from netloom.ir.types import Type, spatial_axes
from netloom.ir.window import POINT, Reach
from netloom.ops.operands import channel_axis, known, of_rank


class Relu(Op, name="relu"):
    """max(x, 0). PyTorch: `nn.ReLU`; ONNX: `Relu`."""

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        return Module("nn.ReLU", (), (self.x,), function=Function("F.relu", (self.x,)))

    def onnx(self) -> Node:
        return Node("Relu", (self.x,))


class Relu6(Op, name="relu6"):
    """min(max(x, 0), 6) (Howard et al. 2017). PyTorch: `nn.ReLU6`; ONNX: `Clip`."""

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        return Module("nn.ReLU6", (), (self.x,), function=Function("F.relu6", (self.x,)))

    def onnx(self) -> Node:
        return Node("Clip", (self.x, Constant("float32", 0.0), Constant("float32", 6.0)))


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


class PRelu(Op, name="prelu"):
    """x where positive, else a learned factor of its channel times x (He et al. 2015).

    PyTorch: `nn.PReLU`; ONNX: `PRelu`.
    """

    x: Value = operand("feature map [n, c, h, w] or features [n, c]")
    init: float = arg("initial factor of negative values", default=0.25)

    def result(self) -> Type:
        known(of_rank(self.x, 2, 4)[1], "channel count")
        return self.x.type

    def params(self) -> dict[str, Parameter]:
        return {"weight": Parameter((self._channels(),), Filled(self.init))}

    def torch(self) -> Module:
        options = {"init": Option(self.init, 0.25)}
        return Module("nn.PReLU", (self._channels(),), (self.x,), options)

    def onnx(self) -> Node:
        # ONNX aligns the factors with the last axes, so in a map each stands before h and w.
        axes = self.x.type.rank - 2
        slope = Weight(("weight",), lambda weight: weight.reshape(-1, *[1] * axes))
        return Node("PRelu", (self.x, slope))

    def _channels(self) -> int:
        return known(self.x.type.shape[1], "channel count")


class Elu(Op, name="elu"):
    """x where positive, else alpha * (exp(x) - 1) (Clevert et al. 2016).

    PyTorch: `nn.ELU`; ONNX: `Elu`.
    """

    x: Value = operand("any value")
    alpha: float = arg("minus the limit at negative infinity", default=1.0)

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        options = {"alpha": Option(self.alpha, 1.0)}
        return Module(
            "nn.ELU", (), (self.x,), options, function=Function("F.elu", (self.x,), options)
        )

    def onnx(self) -> Node:
        return Node("Elu", (self.x,), {"alpha": self.alpha})


class Gelu(Op, name="gelu"):
    """x * P(X <= x) for a standard normal X, exactly (Hendrycks, Gimpel 2016).

    PyTorch: `nn.GELU`; ONNX: `Gelu`.
    """

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        return Module("nn.GELU", (), (self.x,), function=Function("F.gelu", (self.x,)))

    def onnx(self) -> Node:
        return Node("Gelu", (self.x,), {"approximate": "none"})


class Silu(Op, name="silu"):
    """x * sigmoid(x), also called swish. PyTorch: `nn.SiLU`; ONNX: `Sigmoid` and `Mul`."""

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        return Module("nn.SiLU", (), (self.x,), function=Function("F.silu", (self.x,)))

    def onnx(self) -> tuple[Node, ...]:
        factor = Local("factor")
        return Node("Sigmoid", (self.x,), {}, (factor,)), Node("Mul", (self.x, factor))


class HardSigmoid(Op, name="hardsigmoid"):
    """min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).

    PyTorch: `nn.Hardsigmoid`; ONNX: `HardSigmoid`.
    """

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        function = Function("F.hardsigmoid", (self.x,))
        return Module("nn.Hardsigmoid", (), (self.x,), function=function)

    def onnx(self) -> Node:
        return Node("HardSigmoid", (self.x,), {"alpha": 1 / 6, "beta": 0.5})


class HardSwish(Op, name="hardswish"):
    """x * hardsigmoid(x) (Howard et al. 2019). PyTorch: `nn.Hardswish`; ONNX: `HardSwish`."""

    x: Value = operand("any value")

    def result(self) -> Type:
        return _unchanged(self.x)

    def torch(self) -> Module:
        function = Function("F.hardswish", (self.x,))
        return Module("nn.Hardswish", (), (self.x,), function=function)

    def onnx(self) -> Node:
        return Node("HardSwish", (self.x,))


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
