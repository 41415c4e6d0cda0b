"""Recurrent layers."""

import math
from typing import Any

from netloom.ir.call import Module, Option
from netloom.ir.declared import arg, operand
from netloom.ir.dims import Dim
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node, Weight
from netloom.ir.op import Op, Parameter, Uniform
from netloom.ir.types import Type
from netloom.ir.window import Past, Reach
from netloom.ops.operands import known, of_rank


class Lstm(Op, name="lstm"):
    """Long short-term memory: `sequence, last = lstm(128)` gives every state, and the last one.

    PyTorch: `nn.LSTM` with the batch first; ONNX: `LSTM`.
    """

    x: Value = operand("sequence [n, t, c]")
    units: int = arg("features of the state", minimum=1)

    def results(self) -> tuple[Type, ...]:
        n, t, c = of_rank(self.x, 3)
        known(c, "feature count")
        return Type("float32", (n, t, self.units)), Type("float32", (n, self.units))

    def window_of(self, operand: Value, result: int) -> Reach:  # noqa: ARG002
        return Past() if result == 0 else "whole"

    def params(self) -> dict[str, Parameter]:
        features = known(self.x.type.shape[2], "feature count")
        initial = Uniform(1 / math.sqrt(self.units))  # nn.RNNBase.reset_parameters
        return {
            "weight_ih_l0": Parameter((4 * self.units, features), initial),
            "weight_hh_l0": Parameter((4 * self.units, self.units), initial),
            "bias_ih_l0": Parameter((4 * self.units,), initial),
            "bias_hh_l0": Parameter((4 * self.units,), initial),
        }

    def macs(self) -> Dim:
        n, t, c = self.x.type.shape
        return n * t * 4 * self.units * (c + self.units)

    def torch(self) -> Module:
        features = known(self.x.type.shape[2], "feature count")
        options = {"batch_first": Option(True, False)}
        # nn.LSTM returns (sequence, (hidden, cell)); hidden is [layers, n, units].
        picks = ((0,), (1, 0, -1))
        return Module("nn.LSTM", (features, self.units), (self.x,), options, picks=picks)

    def onnx(self) -> tuple[Node, ...]:
        time_first, states, last = Local("time_first"), Local("states"), Local("last")
        squeezed = Local("squeezed")
        attributes = {
            "hidden_size": self.units,
            "direction": "forward",
            "activations": ("Sigmoid", "Tanh", "Tanh"),
            "input_forget": 0,
            "layout": 0,
        }
        inputs = (
            time_first,
            Weight(("weight_ih_l0",), _onnx_gates),
            Weight(("weight_hh_l0",), _onnx_gates),
            Weight(("bias_ih_l0", "bias_hh_l0"), _onnx_gates),
        )
        return (
            Node("Transpose", (self.x,), {"perm": (1, 0, 2)}, (time_first,)),
            Node("LSTM", inputs, attributes, (states, last)),
            Node("Squeeze", (states, Constant("int64", (1,))), {}, (squeezed,)),
            Node("Transpose", (squeezed,), {"perm": (1, 0, 2)}, (0,)),
            Node("Squeeze", (last, Constant("int64", (0,))), {}, (1,)),
        )


def _onnx_gates(*weights: Any) -> Any:
    """Weights of one direction, [4 * units, …] each, as ONNX stacks them: [1, all rows, …].

    PyTorch's gates are input, forget, cell, output; ONNX's are input, output, forget, cell.
    """
    import numpy

    rows = [
        weight.reshape(4, -1, *weight.shape[1:])[[0, 3, 1, 2]].reshape(weight.shape)
        for weight in weights
    ]
    return numpy.concatenate(rows)[None]
