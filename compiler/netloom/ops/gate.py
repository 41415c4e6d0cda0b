"""Gates: a value multiplied by factors that are computed from it."""

from netloom.ir.call import Function
from netloom.ir.declared import Reject, operand
from netloom.ir.equality import Proved, equal
from netloom.ir.graph import Value
from netloom.ir.node import Node
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.ir.window import POINT, Reach
from netloom.ops.operands import all_equal, differing_axis, of_rank


class Gate(Op, name="gate"):
    """A feature map times factors, one for each channel or one for each pixel.

    It is written `gate { … }`, where the body makes the factors of what enters, as in
    squeeze-and-excitation (Hu et al. 2018). PyTorch: `*`; ONNX: `Mul`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    by: Value = operand("its factors, [n, c, 1, 1] or [n, 1, h, w]")

    def result(self) -> Type:
        n, c, h, w = of_rank(self.x, 4, at="xs.0")
        of_rank(self.by, 4, at="xs.1")
        if not any(
            all_equal(self.by.type.shape, wanted) for wanted in [(n, c, 1, 1), (n, 1, h, w)]
        ):
            wanted_text = f"[{n}, {c}, 1, 1] or [{n}, 1, {h}, {w}]"
            message = f"needs factors {wanted_text}, but its body gives {self.by.type}"
            help = (
                "end it in `global_avgpool -> conv(…, 1) -> sigmoid`, or in `conv(1, …) -> sigmoid`"
            )
            skip = 1 if isinstance(equal(self.by.type.shape[1], 1), Proved) else None
            axis = differing_axis(self.x.type.shape, self.by.type.shape, skip)
            raise Reject("E208", message, "xs.1", help, axis)
        return Type("float32", self.x.type.shape)

    def window_of(self, operand: Value, result: int) -> Reach:  # noqa: ARG002
        # A factor for a whole channel is that of every position, wherever it was computed.
        is_per_pixel = all_equal(operand.type.shape[2:], self.x.type.shape[2:])
        return POINT if is_per_pixel else "whole"

    def torch(self) -> Function:
        return Function("*", (self.x, self.by))

    def onnx(self) -> Node:
        return Node("Mul", (self.x, self.by))
