"""Network `googlenet_digits`. Written by netloom VERSION; edit the spec instead."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Unit(nn.Module):
    """`unit`: (N, in_channels, h, w) -> (N, ch, h, w)."""

    def __init__(self, in_channels: int, ch: int, kernel: int, pad: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, ch, kernel, padding=pad, bias=False)
        self.batchnorm1 = nn.BatchNorm2d(ch)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.batchnorm1(self.conv1(x)))  # (N, ch, h, w)


class Auxiliary(nn.Module):
    """`auxiliary`: (N, in_channels, h, w) -> (N, 10)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_channels, 64)
        self.dropout1 = nn.Dropout(p=0.7)
        self.linear2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        # (N, 64)
        x = F.relu(self.linear1(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)))
        return self.linear2(self.dropout1(x))  # (N, 10)


class Inception(nn.Module):
    """`inception`: (N, in_channels, h, w) -> (N, *, h, w)."""

    def __init__(
        self, in_channels: int, c1: int, c3r: int, c3: int, c5r: int, c5: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = Unit(in_channels, c1, 1)
        self.branch2 = nn.Sequential(
            OrderedDict(unit1=Unit(in_channels, c3r, 1), unit2=Unit(c3r, c3, 3, pad=1))
        )
        self.branch3 = nn.Sequential(
            OrderedDict(unit1=Unit(in_channels, c5r, 1), unit2=Unit(c5r, c5, 5, pad=2))
        )
        self.branch4 = nn.Sequential(
            OrderedDict(
                maxpool1=nn.MaxPool2d(3, stride=1, padding=1),
                unit1=Unit(in_channels, pool, 1),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        # (N, *, h, w)
        return torch.cat(
            [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1
        )


def check_sizes(image: Tensor) -> None:
    """Refuses what `googlenet_digits` cannot be run on."""
    takes = "googlenet_digits takes image of [N, 1, 16, 16]"
    if image.dim() != 4:
        raise ValueError(f"{takes}: it must have 4 axes, but has {image.dim()}")
    if image.shape[1] != 1:
        raise ValueError(f"{takes}: channels must be 1, but is {image.shape[1]}")
    if image.shape[2] != 16:
        raise ValueError(f"{takes}: height must be 16, but is {image.shape[2]}")
    if image.shape[3] != 16:
        raise ValueError(f"{takes}: width must be 16, but is {image.shape[3]}")


class GooglenetDigits(nn.Module):
    """Network `googlenet_digits`.

    image: float32[N, 1, 16, 16]
    aux1: float32[N, 10], in training (output)
    aux2: float32[N, 10], in training (output)
    logits: float32[N, 10] (output)
    probabilities: float32[N, 10], in evaluation (output)
    """

    def __init__(self) -> None:
        super().__init__()
        self.unit1 = Unit(1, 32, 3, pad=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception1 = Inception(32, 16, 16, 24, 4, 8, 8)
        self.inception3b = Inception(56, 24, 16, 32, 6, 12, 12)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(80, 32, 24, 48, 6, 12, 12)
        self.inception4b = Inception(104, 32, 24, 48, 8, 16, 16)
        self.aux1 = Auxiliary(80)
        self.aux2 = Auxiliary(104)
        self.logits_dropout1 = nn.Dropout(p=0.4)
        self.logits = nn.Linear(112, 10)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        check_sizes(image)
        x = self.maxpool1(self.unit1(image))  # (N, 32, 8, 8)
        x = self.inception1(x)  # (N, 56, 8, 8)
        inception3b = self.inception3b(x)  # (N, 80, 8, 8)
        x = self.maxpool2(inception3b)  # (N, 80, 4, 4)
        inception4a = self.inception4a(x)  # (N, 104, 4, 4)
        inception4b = self.inception4b(inception4a)  # (N, 112, 4, 4)
        # (N, 112)
        x = self.logits_dropout1(
            torch.flatten(F.adaptive_avg_pool2d(inception4b, 1), 1)
        )
        logits = self.logits(x)  # (N, 10)
        outputs = {"logits": logits}
        if self.training:
            outputs["aux1"] = self.aux1(inception3b)  # (N, 10)
            outputs["aux2"] = self.aux2(inception4a)  # (N, 10)
        if not self.training:
            outputs["probabilities"] = torch.softmax(logits, dim=1)  # (N, 10)
        return outputs
