"""Convolution and its transpose."""

import math

from netloom.ir.call import Module, Option
from netloom.ir.declared import Pair, Reject, arg, operand
from netloom.ir.dims import Dim, product
from netloom.ir.graph import Value
from netloom.ir.node import Node, Weight
from netloom.ir.op import Op, Parameter, Uniform
from netloom.ir.types import Type
from netloom.ir.window import TransposedWindow, Window, windows
from netloom.ops.operands import feature_map, filled


class Conv(Op, name="conv"):
    """Slides learned filters over a feature map (2-D cross-correlation, zero padding).

    PyTorch: `nn.Conv2d`; ONNX: `Conv`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    out: int = arg("output channels", minimum=1)
    kernel: Pair = arg("window, in pixels", minimum=1)
    stride: Pair = arg("step of the window, in pixels", default=(1, 1), minimum=1, by_name=True)
    pad: Pair = arg("zeros added on each side, in pixels", default=(0, 0), minimum=0, by_name=True)
    dilation: Pair = arg(
        "distance between the taps of the window", default=(1, 1), minimum=1, by_name=True
    )
    groups: int = arg(
        "groups of channels that do not see one another", default=1, minimum=1, by_name=True
    )
    bias: bool = arg(
        "whether a learned constant is added to each channel", default=True, by_name=True
    )

    def result(self) -> Type:
        n, c, h, w = feature_map(self.x)
        _check_groups(self.groups, c, self.out)
        height, width = self.window()
        return Type("float32", (n, self.out, _slide(height, h), _slide(width, w)))

    def window(self) -> tuple[Window, Window]:
        return windows(self.kernel, self.stride, self.pad, self.dilation)

    def params(self) -> dict[str, Parameter]:
        per_group = feature_map(self.x)[1] // self.groups
        return _weight_and_bias((self.out, per_group, *self.kernel), self.out, self.bias)

    def macs(self) -> Dim:
        return product(self.result().shape) * math.prod(self.params()["weight"].shape[1:])

    def torch(self) -> Module:
        options = {
            "stride": Option(self.stride, 1),
            "padding": Option(self.pad, 0),
            "dilation": Option(self.dilation, 1),
            "groups": Option(self.groups, 1),
            "bias": Option(self.bias, True),
        }
        channels = feature_map(self.x)[1]
        return Module("nn.Conv2d", (channels, self.out, self.kernel), (self.x,), options)

    def onnx(self) -> Node:
        attributes = {
            "auto_pad": "NOTSET",
            "kernel_shape": self.kernel,
            "strides": self.stride,
            "pads": self.pad * 2,  # ONNX lists all beginnings, then all ends
            "dilations": self.dilation,
            "group": self.groups,
        }
        bias = (Weight(("bias",)),) if self.bias else ()
        return Node("Conv", (self.x, Weight(("weight",)), *bias), attributes)


class Deconv(Op, name="deconv"):
    """Transposed convolution: each input pixel adds a scaled filter to a larger map.

    PyTorch: `nn.ConvTranspose2d`; ONNX: `ConvTranspose`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    out: int = arg("output channels", minimum=1)
    kernel: Pair = arg("filter, in pixels", minimum=1)
    stride: Pair = arg(
        "output pixels from one input pixel to the next", default=(1, 1), minimum=1, by_name=True
    )
    pad: Pair = arg("output pixels cut off on each side", default=(0, 0), minimum=0, by_name=True)
    dilation: Pair = arg(
        "distance between the taps of the filter", default=(1, 1), minimum=1, by_name=True
    )
    output_pad: Pair = arg(
        "output pixels added at the bottom and right, to choose among the sizes that a convolution "
        "of that stride maps to the same",
        default=(0, 0),
        minimum=0,
        by_name=True,
    )
    groups: int = arg(
        "groups of channels that do not see one another", default=1, minimum=1, by_name=True
    )
    bias: bool = arg(
        "whether a learned constant is added to each channel", default=True, by_name=True
    )

    def result(self) -> Type:
        n, c, h, w = feature_map(self.x)
        _check_groups(self.groups, c, self.out)
        if any(extra >= stride for extra, stride in zip(self.output_pad, self.stride, strict=True)):
            message = f"an output_pad of {list(self.output_pad)} is not smaller than the stride"
            raise Reject("E206", message, "output_pad")
        sizes = [
            filled(
                (length - 1) * window.step - 2 * window.pad + window.extent + extra,
                f"the padding of {window.pad} cuts everything off",
            )
            for length, window, extra in zip((h, w), self.window(), self.output_pad, strict=True)
        ]
        return Type("float32", (n, self.out, *sizes))

    def window(self) -> tuple[TransposedWindow, TransposedWindow]:
        height, width = (
            TransposedWindow(kernel, stride, pad, dilation)
            for kernel, stride, pad, dilation in zip(
                self.kernel, self.stride, self.pad, self.dilation, strict=True
            )
        )
        return height, width

    def params(self) -> dict[str, Parameter]:
        channels = feature_map(self.x)[1]
        return _weight_and_bias(
            (channels, self.out // self.groups, *self.kernel), self.out, self.bias
        )

    def macs(self) -> Dim:
        return product(self.x.type.shape) * math.prod(self.params()["weight"].shape[1:])

    def torch(self) -> Module:
        options = {
            "stride": Option(self.stride, 1),
            "padding": Option(self.pad, 0),
            "output_padding": Option(self.output_pad, 0),
            "groups": Option(self.groups, 1),
            "bias": Option(self.bias, True),
            "dilation": Option(self.dilation, 1),
        }
        channels = feature_map(self.x)[1]
        return Module("nn.ConvTranspose2d", (channels, self.out, self.kernel), (self.x,), options)

    def onnx(self) -> Node:
        attributes = {
            "auto_pad": "NOTSET",
            "kernel_shape": self.kernel,
            "strides": self.stride,
            "pads": self.pad * 2,
            "output_padding": self.output_pad,
            "dilations": self.dilation,
            "group": self.groups,
        }
        bias = (Weight(("bias",)),) if self.bias else ()
        return Node("ConvTranspose", (self.x, Weight(("weight",)), *bias), attributes)


def _check_groups(groups: int, channels: int, out: int) -> None:
    for count, what in ((channels, "input"), (out, "output")):
        if count % groups:
            message = f"{groups} groups cannot split {count} {what} channels evenly"
            common = math.gcd(channels, out)
            fitting = [str(each) for each in range(1, common + 1) if common % each == 0]
            help = f"{', '.join(fitting[:-1])} or {fitting[-1]} would" if common > 1 else None
            raise Reject("E206", message, "groups", help if len(fitting) < 12 else None)


def _slide(window: Window, length: Dim) -> Dim:
    out = (length + 2 * window.pad - window.extent) // window.step + 1
    reach = "" if window.pad == 0 else f" and {window.pad} of padding on each side"
    help = "a smaller kernel, more `pad`, or fewer strides and poolings before it"
    message = f"a window of {window.extent} pixels does not fit into {length}{reach}"
    return filled(out, message, help)


def _weight_and_bias(shape: tuple[int, ...], out: int, bias: bool) -> dict[str, Parameter]:
    # Both as nn.Conv2d.reset_parameters draws them: kaiming_uniform with a = sqrt(5).
    initial = Uniform(1 / math.sqrt(math.prod(shape[1:])))
    parameters = {"weight": Parameter(shape, initial)}
    if bias:
        parameters["bias"] = Parameter((out,), initial)
    return parameters
