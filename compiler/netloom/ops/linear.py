"""Fully connected layers and what leads to them."""

import math

from netloom.ir.call import Function, Module, Option
from netloom.ir.declared import arg, operand
from netloom.ir.dims import Dim, product
from netloom.ir.graph import Value
from netloom.ir.node import Local, Node, Weight
from netloom.ir.op import Op, Parameter, Uniform
from netloom.ir.types import Type
from netloom.ir.window import Reach
from netloom.ops.operands import known, of_rank


class Linear(Op, name="linear"):
    """Multiplies each feature vector by a learned matrix. PyTorch: `nn.Linear`; ONNX: `Gemm`."""

    x: Value = operand("features [n, c] or a sequence [n, t, c]")
    out: int = arg("output features", minimum=1)
    bias: bool = arg("whether a learned constant is added to each feature", default=True)

    def result(self) -> Type:
        flatten_first = "a map becomes features by `flatten`, or by `global_avgpool -> flatten`"
        shape = of_rank(self.x, 2, 3, help=flatten_first)
        known(shape[-1], "feature count")
        return Type("float32", (*shape[:-1], self.out))

    def params(self) -> dict[str, Parameter]:
        features = known(self.x.type.shape[-1], "feature count")
        initial = Uniform(1 / math.sqrt(features))  # nn.Linear.reset_parameters
        parameters = {"weight": Parameter((self.out, features), initial)}
        if self.bias:
            parameters["bias"] = Parameter((self.out,), initial)
        return parameters

    def macs(self) -> Dim:
        return product(self.x.type.shape) * self.out

    def torch(self) -> Module:
        features = known(self.x.type.shape[-1], "feature count")
        options = {"bias": Option(self.bias, True)}
        return Module("nn.Linear", (features, self.out), (self.x,), options)

    def onnx(self) -> Node | tuple[Node, ...]:
        bias = (Weight(("bias",)),) if self.bias else ()
        if self.x.type.rank == 2:
            attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
            return Node("Gemm", (self.x, Weight(("weight",)), *bias), attributes)
        transposed = Weight(("weight",), lambda weight: weight.T)
        if not self.bias:
            return Node("MatMul", (self.x, transposed))
        product_only = Local("product")
        return (
            Node("MatMul", (self.x, transposed), {}, (product_only,)),
            Node("Add", (product_only, *bias)),
        )


class Flatten(Op, name="flatten"):
    """Makes one feature vector of each map, channel by channel, row by row.

    PyTorch: `nn.Flatten`; ONNX: `Flatten`.
    """

    x: Value = operand("feature map [n, c, h, w] or a sequence [n, t, c]")

    def result(self) -> Type:
        n, *rest = of_rank(self.x, 2, 3, 4)
        return Type("float32", (n, product(tuple(rest))))

    def window(self) -> Reach:
        return "whole"

    def torch(self) -> Module:
        return Module("nn.Flatten", (), (self.x,), function=Function("torch.flatten", (self.x, 1)))

    def onnx(self) -> Node:
        return Node("Flatten", (self.x,), {"axis": 1})
