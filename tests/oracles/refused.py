"""Layers that cannot be built or run, each as a spec calls it and as PyTorch is asked for it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from oracles.case import network

MAP = (2, 6, 9, 11)
FEATURES = (2, 12)
SEQUENCE = (2, 5, 7)


@dataclass(frozen=True)
class Refused:
    """A call on an input of a fixed shape, and the module that means the same."""

    call: str
    reference: Callable[[], nn.Module]
    shape: tuple[int, ...] = MAP

    def __str__(self) -> str:
        return self.call

    @property
    def text(self) -> str:
        """The call as a spec with one network."""
        return network({"x": self.shape}, f"y = {self.call}", "y")

    def runs(self) -> bool:
        """Whether PyTorch builds the layer and gets at least one number out of it."""
        try:
            with torch.no_grad():
                result = self.reference()(torch.ones(self.shape))
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError, UserWarning):
            return False  # a warning says that a tensor of the layer has no elements
        first = result[0] if isinstance(result, tuple) else result
        return bool(first.numel())


CONV = [
    Refused("conv(0, 3)", lambda: nn.Conv2d(6, 0, 3)),
    Refused("conv(8, 0)", lambda: nn.Conv2d(6, 8, 0)),
    Refused("conv(8, [3, 0])", lambda: nn.Conv2d(6, 8, (3, 0))),
    Refused("conv(8, 3, stride=0)", lambda: nn.Conv2d(6, 8, 3, stride=0)),
    Refused("conv(8, 3, stride=[0, 1])", lambda: nn.Conv2d(6, 8, 3, stride=(0, 1))),
    Refused("conv(8, 3, pad=-1)", lambda: nn.Conv2d(6, 8, 3, padding=-1)),
    Refused("conv(8, 3, pad=[1, -1])", lambda: nn.Conv2d(6, 8, 3, padding=(1, -1))),
    Refused("conv(8, 3, dilation=0)", lambda: nn.Conv2d(6, 8, 3, dilation=0)),
    Refused("conv(8, 3, groups=0)", lambda: nn.Conv2d(6, 8, 3, groups=0)),
    Refused("conv(8, 3, groups=4)", lambda: nn.Conv2d(6, 8, 3, groups=4)),
    Refused("conv(8, 3, groups=6)", lambda: nn.Conv2d(6, 8, 3, groups=6)),
    Refused("conv(8, [10, 3])", lambda: nn.Conv2d(6, 8, (10, 3))),
    Refused("conv(8, [3, 14], pad=1)", lambda: nn.Conv2d(6, 8, (3, 14), padding=1)),
    Refused("conv(8, 4, dilation=3)", lambda: nn.Conv2d(6, 8, 4, dilation=3)),
    Refused("conv(8, 3)", lambda: nn.Conv2d(6, 8, 3), FEATURES),
]

OTHERS = [
    Refused("deconv(0, 3)", lambda: nn.ConvTranspose2d(6, 0, 3)),
    Refused("deconv(8, 0)", lambda: nn.ConvTranspose2d(6, 8, 0)),
    Refused("deconv(8, 3, stride=0)", lambda: nn.ConvTranspose2d(6, 8, 3, stride=0)),
    Refused("deconv(8, 3, pad=-1)", lambda: nn.ConvTranspose2d(6, 8, 3, padding=-1)),
    Refused("deconv(8, 1, pad=5)", lambda: nn.ConvTranspose2d(6, 8, 1, padding=5)),
    Refused("deconv(8, 3, output_pad=1)", lambda: nn.ConvTranspose2d(6, 8, 3, output_padding=1)),
    Refused(
        "deconv(8, 3, stride=2, output_pad=-1)",
        lambda: nn.ConvTranspose2d(6, 8, 3, stride=2, output_padding=-1),
    ),
    Refused("deconv(8, 3, groups=0)", lambda: nn.ConvTranspose2d(6, 8, 3, groups=0)),
    Refused("deconv(8, 3, groups=4)", lambda: nn.ConvTranspose2d(6, 8, 3, groups=4)),
    Refused("deconv(8, 3, groups=6)", lambda: nn.ConvTranspose2d(6, 8, 3, groups=6)),
    Refused("maxpool(0)", lambda: nn.MaxPool2d(0)),
    Refused("maxpool(2, 0)", lambda: nn.MaxPool2d(2, 0)),
    Refused("maxpool(2, pad=-1)", lambda: nn.MaxPool2d(2, padding=-1)),
    Refused("maxpool(3, pad=2)", lambda: nn.MaxPool2d(3, padding=2)),
    Refused("maxpool([2, 12])", lambda: nn.MaxPool2d((2, 12))),
    Refused("avgpool(0)", lambda: nn.AvgPool2d(0)),
    Refused("avgpool(2, 0)", lambda: nn.AvgPool2d(2, 0)),
    Refused("avgpool(2, pad=-1)", lambda: nn.AvgPool2d(2, padding=-1)),
    Refused("avgpool(3, pad=2)", lambda: nn.AvgPool2d(3, padding=2)),
    Refused("avgpool([10, 2])", lambda: nn.AvgPool2d((10, 2))),
    Refused("upsample(0)", lambda: nn.Upsample(scale_factor=0)),
    Refused("upsample([2, 0])", lambda: nn.Upsample(scale_factor=(2, 0))),
    Refused("lrn(0)", lambda: nn.LocalResponseNorm(0)),
    Refused("dropout(1.5)", lambda: nn.Dropout(1.5)),
    Refused("dropout(-0.1)", lambda: nn.Dropout(-0.1)),
    Refused("softmax(4)", lambda: nn.Softmax(4)),
    Refused("batchnorm(eps=0)", lambda: nn.BatchNorm2d(6, eps=0)),
    Refused("batchnorm", lambda: nn.BatchNorm2d(6), SEQUENCE),
    Refused("prelu", lambda: nn.PReLU(6), SEQUENCE),
    Refused("groupnorm(0)", lambda: nn.GroupNorm(0, 6)),
    Refused("groupnorm(4)", lambda: nn.GroupNorm(4, 6)),
    Refused("split(4)", lambda: nn.Unflatten(1, (4, -1))),
    Refused("linear(0)", lambda: nn.Linear(12, 0), FEATURES),
    Refused("lstm(0)", lambda: nn.LSTM(7, 0, batch_first=True), SEQUENCE),
    Refused("lstm(3)", lambda: nn.LSTM(6, 3, batch_first=True)),
]
