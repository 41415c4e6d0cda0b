"""What is put around maps or cut off them, beside what PyTorch says it means."""

import math
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from oracles.case import MAPS, PROBE, Case, Function, layer, network


class _After(nn.Module):
    """A convolution named `y` behind a border without weights."""

    def __init__(self, border: nn.Module, y: nn.Module) -> None:
        super().__init__()
        self.border = border
        self.y = y

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.y(self.border(x)),)


PAD = [
    layer("pad(1)", lambda: nn.ZeroPad2d(1)),
    layer("pad([1, 0], [0, 2])", lambda: nn.ZeroPad2d((0, 2, 1, 0))),
    layer("pad(2, after=0)", lambda: nn.ZeroPad2d((2, 0, 2, 0))),
    layer("pad(-1, [2, -3])", lambda: nn.ZeroPad2d((-1, -3, -1, 2))),
    layer('pad([3, 1], mode="reflect")', lambda: nn.ReflectionPad2d((1, 1, 3, 3))),
    layer('pad([0, 8], 2, mode="reflect")', lambda: nn.ReflectionPad2d((8, 2, 0, 2))),
    layer('pad([3, 12], 1, mode="replicate")', lambda: nn.ReplicationPad2d((12, 1, 3, 1))),
    Case(
        "a convolution behind a mirrored border",
        network(
            {"x": ("N", 6, "h", "w")},
            'y = pad([0, 2], [1, 3], mode="reflect") -> conv(4, [2, 5])',
            "y",
        ),
        (("N", 6, "h", "w"),),
        lambda: _After(nn.ReflectionPad2d((2, 3, 0, 1)), nn.Conv2d(6, 4, (2, 5))),
        ("y",),
        MAPS,
        PROBE,
    ),
]


def tensorflow_same(
    x: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    """As TensorFlow's documentation of SAME padding has it; the odd zero goes to the end."""
    sides: list[int] = []
    for axis in (1, 0):  # F.pad begins with the last axis
        size, reach = x.shape[2 + axis], (kernel[axis] - 1) * dilation[axis] + 1
        out = math.ceil(size / stride[axis])
        total = max((out - 1) * stride[axis] + reach - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides)


SAME = [
    layer("same_pad(3)", lambda: Function(partial(tensorflow_same, kernel=(3, 3), stride=(1, 1)))),
    layer(
        "same_pad([4, 1], stride=[1, 2])",
        lambda: Function(partial(tensorflow_same, kernel=(4, 1), stride=(1, 2))),
    ),
    layer(
        "same_pad(3, stride=2)",
        lambda: Function(partial(tensorflow_same, kernel=(3, 3), stride=(2, 2))),
    ),
    layer(
        "same_pad([5, 3], stride=[3, 2], dilation=[1, 2])",
        lambda: Function(partial(tensorflow_same, kernel=(5, 3), stride=(3, 2), dilation=(1, 2))),
    ),
    layer(
        "same_pad(7, stride=2)",
        lambda: Function(partial(tensorflow_same, kernel=(7, 7), stride=(2, 2))),
        shape=("N", 3, "32*h", "4*w"),
        sizes=({"N": 1, "h": 1, "w": 3}, {"N": 2, "h": 2, "w": 1}),
        probe={"N": 1, "h": 1, "w": 9},
    ),
]


class _Cropped(nn.Module):
    def __init__(self, top: int, left: int) -> None:
        super().__init__()
        self.top, self.left = top, left
        self.b = nn.Conv2d(3, 4, (3, 5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        b = self.b(x)
        bottom, right = self.top + b.shape[2], self.left + b.shape[3]
        return x[:, :, self.top : bottom, self.left : right], b


class _FromBelow(nn.Module):
    """A map that is enlarged beyond the input, and cut down to where it belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 2, 3, stride=2, padding=5)
        self.b = nn.ConvTranspose2d(2, 2, 3, stride=2, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        y = self.b(self.a(x))
        return (y[:, :, 5 : 5 + x.shape[2], 5 : 5 + x.shape[3]],)


_X = ("N", 3, "h", "w")

CROP = [
    Case(
        "crop to a map without padding",
        network({"x": _X}, "b = conv(4, [3, 5])\ny = x -> crop(like=b)", "y", "b"),
        (_X,),
        lambda: _Cropped(1, 2),
        ("y", "b"),
        MAPS,
        PROBE,
    ),
    Case(
        "crop at a stated place",
        network({"x": _X}, "b = conv(4, [3, 5])\ny = x -> crop(b, offset=[0, 3])", "y", "b"),
        (_X,),
        lambda: _Cropped(0, 3),
        ("y", "b"),
        MAPS,
        PROBE,
    ),
    Case(
        "crop of an enlarged map to the input",
        network(
            {"x": _X},
            "a = conv(2, 3, stride=2, pad=5)\nb = deconv(2, 3, stride=2, bias=false)\n"
            "y = crop(like=x)",
            "y",
        ),
        (_X,),
        _FromBelow,
        ("y",),
        MAPS,
        PROBE,
    ),
]

BORDERS = [*PAD, *SAME, *CROP]
