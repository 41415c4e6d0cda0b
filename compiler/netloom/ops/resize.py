"""Enlargement without weights."""

from typing import Literal

from netloom.ir.call import Function, Module, Option
from netloom.ir.declared import Pair, arg, operand
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Node
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.ir.window import Stretch
from netloom.ops.operands import of_rank


class Upsample(Op, name="upsample"):
    """Enlarges a map by a whole factor, copying pixels or interpolating between their centres.

    PyTorch: `nn.Upsample`; ONNX: `Resize`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    factor: Pair = arg("output pixels for each input pixel", minimum=1)
    mode: Literal["nearest", "bilinear"] = arg("how pixels are filled in", default="nearest")

    def result(self) -> Type:
        n, c, h, w = of_rank(self.x, 4)
        return Type("float32", (n, c, h * self.factor[0], w * self.factor[1]))

    def window(self) -> tuple[Stretch, Stretch]:
        linear = self.mode == "bilinear"
        return Stretch(self.factor[0], linear), Stretch(self.factor[1], linear)

    def torch(self) -> Module:
        factor = tuple(float(each) for each in self.factor)
        scale = self.factor[0] if factor[0] == factor[1] else factor
        options = {"scale_factor": Option(scale), "mode": Option(self.mode, "nearest")}
        function = Function("F.interpolate", (self.x,), options)
        return Module("nn.Upsample", (), (self.x,), options, function=function)

    def onnx(self) -> Node:
        nearest = self.mode == "nearest"
        attributes = {
            "mode": "nearest" if nearest else "linear",
            "coordinate_transformation_mode": "asymmetric" if nearest else "half_pixel",
            "nearest_mode": "floor",
            "antialias": 0,
            "cubic_coeff_a": -0.75,
            "exclude_outside": 0,
            "extrapolation_value": 0.0,
            "keep_aspect_ratio_policy": "stretch",
        }
        scales = Constant("float32", (1.0, 1.0, float(self.factor[0]), float(self.factor[1])))
        return Node("Resize", (self.x, None, scales), attributes)
