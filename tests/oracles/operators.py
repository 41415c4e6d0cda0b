"""Every operator, at its defaults and away from them, beside what PyTorch says it means."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

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
    layer("conv(8, 3, 2, 1)", lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1)),
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
    layer("deconv(4, 4, 2, 1)", lambda: nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1)),
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
    _unpool("maxpool(2, indices=true)", lambda: nn.MaxPool2d(2), RAGGED),
    _unpool("maxpool(2, ceil=true, indices=true)", lambda: nn.MaxPool2d(2, ceil_mode=True), RAGGED),
    _unpool("maxpool([2, 3], indices=true)", lambda: nn.MaxPool2d((2, 3)), RAGGED),
    _unpool("maxpool(2, stride=3, indices=true)", lambda: nn.MaxPool2d(2, 3), RAGGED),
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
    *_on_every_rank("tanh", nn.Tanh),
    *_on_every_rank("sigmoid", nn.Sigmoid),
    layer("softmax", lambda: nn.Softmax(dim=1)),
    layer("softmax(axis=2)", lambda: nn.Softmax(dim=2)),
    layer("softmax(3)", lambda: nn.Softmax(dim=3)),
    layer("softmax", lambda: nn.Softmax(dim=1), FEATURES, ONE, NONE),
    layer("softmax", lambda: nn.Softmax(dim=2), SEQUENCE, STEPS, STEP_PROBE),
    layer("softmax(1)", lambda: nn.Softmax(dim=1), SEQUENCE, STEPS, STEP_PROBE),
]

NORMALISATION = [
    layer("batchnorm", lambda: nn.BatchNorm2d(6)),
    layer("batchnorm(eps=0.1, momentum=0.3)", lambda: nn.BatchNorm2d(6, eps=0.1, momentum=0.3)),
    layer("batchnorm", lambda: nn.BatchNorm1d(12), FEATURES, ONE[1:], NONE),
    layer("batchnorm(0.01)", lambda: nn.BatchNorm1d(12, eps=0.01), FEATURES, ONE[1:], NONE),
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
    *RECURRENT,
    *REGION,
]
