"""The operators: how to draw their arguments, what they are in PyTorch, what they depend on.

To add one, add an entry to `OPERATORS`. `module` is a layer of PyTorch for operands of some shapes.
`reach` is what it depends on: it gets maps of one channel, [rows, 1, h, w], [rows, t, 1] or
[rows, 1], which are positive where something was seen and 0 elsewhere, and gives such maps. It is
PyTorch's own function wherever that, with weights of one, is 0 only where it sees only zeros.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oracles.borders import tensorflow_same
from oracles.recurrent import TextbookLstm

Arguments = dict[str, Any]
Shape = Sequence[int]
Pair = tuple[int, int]


class Chance(random.Random):
    """Random choices as the operators need them."""

    def odds(self, probability: float) -> bool:
        return self.random() < probability

    def divisor(self, *numbers: int) -> int:
        """A common divisor."""
        least = min(numbers)
        return self.choice([d for d in range(1, least + 1) if all(n % d == 0 for n in numbers)])

    def pair(self, *numbers: int) -> Any:
        """One number for both axes, or one for each."""
        return self.choice(numbers) if self.odds(0.6) else [self.choice(numbers) for _ in range(2)]

    def some(self, given: Arguments, **others: Any) -> Arguments:
        """What is given, and each of the others with a chance of a half."""
        drawn = [(name, value) for name, value in others.items() if self.odds(0.5)]
        return {**given, **dict(drawn)}


def pair(value: Any) -> Pair:
    """Height and width."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def unchanged(arguments: Arguments, *xs: Tensor) -> Tensor:
    """A position sees itself."""
    return xs[0]


def nothing_drawn(chance: Chance, shape: Shape) -> Arguments:
    """For operators without arguments."""
    return {}


@dataclass(frozen=True)
class Operator:
    """One entry of the table. `ranks` are those of its operand; `by_place` the required arguments.

    `fixed` says that its weights depend on its channels, so these may not depend on sizes.
    """

    module: Callable[[Arguments, Shape], nn.Module]
    draw: Callable[[Chance, Shape], Arguments] = nothing_drawn
    reach: Callable[..., Any] = unchanged
    ranks: tuple[int, ...] = (4,)
    by_place: int = 0
    results: int = 1
    fixed: bool = False
    often: float = 1.0


def channel_axis(rank: int) -> int:
    return 2 if rank == 3 else 1


class Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *xs: Tensor) -> Any:
        return self.function(*xs)


class OverChannels(nn.Module):
    """A layer that wants channels last, for feature maps."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        last: Tensor = self.layer(x.movedim(1, -1))
        return last.movedim(-1, 1)


class Factors(nn.Module):
    """A factor for each channel."""

    def __init__(self, rank: int, channels: int, init: float) -> None:
        super().__init__()
        shape = (channels,) if rank == 3 else (channels, *[1] * (rank - 2))
        self.weight = nn.Parameter(torch.full(shape, init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


# --- Windows -----------------------------------------------------------------------------------


def _draw_conv(chance: Chance, shape: Shape) -> Arguments:
    out = chance.choice([1, 2, 3, 4, 6])
    groups = chance.divisor(out, shape[1])
    given = {"out": out, "kernel": chance.pair(1, 2, 3, 3, 4, 5)}
    return chance.some(
        given,
        stride=chance.pair(1, 1, 2, 2, 3),
        pad=chance.pair(0, 1, 1, 2, 3),
        dilation=chance.pair(1, 1, 2, 3),
        groups=groups,
        bias=chance.odds(0.5),
    )


def _conv(arguments: Arguments, shape: Shape) -> nn.Module:
    return nn.Conv2d(
        shape[1],
        arguments["out"],
        pair(arguments["kernel"]),
        pair(arguments.get("stride", 1)),
        pair(arguments.get("pad", 0)),
        pair(arguments.get("dilation", 1)),
        arguments.get("groups", 1),
        arguments.get("bias", True),
    )


def _ones(arguments: Arguments) -> Tensor:
    return torch.ones(1, 1, *pair(arguments["kernel"]), dtype=torch.float64)


def _reach_conv(arguments: Arguments, x: Tensor) -> Tensor:
    return F.conv2d(
        x,
        _ones(arguments),
        None,
        pair(arguments.get("stride", 1)),
        pair(arguments.get("pad", 0)),
        pair(arguments.get("dilation", 1)),
    )


def _draw_deconv(chance: Chance, shape: Shape) -> Arguments:
    out = chance.choice([1, 2, 3, 4])
    stride = chance.pair(1, 2, 2, 3)
    given = {"out": out, "kernel": chance.pair(1, 2, 3, 4, 5)}
    if stride != 1:
        given["stride"] = stride
    return chance.some(
        given,
        pad=chance.pair(0, 1, 1, 2),
        dilation=chance.pair(1, 1, 2, 3),
        output_pad=[chance.randrange(each) for each in pair(stride)],
        groups=chance.divisor(out, shape[1]),
        bias=chance.odds(0.5),
    )


def _deconv(arguments: Arguments, shape: Shape) -> nn.Module:
    return nn.ConvTranspose2d(
        shape[1],
        arguments["out"],
        pair(arguments["kernel"]),
        pair(arguments.get("stride", 1)),
        pair(arguments.get("pad", 0)),
        pair(arguments.get("output_pad", 0)),
        arguments.get("groups", 1),
        arguments.get("bias", True),
        pair(arguments.get("dilation", 1)),
    )


def _reach_deconv(arguments: Arguments, x: Tensor) -> Tensor:
    return F.conv_transpose2d(
        x,
        _ones(arguments),
        None,
        pair(arguments.get("stride", 1)),
        pair(arguments.get("pad", 0)),
        pair(arguments.get("output_pad", 0)),
        1,
        pair(arguments.get("dilation", 1)),
    )


def _draw_pool(chance: Chance, shape: Shape) -> Arguments:
    kernel = chance.pair(1, 2, 2, 3, 3, 4)
    pad = [chance.randrange(each // 2 + 1) for each in pair(kernel)]
    return chance.some(
        {"kernel": kernel},
        stride=chance.pair(1, 2, 2, 3, 5),
        pad=pad if chance.odds(0.5) else min(pad),
        ceil=chance.odds(0.7),
    )


def _draw_avgpool(chance: Chance, shape: Shape) -> Arguments:
    return chance.some(_draw_pool(chance, shape), count_pad=chance.odds(0.5))


def _draw_maxpool(chance: Chance, shape: Shape) -> Arguments:
    dilation = chance.pair(1, 1, 2, 3)
    return chance.some(_draw_pool(chance, shape), indices=False, dilation=dilation)


def _pool_geometry(arguments: Arguments) -> dict[str, Any]:
    kernel = pair(arguments["kernel"])
    return {
        "kernel_size": kernel,
        "stride": pair(arguments.get("stride", kernel)),
        "padding": pair(arguments.get("pad", 0)),
        "ceil_mode": arguments.get("ceil", False),
    }


def _avgpool(arguments: Arguments, shape: Shape) -> nn.Module:
    count = arguments.get("count_pad", True)
    return nn.AvgPool2d(**_pool_geometry(arguments), count_include_pad=count)


def _maxpool(arguments: Arguments, shape: Shape) -> nn.Module:
    layer = nn.MaxPool2d(
        **_pool_geometry(arguments),
        dilation=pair(arguments.get("dilation", 1)),
        return_indices=arguments.get("indices", False),
    )
    return Function(lambda x: _of_pixels(layer(x)))


def _of_pixels(pooled: Any) -> Any:
    """Refuses what PyTorch gives for a dilated window that steps over the map: minus infinity."""
    values = pooled[0] if isinstance(pooled, tuple) else pooled
    if not values.is_meta and bool(values.isinf().any()):
        raise ValueError("a window sees padding only")
    return pooled


def _reach_avgpool(arguments: Arguments, x: Tensor) -> Tensor:
    return F.avg_pool2d(x, **_pool_geometry(arguments))


def _reach_maxpool(arguments: Arguments, x: Tensor) -> Any:
    dilation = pair(arguments.get("dilation", 1))
    pooled = F.max_pool2d(x, **_pool_geometry(arguments), dilation=dilation).clamp(min=0)
    return (pooled, pooled) if arguments.get("indices", False) else pooled


def _unpool(arguments: Arguments, shape: Shape) -> nn.Module:
    geometry = _pool_geometry(arguments)
    del geometry["ceil_mode"]
    dilation = pair(arguments.get("dilation", 1))
    # The kernel only bounds the size that can be asked for, and there a dilated one is larger.
    geometry["kernel_size"] = tuple(
        d * (k - 1) + 1 for d, k in zip(dilation, geometry["kernel_size"], strict=True)
    )
    layer = nn.MaxUnpool2d(**geometry)
    return Function(lambda x, where, before: layer(x, where, output_size=before.shape[2:]))


def _reach_unpool(arguments: Arguments, x: Tensor, where: Tensor, before: Tensor) -> Tensor:
    """A pixel sees each window that it was in: whether it held the largest value, and which."""
    top, left = pair(arguments.get("pad", 0))
    stride = _pool_geometry(arguments)["stride"]
    dilation = pair(arguments.get("dilation", 1))
    spread = F.conv_transpose2d(
        torch.maximum(x, where), _ones(arguments), None, stride, dilation=dilation
    )
    height, width = before.shape[2:]
    spread = F.pad(spread, (0, max(0, width + left), 0, max(0, height + top)))
    return spread[:, :, top : top + height, left : left + width]


# --- Borders -----------------------------------------------------------------------------------


def _draw_pad(chance: Chance, shape: Shape) -> Arguments:
    mode = chance.choice(["zeros", "zeros", "reflect", "replicate"])
    sides = (-1, 0, 1, 2, 3) if mode == "zeros" else (0, 1, 2, 3)
    given = {"before": chance.pair(*sides)}
    if mode != "zeros" or chance.odds(0.3):
        given["mode"] = mode
    return chance.some(given, after=chance.pair(*sides))


def _sides(arguments: Arguments) -> tuple[int, int, int, int]:
    """Left, right, top, bottom, as PyTorch has them."""
    (top, left), (bottom, right) = (
        pair(each) for each in (arguments["before"], arguments.get("after", arguments["before"]))
    )
    return left, right, top, bottom


_PADS = {"zeros": nn.ZeroPad2d, "reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}


def _pad(arguments: Arguments, shape: Shape) -> nn.Module:
    layer: nn.Module = _PADS[arguments.get("mode", "zeros")](_sides(arguments))
    return layer


def _draw_same_pad(chance: Chance, shape: Shape) -> Arguments:
    given = {"kernel": chance.pair(1, 3, 3, 4, 5)}
    return chance.some(given, stride=chance.pair(1, 2, 2, 3), dilation=chance.pair(1, 1, 2))


def _same_pad(arguments: Arguments, shape: Shape) -> nn.Module:
    return Function(lambda x: _same_padded(arguments, x))


def _same_padded(arguments: Arguments, x: Tensor) -> Tensor:
    kernel, stride, dilation = (
        pair(arguments.get(name, 1)) for name in ("kernel", "stride", "dilation")
    )
    return tensorflow_same(x, kernel, stride, dilation)


def cropped(arguments: Arguments, x: Tensor, like: Tensor) -> Tensor:
    """The part of `x` from an offset on that is as large as `like`."""
    top, left = pair(arguments["offset"])
    part = x[:, :, top : top + like.shape[2], left : left + like.shape[3]]
    if part.shape[2:] != like.shape[2:]:
        raise ValueError("the part is not inside")
    return part


# --- Enlargement -------------------------------------------------------------------------------


def _draw_upsample(chance: Chance, shape: Shape) -> Arguments:
    given = {"factor": chance.pair(1, 2, 2, 3, 4)}
    return chance.some(given, mode=chance.choice(["nearest", "bilinear"]))


def _upsampled(arguments: Arguments, x: Tensor) -> Tensor:
    factor = tuple(map(float, pair(arguments["factor"])))
    return F.interpolate(x, scale_factor=factor, mode=arguments.get("mode", "nearest"))


def _upsample(arguments: Arguments, shape: Shape) -> nn.Module:
    return Function(lambda x: _upsampled(arguments, x))


# --- Normalisation -----------------------------------------------------------------------------


def _draw_eps(chance: Chance, shape: Shape) -> Arguments:
    return chance.some({}, eps=chance.choice([1e-3, 1e-5]))


def _draw_batchnorm(chance: Chance, shape: Shape) -> Arguments:
    return chance.some(_draw_eps(chance, shape), momentum=chance.choice([0.2, 0.1]))


def _batchnorm(arguments: Arguments, shape: Shape) -> nn.Module:
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    return kind(shape[1], arguments.get("eps", 1e-5), arguments.get("momentum", 0.1))


def _layernorm(arguments: Arguments, shape: Shape) -> nn.Module:
    eps = arguments.get("eps", 1e-5)
    layer = nn.LayerNorm(shape[channel_axis(len(shape))], eps)
    return OverChannels(layer) if len(shape) == 4 else layer


def _draw_groupnorm(chance: Chance, shape: Shape) -> Arguments:
    return {"groups": chance.divisor(shape[1]), **_draw_eps(chance, shape)}


def _groupnorm(arguments: Arguments, shape: Shape) -> nn.Module:
    return nn.GroupNorm(arguments["groups"], shape[1], arguments.get("eps", 1e-5))


def _reach_whole(arguments: Arguments, x: Tensor) -> Tensor:
    return x.amax((2, 3), keepdim=True).expand_as(x)


def _draw_lrn(chance: Chance, shape: Shape) -> Arguments:
    given = {"size": chance.choice([1, 2, 3, 5])}
    return chance.some(
        given,
        alpha=chance.choice([0.1, 1e-4]),
        beta=chance.choice([0.5, 0.75]),
        k=chance.choice([2.0, 1.0]),
    )


def _lrn(arguments: Arguments, shape: Shape) -> nn.Module:
    return nn.LocalResponseNorm(
        arguments["size"],
        arguments.get("alpha", 1e-4),
        arguments.get("beta", 0.75),
        arguments.get("k", 1.0),
    )


def _draw_p(chance: Chance, shape: Shape) -> Arguments:
    return {"p": chance.choice([0.0, 0.25, 1.0])}


def _scale(arguments: Arguments, shape: Shape) -> nn.Module:
    channels = shape[channel_axis(len(shape))]
    return Factors(len(shape), channels, arguments.get("init", 1.0))


# --- Activations -------------------------------------------------------------------------------


def _draw_softmax(chance: Chance, shape: Shape) -> Arguments:
    return chance.some({}, axis=chance.randrange(1, len(shape)))


def _softmax_axis(arguments: Arguments, rank: int) -> int:
    axis: int = arguments.get("axis", channel_axis(rank))
    return axis


def _softmax(arguments: Arguments, shape: Shape) -> nn.Module:
    return nn.Softmax(_softmax_axis(arguments, len(shape)))


def _reach_softmax(arguments: Arguments, x: Tensor) -> Tensor:
    axis = _softmax_axis(arguments, x.dim())
    return x.amax(axis, keepdim=True).expand_as(x)


def _prelu(arguments: Arguments, shape: Shape) -> nn.Module:
    return nn.PReLU(shape[1], arguments.get("init", 0.25))


def _activation(module: Callable[[], nn.Module]) -> Operator:
    return Operator(lambda arguments, shape: module(), ranks=(2, 3, 4), often=0.5)


# --- Shapes, features, sequences ---------------------------------------------------------------


def _draw_linear(chance: Chance, shape: Shape) -> Arguments:
    return chance.some({"out": chance.choice([1, 2, 3, 5])}, bias=chance.odds(0.5))


def _linear(arguments: Arguments, shape: Shape) -> nn.Module:
    return nn.Linear(shape[-1], arguments["out"], arguments.get("bias", True))


def _reach_flatten(arguments: Arguments, x: Tensor) -> Tensor:
    return x.flatten(1).amax(1, keepdim=True)


def _draw_split(chance: Chance, shape: Shape) -> Arguments:
    channels = shape[channel_axis(len(shape))]
    parts = [each for each in (2, 3, 4) if channels % each == 0]
    return {"parts": chance.choice(parts) if parts else 2}


def _split(arguments: Arguments, shape: Shape) -> nn.Module:
    axis, parts = channel_axis(len(shape)), arguments["parts"]
    if shape[axis] % parts:
        raise ValueError("parts would be unequal")
    return Function(lambda x: torch.chunk(x, parts, axis))


def _draw_lstm(chance: Chance, shape: Shape) -> Arguments:
    return {"units": chance.choice([1, 2, 3])}


def _reach_lstm(arguments: Arguments, x: Tensor) -> tuple[Tensor, Tensor]:
    return x.cummax(1).values, x.amax(1)


# --- Joins -------------------------------------------------------------------------------------


def _summed(*xs: Tensor) -> Tensor:
    total = xs[0]
    for x in xs[1:]:
        total = total + _same_shape(total, x)
    return total


def _multiplied(*xs: Tensor) -> Tensor:
    total = xs[0]
    for x in xs[1:]:
        total = total * _same_shape(total, x)
    return total


def _same_shape(left: Tensor, right: Tensor) -> Tensor:
    if left.shape != right.shape:
        raise ValueError("nothing is broadcast")
    return right


def _gated(x: Tensor, by: Tensor) -> Tensor:
    n, c, h, w = x.shape
    if by.shape not in ((n, c, 1, 1), (n, 1, h, w)):
        raise ValueError("neither a factor for each channel nor one for each pixel")
    return x * by


def _reach_join(arguments: Arguments, *xs: Tensor) -> Tensor:
    return _summed(*xs)


def _reach_gate(arguments: Arguments, x: Tensor, by: Tensor) -> Tensor:
    return x + by


def _join(function: Callable[..., Tensor]) -> Operator:
    return Operator(
        lambda arguments, shape: Function(function), reach=_reach_join, ranks=(2, 3, 4), often=0
    )


def _concat(arguments: Arguments, shape: Shape) -> nn.Module:
    return Function(lambda *xs: torch.cat(xs, channel_axis(len(shape))))


def _draw_init(chance: Chance, shape: Shape) -> Arguments:
    return chance.some({}, init=chance.choice([0.5, 0.25, 1.0]))


OPERATORS: dict[str, Operator] = {
    "pad": Operator(
        _pad,
        _draw_pad,
        lambda a, x: F.pad(x, _sides(a), a.get("mode", "zeros").replace("zeros", "constant")),
        by_place=1,
        often=2,
    ),
    "same_pad": Operator(_same_pad, _draw_same_pad, _same_padded, by_place=1, often=2),
    "crop": Operator(
        lambda a, s: Function(lambda x, like: cropped(a, x, like)), reach=cropped, often=0
    ),
    "conv": Operator(_conv, _draw_conv, _reach_conv, by_place=2, fixed=True, often=8),
    "deconv": Operator(_deconv, _draw_deconv, _reach_deconv, by_place=2, fixed=True, often=4),
    "maxpool": Operator(_maxpool, _draw_maxpool, _reach_maxpool, by_place=1, often=4),
    "avgpool": Operator(_avgpool, _draw_avgpool, _reach_avgpool, by_place=1, often=3),
    "unpool": Operator(_unpool, reach=_reach_unpool, often=0),
    "upsample": Operator(
        _upsample, _draw_upsample, lambda a, x: _upsampled(a, x), by_place=1, often=3
    ),
    "global_avgpool": Operator(
        lambda a, s: nn.AdaptiveAvgPool2d(1),
        reach=lambda a, x: x.amax((2, 3), keepdim=True),
        often=0.5,
    ),
    "batchnorm": Operator(_batchnorm, _draw_batchnorm, ranks=(2, 4), fixed=True),
    "layernorm": Operator(_layernorm, _draw_eps, ranks=(2, 3, 4), fixed=True),
    "groupnorm": Operator(
        _groupnorm, _draw_groupnorm, _reach_whole, by_place=1, fixed=True, often=0.7
    ),
    "lrn": Operator(_lrn, _draw_lrn, by_place=1),
    "scale": Operator(_scale, _draw_init, ranks=(2, 3, 4), fixed=True),
    "prelu": Operator(_prelu, _draw_init, ranks=(2, 4), fixed=True),
    "dropout": Operator(
        lambda a, s: nn.Dropout(a.get("p", 0.5)),
        lambda c, s: c.some({}, **_draw_p(c, s)),
        ranks=(2, 3, 4),
    ),
    "drop_path": Operator(
        lambda a, s: Function(lambda x: x), _draw_p, ranks=(2, 3, 4), by_place=1, often=0.5
    ),
    "relu": _activation(nn.ReLU),
    "relu6": _activation(nn.ReLU6),
    "sigmoid": _activation(nn.Sigmoid),
    "tanh": _activation(nn.Tanh),
    "silu": _activation(nn.SiLU),
    "gelu": _activation(nn.GELU),
    "hardsigmoid": _activation(nn.Hardsigmoid),
    "hardswish": _activation(nn.Hardswish),
    "elu": Operator(
        lambda a, s: nn.ELU(a.get("alpha", 1.0)),
        lambda c, s: c.some({}, alpha=c.choice([0.5, 1.0])),
        ranks=(2, 3, 4),
        often=0.5,
    ),
    "leaky_relu": Operator(
        lambda a, s: nn.LeakyReLU(a.get("slope", 0.01)),
        lambda c, s: c.some({}, slope=c.choice([0.2, 0.01])),
        ranks=(2, 3, 4),
        often=0.5,
    ),
    "softmax": Operator(_softmax, _draw_softmax, _reach_softmax, ranks=(2, 3, 4)),
    "flatten": Operator(
        lambda a, s: nn.Flatten(), reach=_reach_flatten, ranks=(2, 3, 4), often=0.4
    ),
    "linear": Operator(_linear, _draw_linear, ranks=(2, 3), by_place=1, fixed=True, often=4),
    "lstm": Operator(
        lambda a, s: TextbookLstm(s[2], a["units"]),
        _draw_lstm,
        _reach_lstm,
        ranks=(3,),
        by_place=1,
        results=2,
        fixed=True,
        often=2,
    ),
    "split": Operator(
        _split,
        _draw_split,
        lambda a, x: (x,) * a["parts"],
        ranks=(2, 3, 4),
        by_place=1,
        results=2,
        fixed=True,
        often=0.7,
    ),
    "add": _join(_summed),
    "mul": _join(_multiplied),
    "concat": Operator(_concat, reach=_reach_join, ranks=(2, 3, 4), often=0),
    "gate": Operator(lambda a, s: Function(_gated), reach=_reach_gate, often=0),
}
"""By name. What is drawn 0 times as a stage becomes a line or a brace in `random_networks`."""
