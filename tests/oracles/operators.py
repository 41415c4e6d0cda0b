"""Every operator, at its defaults and away from them, beside what PyTorch says it means."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from oracles.borders import BORDERS
from oracles.case import MAPS, PROBE, Case, Chain, Function, Sizes, layer, network
from oracles.recurrent import TextbookLstm

ONE: tuple[Sizes, ...] = ({"N": 1}, {"N": 3})
NONE: Sizes = {"N": 1}
RAGGED: tuple[Sizes, ...] = tuple(
    {"N": 1 + side % 3, "h": side, "w": 22 - side} for side in range(5, 17)
)
"""Every remainder of the usual strides, for what rounds."""

CONV = [
    layer("conv(8, 3)", lambda: nn.Conv2d(6, 8, 3)),
    layer("conv(out=5, kernel=4, pad=2)", lambda: nn.Conv2d(6, 5, 4, padding=2)),
    layer("conv(8, 3, stride=2, bias=false)", lambda: nn.Conv2d(6, 8, 3, stride=2, bias=False)),
    layer("conv(8, 3, stride=2, pad=1)", lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1)),
    layer("conv(4, 3, dilation=2)", lambda: nn.Conv2d(6, 4, 3, dilation=2)),
    layer("conv(6, 3, groups=6)", lambda: nn.Conv2d(6, 6, 3, groups=6)),
    layer("conv(9, 3, pad=1, groups=3)", lambda: nn.Conv2d(6, 9, 3, padding=1, groups=3)),
    layer("conv(5, 1)", lambda: nn.Conv2d(6, 5, 1)),
    layer("conv(5, 1, stride=2)", lambda: nn.Conv2d(6, 5, 1, stride=2)),
    layer("conv(5, 2, stride=5)", lambda: nn.Conv2d(6, 5, 2, stride=5)),
    layer("conv(5, 3, pad=4)", lambda: nn.Conv2d(6, 5, 3, padding=4)),
    layer(
        "conv(4, [3, 5], stride=[2, 3], pad=[1, 2], dilation=[2, 1], groups=2)",
        lambda: nn.Conv2d(6, 4, (3, 5), stride=(2, 3), padding=(1, 2), dilation=(2, 1), groups=2),
    ),
    layer(
        "conv(4, 7, stride=2, pad=3)",
        lambda: nn.Conv2d(3, 4, 7, stride=2, padding=3),
        shape=("N", 3, "32*h", "32*w"),
        sizes=({"N": 1, "h": 1, "w": 1}, {"N": 2, "h": 2, "w": 1}),
        probe={"N": 1, "h": 1, "w": 2},
    ),
    layer("conv(10, [7, 5])", lambda: nn.Conv2d(2, 10, (7, 5)), ("N", 2, 7, 5), ONE, NONE),
    layer("conv(2, 5, pad=1)", lambda: nn.Conv2d(4, 2, 5, padding=1), ("N", 4, 3, 3), ONE, NONE),
]

DECONV = [
    layer("deconv(4, 3)", lambda: nn.ConvTranspose2d(6, 4, 3)),
    layer(
        "deconv(4, 4, stride=2, pad=1)", lambda: nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1)
    ),
    layer(
        "deconv(4, 3, stride=2, pad=1, output_pad=1)",
        lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1),
    ),
    layer(
        "deconv(4, [3, 4], stride=[2, 3], pad=[0, 1], output_pad=[1, 2], bias=false)",
        lambda: nn.ConvTranspose2d(
            6, 4, (3, 4), stride=(2, 3), padding=(0, 1), output_padding=(1, 2), bias=False
        ),
    ),
    layer(
        "deconv(6, 2, stride=2, groups=3)", lambda: nn.ConvTranspose2d(6, 6, 2, stride=2, groups=3)
    ),
    layer("deconv(4, 2, stride=3)", lambda: nn.ConvTranspose2d(6, 4, 2, stride=3)),
    layer(
        "deconv(4, 5, stride=3, pad=2)", lambda: nn.ConvTranspose2d(6, 4, 5, stride=3, padding=2)
    ),
    layer("deconv(4, 3, dilation=2)", lambda: nn.ConvTranspose2d(6, 4, 3, dilation=2)),
    layer(
        "deconv(4, [2, 3], stride=[2, 3], pad=[1, 2], dilation=[3, 2], output_pad=[1, 0])",
        lambda: nn.ConvTranspose2d(
            6,
            4,
            (2, 3),
            stride=(2, 3),
            padding=(1, 2),
            dilation=(3, 2),
            output_padding=(1, 0),
        ),
    ),
    layer("deconv(4, 1, stride=2)", lambda: nn.ConvTranspose2d(6, 4, 1, stride=2)),
    layer(
        "deconv(2, 8, stride=4, pad=2)",
        lambda: nn.ConvTranspose2d(2, 2, 8, stride=4, padding=2),
        shape=("N", 2, "h", "w"),
    ),
    layer("deconv(8, 4)", lambda: nn.ConvTranspose2d(10, 8, 4), ("N", 10, 1, 1), ONE, NONE),
]

MAXPOOL = [
    layer("maxpool(2)", lambda: nn.MaxPool2d(2)),
    layer("maxpool(kernel=3, stride=1, pad=1)", lambda: nn.MaxPool2d(3, 1, padding=1)),
    layer("maxpool(3, 2)", lambda: nn.MaxPool2d(3, 2), sizes=RAGGED),
    layer("maxpool(3, 2, 1)", lambda: nn.MaxPool2d(3, 2, 1), sizes=RAGGED),
    layer("maxpool(3, 2, ceil=true)", lambda: nn.MaxPool2d(3, 2, ceil_mode=True), sizes=RAGGED),
    layer(
        "maxpool(3, 2, pad=1, ceil=true)",
        lambda: nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
        sizes=RAGGED,
    ),
    layer("maxpool(2, 3, ceil=true)", lambda: nn.MaxPool2d(2, 3, ceil_mode=True), sizes=RAGGED),
    layer(
        "maxpool([2, 5], stride=[4, 3], pad=[1, 2], ceil=true)",
        lambda: nn.MaxPool2d((2, 5), (4, 3), (1, 2), ceil_mode=True),
        sizes=RAGGED,
    ),
    layer("maxpool([2, 3], stride=[3, 1])", lambda: nn.MaxPool2d((2, 3), (3, 1))),
    layer("maxpool(2, dilation=2)", lambda: nn.MaxPool2d(2, dilation=2)),
    layer(
        "maxpool([4, 2], [3, 1], pad=[2, 1], dilation=[2, 3], ceil=true)",
        lambda: nn.MaxPool2d((4, 2), (3, 1), (2, 1), dilation=(2, 3), ceil_mode=True),
        sizes=RAGGED,
    ),
    layer("maxpool([7, 5])", lambda: nn.MaxPool2d((7, 5)), ("N", 2, 7, 5), ONE, NONE),
]

AVGPOOL = [
    layer("avgpool(2)", lambda: nn.AvgPool2d(2)),
    layer("avgpool(kernel=3, stride=1, pad=1)", lambda: nn.AvgPool2d(3, 1, padding=1)),
    layer(
        "avgpool(3, 1, 1, count_pad=false)",
        lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    ),
    *(
        layer(
            f"avgpool({kernel}, {stride}, {pad}, ceil={str(ceil).lower()}, "
            f"count_pad={str(count).lower()})",
            partial(nn.AvgPool2d, kernel, stride, pad, ceil_mode=ceil, count_include_pad=count),
            sizes=RAGGED,
        )
        for (kernel, stride, pad), ceil, count in itertools.product(
            [(3, 2, 1), (2, 3, 0), (5, 3, 2), (3, 3, 1)], [False, True], [False, True]
        )
    ),
    layer(
        "avgpool([2, 5], stride=[4, 3], pad=[1, 2], ceil=true)",
        lambda: nn.AvgPool2d((2, 5), (4, 3), (1, 2), ceil_mode=True),
        sizes=RAGGED,
    ),
    layer("avgpool([7, 5])", lambda: nn.AvgPool2d((7, 5)), ("N", 2, 7, 5), ONE, NONE),
]


def _pool_with_indices(call: str, module: Callable[[], nn.Module]) -> Case:
    return Case(
        call,
        network({"x": ("N", 3, "h", "w")}, f"y, where = {call}", "y", "where"),
        (("N", 3, "h", "w"),),
        lambda: Chain(y=module()),
        ("y", "where"),
        RAGGED,
        PROBE,
    )


class _Unpool(nn.Module):
    """Max-pooling with indices and back, to the size from before."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        pool.return_indices = True
        self.pool = pool
        kernel: Any = pool.kernel_size
        if pool.dilation != 1:  # only bounds the size that can be asked for
            kernel = pool.dilation * (kernel - 1) + 1
        stride: Any = pool.stride
        padding: Any = pool.padding
        self.unpool = nn.MaxUnpool2d(kernel, stride, padding)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        pooled, where = self.pool(x)
        # Unpooling overwrites where windows overlap, which says nothing about which value wins.
        return (self.unpool(pooled * 2, where, output_size=x.shape),)


def _unpool(call: str, module: Callable[[], nn.MaxPool2d], sizes: tuple[Sizes, ...]) -> Case:
    body = f"""
        pooled, where = {call}
        doubled = pooled -> add {{ in in }}
        y = unpool(where)
    """
    return Case(
        f"unpool after {call}",
        network({"x": ("N", 3, "h", "w")}, body, "y"),
        (("N", 3, "h", "w"),),
        lambda: _Unpool(module()),
        ("y",),
        sizes,
        PROBE,
    )


INDICES = [
    _pool_with_indices("maxpool(2, indices=true)", lambda: nn.MaxPool2d(2, return_indices=True)),
    _pool_with_indices(
        "maxpool(3, stride=2, pad=1, ceil=true, indices=true)",
        lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True, return_indices=True),
    ),
    _pool_with_indices(
        "maxpool([4, 2], [3, 1], pad=[2, 1], dilation=[2, 3], ceil=true, indices=true)",
        lambda: nn.MaxPool2d((4, 2), (3, 1), (2, 1), (2, 3), ceil_mode=True, return_indices=True),
    ),
    _unpool("maxpool(2, indices=true)", lambda: nn.MaxPool2d(2), RAGGED),
    _unpool("maxpool(2, ceil=true, indices=true)", lambda: nn.MaxPool2d(2, ceil_mode=True), RAGGED),
    _unpool("maxpool([2, 3], indices=true)", lambda: nn.MaxPool2d((2, 3)), RAGGED),
    _unpool("maxpool(2, stride=3, indices=true)", lambda: nn.MaxPool2d(2, 3), RAGGED),
    _unpool(
        "maxpool(2, dilation=3, indices=true)",
        lambda: nn.MaxPool2d(2, dilation=3),
        RAGGED,
    ),
    _unpool("maxpool(2, pad=1, indices=true)", lambda: nn.MaxPool2d(2, padding=1), RAGGED),
]

UPSAMPLE = [
    layer("upsample(2)", lambda: nn.Upsample(scale_factor=2)),
    layer("upsample(factor=3)", lambda: nn.Upsample(scale_factor=3)),
    layer("upsample([2, 3])", lambda: nn.Upsample(scale_factor=(2, 3))),
    layer("upsample(1)", lambda: nn.Upsample(scale_factor=1)),
    layer('upsample(2, "bilinear")', lambda: nn.Upsample(scale_factor=2, mode="bilinear")),
    layer('upsample(3, mode="bilinear")', lambda: nn.Upsample(scale_factor=3, mode="bilinear")),
    layer(
        'upsample([4, 1], mode="bilinear")',
        lambda: nn.Upsample(scale_factor=(4, 1), mode="bilinear"),
    ),
    layer(
        'upsample(2, mode="bilinear")',
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        ("N", 3, 1, 1),
        ONE,
        NONE,
    ),
]

FEATURES: tuple[int | str, ...] = ("N", 12)
SEQUENCE: tuple[int | str, ...] = ("N", "T", 7)
STEPS: tuple[Sizes, ...] = ({"N": 1, "T": 1}, {"N": 3, "T": 8}, {"N": 2, "T": 5})
STEP_PROBE: Sizes = {"N": 1, "T": 12}


def _on_every_rank(call: str, reference: Callable[[], nn.Module]) -> list[Case]:
    return [
        layer(call, reference),
        layer(call, reference, FEATURES, ONE, NONE),
        layer(call, reference, SEQUENCE, STEPS, STEP_PROBE),
    ]


ACTIVATIONS = [
    *_on_every_rank("relu", nn.ReLU),
    *_on_every_rank("leaky_relu", nn.LeakyReLU),
    *_on_every_rank("leaky_relu(0.2)", lambda: nn.LeakyReLU(0.2)),
    *_on_every_rank("leaky_relu(slope=-1)", lambda: nn.LeakyReLU(-1.0)),
    *_on_every_rank("relu6", lambda: Function(lambda x: x.clamp(0, 6))),
    *_on_every_rank("elu", nn.ELU),
    *_on_every_rank("elu(alpha=0.3)", lambda: nn.ELU(0.3)),
    *_on_every_rank("gelu", nn.GELU),
    *_on_every_rank("silu", lambda: Function(lambda x: x * x.sigmoid())),
    *_on_every_rank("hardsigmoid", lambda: Function(lambda x: (x / 6 + 0.5).clamp(0, 1))),
    *_on_every_rank("hardswish", lambda: Function(lambda x: x * (x / 6 + 0.5).clamp(0, 1))),
    layer("prelu", lambda: nn.PReLU(6)),
    layer("prelu", lambda: nn.PReLU(5), ("N", 5, 5, 5), ONE, NONE),
    layer("prelu(init=0.1)", lambda: nn.PReLU(12, init=0.1), FEATURES, ONE, NONE),
    *_on_every_rank("tanh", nn.Tanh),
    *_on_every_rank("sigmoid", nn.Sigmoid),
    layer("softmax", lambda: nn.Softmax(dim=1)),
    layer("softmax(axis=2)", lambda: nn.Softmax(dim=2)),
    layer("softmax(3)", lambda: nn.Softmax(dim=3)),
    layer("softmax", lambda: nn.Softmax(dim=1), FEATURES, ONE, NONE),
    layer("softmax", lambda: nn.Softmax(dim=2), SEQUENCE, STEPS, STEP_PROBE),
    layer("softmax(1)", lambda: nn.Softmax(dim=1), SEQUENCE, STEPS, STEP_PROBE),
]


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each pixel's channels, by the formula."""

    def forward(self, x: Tensor) -> Tensor:
        deviation = x - x.mean(1, keepdim=True)
        normal = deviation / (deviation.square().mean(1, keepdim=True) + self.eps).sqrt()
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


class _Scale(nn.Module):
    def __init__(self, *shape: int, init: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(shape, init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


NORMALISATION = [
    layer("batchnorm", lambda: nn.BatchNorm2d(6)),
    layer("batchnorm(eps=0.1, momentum=0.3)", lambda: nn.BatchNorm2d(6, eps=0.1, momentum=0.3)),
    layer("batchnorm", lambda: nn.BatchNorm1d(12), FEATURES, ONE[1:], NONE),
    layer("batchnorm(0.01)", lambda: nn.BatchNorm1d(12, eps=0.01), FEATURES, ONE[1:], NONE),
    layer("layernorm", lambda: _ChannelNorm(6)),
    layer("layernorm(1e-3)", lambda: _ChannelNorm(6, 1e-3)),
    layer("layernorm", lambda: nn.LayerNorm(12), FEATURES, ONE, NONE),
    layer("layernorm(eps=0.1)", lambda: nn.LayerNorm(7, 0.1), SEQUENCE, STEPS, STEP_PROBE),
    layer("groupnorm(3)", lambda: nn.GroupNorm(3, 6)),
    layer("groupnorm(1, eps=0.1)", lambda: nn.GroupNorm(1, 6, 0.1)),
    layer("groupnorm(groups=6)", lambda: nn.GroupNorm(6, 6)),
    layer("scale", lambda: _Scale(6, 1, 1)),
    layer("scale(0.1)", lambda: _Scale(12, init=0.1), FEATURES, ONE, NONE),
    layer("scale(init=1e-6)", lambda: _Scale(7, init=1e-6), SEQUENCE, STEPS, STEP_PROBE),
    layer("lrn(5)", lambda: nn.LocalResponseNorm(5)),
    layer(
        "lrn(size=3, alpha=0.5, beta=0.6, k=2)",
        lambda: nn.LocalResponseNorm(3, alpha=0.5, beta=0.6, k=2),
    ),
    layer("lrn(4, alpha=0.5)", lambda: nn.LocalResponseNorm(4, alpha=0.5)),
    layer("lrn(2, 1.5, 0.5, 0.25)", lambda: nn.LocalResponseNorm(2, 1.5, 0.5, 0.25)),
    layer("lrn(1, alpha=0.5)", lambda: nn.LocalResponseNorm(1, alpha=0.5)),
    layer("lrn(9, alpha=0.5)", lambda: nn.LocalResponseNorm(9, alpha=0.5)),
    *_on_every_rank("dropout", nn.Dropout),
    *_on_every_rank("dropout(0.2)", lambda: nn.Dropout(0.2)),
    *_on_every_rank("dropout(p=0)", lambda: nn.Dropout(0)),
    *_on_every_rank("drop_path(0.2)", lambda: torchvision.ops.StochasticDepth(0.2, "row")),
    *_on_every_rank("drop_path(p=0)", lambda: torchvision.ops.StochasticDepth(0, "row")),
    *_on_every_rank("drop_path(1)", lambda: torchvision.ops.StochasticDepth(1, "row")),
]

LINEAR = [
    layer("linear(5)", lambda: nn.Linear(12, 5), FEATURES, ONE, NONE),
    layer("linear(out=1, bias=false)", lambda: nn.Linear(12, 1, bias=False), FEATURES, ONE, NONE),
    layer("linear(5)", lambda: nn.Linear(7, 5), SEQUENCE, STEPS, STEP_PROBE),
    layer("linear(3, false)", lambda: nn.Linear(7, 3, bias=False), SEQUENCE, STEPS, STEP_PROBE),
    layer("flatten", nn.Flatten),
    layer("flatten", nn.Flatten, SEQUENCE, STEPS, STEP_PROBE),
    layer("flatten", nn.Flatten, FEATURES, ONE, NONE),
    layer("global_avgpool", lambda: nn.AdaptiveAvgPool2d(1)),
    layer("global_avgpool", lambda: nn.AdaptiveAvgPool2d(1), ("N", 3, 1, 1), ONE, NONE),
]


def _join(
    kind: str,
    function: Callable[..., Tensor],
    *shapes: tuple[int | str, ...],
    sizes: tuple[Sizes, ...] = MAPS,
    probe: Sizes = PROBE,
) -> Case:
    names = "abcd"[: len(shapes)]
    body = f"y = a -> {kind} {{ in {' '.join(names[1:])} }}"
    return Case(
        f"{kind} of {len(shapes)} of rank {len(shapes[0])}",
        network(dict(zip(names, shapes, strict=True)), body, "y"),
        shapes,
        lambda: Chain(y=Function(lambda *values: function(values))),
        ("y",),
        sizes,
        probe,
    )


def _channels(channels: int) -> tuple[int | str, ...]:
    return ("N", channels, "h", "w")


JOINS = [
    _join("concat", lambda xs: torch.cat(xs, 1), _channels(2), _channels(3)),
    _join("concat", lambda xs: torch.cat(xs, 1), *map(_channels, (2, 1, 4, 3))),
    _join("concat", lambda xs: torch.cat(xs, 1), ("N", 4), ("N", 1), sizes=ONE, probe=NONE),
    _join(
        "concat",
        lambda xs: torch.cat(xs, 2),
        SEQUENCE,
        ("N", "T", 2),
        sizes=STEPS,
        probe=STEP_PROBE,
    ),
    _join("add", lambda xs: xs[0] + xs[1], _channels(2), _channels(2)),
    _join(
        "add", lambda xs: xs[0] + xs[1] + xs[2], FEATURES, FEATURES, FEATURES, sizes=ONE, probe=NONE
    ),
    _join("mul", lambda xs: xs[0] * xs[1], _channels(2), _channels(2)),
    _join("mul", lambda xs: xs[0] * xs[1] * xs[2], *[_channels(2)] * 3),
    _join("mul", lambda xs: xs[0] * xs[1], SEQUENCE, SEQUENCE, sizes=STEPS, probe=STEP_PROBE),
]


class _Gated(nn.Module):
    """A map times what a chain makes of it."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        self.gate1 = Chain(**layers)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        (factors,) = self.gate1(x)
        return (x * factors,)


def _squeeze_excitation() -> nn.Module:
    """Hu et al. 2018: channels weighted by what the whole map says."""
    return _Gated(
        pool=nn.AdaptiveAvgPool2d(1),
        conv1=nn.Conv2d(6, 2, 1),
        relu=nn.ReLU(),
        conv2=nn.Conv2d(2, 6, 1),
        sigmoid=nn.Sigmoid(),
    )


def _spatial_attention() -> nn.Module:
    """Pixels weighted by what stands around them."""
    return _Gated(conv1=nn.Conv2d(6, 1, 3, padding=1), sigmoid=nn.Sigmoid())


def _gate(
    factors: tuple[int | str, ...],
    shape: tuple[int | str, ...] = ("N", 6, "h", "w"),
    sizes: tuple[Sizes, ...] = MAPS,
    probe: Sizes = PROBE,
) -> Case:
    return Case(
        f"gate of {list(factors)} on {list(shape)}",
        network({"a": shape, "b": factors}, "y = a -> gate { b }", "y"),
        (shape, factors),
        lambda: Chain(y=Function(lambda a, b: a * b)),
        ("y",),
        sizes,
        probe,
    )


GATES = [
    layer(
        "gate { global_avgpool -> conv(2, 1) -> relu -> conv(6, 1) -> sigmoid }",
        _squeeze_excitation,
    ),
    layer("gate { conv(1, 3, pad=1) -> sigmoid }", _spatial_attention),
    layer(
        "gate { conv(6, [9, 7]) -> tanh }",
        lambda: _Gated(conv1=nn.Conv2d(6, 6, (9, 7)), tanh=nn.Tanh()),
        ("N", 6, 9, 7),
        ONE,
        NONE,
    ),
    _gate(("N", 6, 1, 1)),
    _gate(("N", 1, "h", "w")),
    _gate(("N", 6, 1, 1), ("N", 6, 1, 1), ONE, NONE),
]


def _split(
    parts: int,
    axis: int,
    shape: tuple[int | str, ...],
    sizes: tuple[Sizes, ...] = MAPS,
    probe: Sizes = PROBE,
) -> Case:
    names = "abcdef"[:parts]
    return Case(
        f"split({parts}) of {list(shape)}",
        network({"x": shape}, f"{', '.join(names)} = split({parts})", *names),
        (shape,),
        lambda: Chain(y=Function(lambda x: x.tensor_split(parts, axis))),
        tuple(names),
        sizes,
        probe,
    )


class _Halves(nn.Module):
    """Two convolutions, each on half of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3)
        self.right = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.left(x[:, :3]) + self.right(x[:, 3:]),)


SPLITS = [
    _split(2, 1, ("N", 6, "h", "w")),
    _split(6, 1, ("N", 6, "h", "w")),
    _split(3, 1, FEATURES, ONE, NONE),
    _split(3, 2, ("N", "T", 6), STEPS, STEP_PROBE),
    Case(
        "halves of the channels",
        network(
            {"x": ("N", 6, "h", "w")},
            """
            a, b = split(2)
            left = a -> conv(4, 3)
            right = b -> conv(4, 3)
            y = left -> add { in right }
            """,
            "y",
        ),
        (("N", 6, "h", "w"),),
        _Halves,
        ("y",),
        MAPS,
        PROBE,
    ),
    Case(
        "one part of three",
        network({"x": ("N", 6, "h", "w")}, "a, y, c = split(3)", "y"),
        (("N", 6, "h", "w"),),
        lambda: Chain(y=Function(lambda x: x[:, 2:4])),
        ("y",),
        MAPS,
        PROBE,
    ),
]


def _lstm(units: int) -> Case:
    return Case(
        f"lstm({units})",
        network({"x": SEQUENCE}, f"y, last = lstm({units})", "y", "last"),
        (SEQUENCE,),
        lambda: Chain(lstm1=TextbookLstm(7, units)),
        ("y", "last"),
        STEPS,
        STEP_PROBE,
    )


def _boxes(generator: torch.Generator, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    """Overlapping boxes in a field of 20 by 20, with scores that are all different."""
    count = shapes[0][0]
    corners = 12 * torch.rand(count, 2, generator=generator, dtype=torch.float64)
    sides = 2 + 6 * torch.rand(count, 2, generator=generator, dtype=torch.float64)
    scores = torch.randperm(count, generator=generator).to(torch.float64) / count
    return [torch.cat([corners, corners + sides], 1), scores]


def _nms(iou: float) -> Case:
    return Case(
        f"nms(iou={iou})",
        network({"boxes": ("r", 4), "scores": ("r",)}, f"y = boxes -> nms(scores, {iou})", "y"),
        (("r", 4), ("r",)),
        lambda: Chain(y=Function(lambda b, s: torchvision.ops.nms(b, s, iou))),
        ("y",),
        ({"r": 1}, {"r": 7}, {"r": 40}),
        {"r": 7},
        _boxes,
    )


RECURRENT = [_lstm(5), _lstm(1)]
REGION = [_nms(0.5), _nms(0.1)]

CASES: list[Case] = [
    *BORDERS,
    *CONV,
    *DECONV,
    *MAXPOOL,
    *AVGPOOL,
    *INDICES,
    *UPSAMPLE,
    *ACTIVATIONS,
    *NORMALISATION,
    *LINEAR,
    *JOINS,
    *GATES,
    *SPLITS,
    *RECURRENT,
    *REGION,
]
