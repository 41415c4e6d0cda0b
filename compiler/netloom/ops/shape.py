"""Operators that take a value apart or arrange its elements anew, and compute nothing."""

from netloom.ir.call import Function, Option
from netloom.ir.declared import Reject, arg, operand
from netloom.ir.graph import Value
from netloom.ir.node import Node
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.ops.operands import channel_axis, known, of_rank


class Split(Op, name="split"):
    """Cuts the channels into equal parts, which are its results: `a, b = split(2)`.

    PyTorch: `torch.chunk`; ONNX: `Split`.
    """

    x: Value = operand("any value with channels")
    parts: int = arg("how many parts", minimum=2, maximum=1024)

    def results(self) -> tuple[Type, ...]:
        shape = list(of_rank(self.x, 2, 3, 4))
        axis = channel_axis(self.x.type.rank)
        channels = known(shape[axis], "channel count")
        if channels % self.parts:
            message = f"{channels} channels cannot be cut into {self.parts} equal parts"
            raise Reject("E206", message, "parts")
        shape[axis] = channels // self.parts
        return tuple(Type("float32", tuple(shape)) for _ in range(self.parts))

    def torch(self) -> Function:
        axis = channel_axis(self.x.type.rank)
        return Function("torch.chunk", (self.x, self.parts), {"dim": Option(axis, 0)})

    def onnx(self) -> Node:
        attributes = {"axis": channel_axis(self.x.type.rank), "num_outputs": self.parts}
        return Node("Split", (self.x,), attributes, tuple(range(self.parts)))
