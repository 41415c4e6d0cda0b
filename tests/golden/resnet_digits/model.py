"""Network `resnet_digits`. Written by netloom VERSION; edit the spec instead."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Basic(nn.Module):
    """`basic`: (N, in_channels, h, w) -> (N, ch, h//stride, w//stride)."""

    def __init__(self, in_channels: int, ch: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, ch, 3, stride=stride, padding=1, bias=False)
        self.batchnorm1 = nn.BatchNorm2d(ch)
        self.conv2 = nn.Conv2d(ch, ch, 3, padding=1, bias=False)
        self.batchnorm2 = nn.BatchNorm2d(ch)
        self.shortcut = (
            nn.Sequential(
                OrderedDict(
                    conv1=nn.Conv2d(in_channels, ch, 1, stride=stride, bias=False),
                    batchnorm1=nn.BatchNorm2d(ch),
                )
            )
            if in_channels != ch
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.batchnorm1(self.conv1(x)))  # (N, ch, h//stride, w//stride)
        y = self.batchnorm2(self.conv2(y))  # (N, ch, h//stride, w//stride)
        x = y + self.shortcut(x)  # (N, ch, h//stride, w//stride)
        return F.relu(x)  # (N, ch, h//stride, w//stride)


class Stage(nn.Module):
    """`stage`: (N, in_channels, h, w) -> (N, ch, h//stride, w//stride)."""

    def __init__(self, in_channels: int, ch: int, stride: int = 1) -> None:
        super().__init__()
        self.basic1 = Basic(in_channels, ch, stride=stride)
        self.repeat1 = nn.Sequential(Basic(ch, ch))

    def forward(self, x: Tensor) -> Tensor:
        x = self.basic1(x)  # (N, ch, h//stride, w//stride)
        return self.repeat1(x)  # (N, ch, h//stride, w//stride)


def check_sizes(image: Tensor) -> None:
    """Refuses what `resnet_digits` cannot be run on."""
    takes = "resnet_digits takes image of [N, 1, 4*h, 4*w]"
    if image.dim() != 4:
        raise ValueError(f"{takes}: it must have 4 axes, but has {image.dim()}")
    if image.shape[1] != 1:
        raise ValueError(f"{takes}: channels must be 1, but is {image.shape[1]}")
    if image.shape[2] % 4:
        raise ValueError(
            f"{takes}: height must be a multiple of 4, but is {image.shape[2]}"
        )
    if image.shape[3] % 4:
        raise ValueError(
            f"{takes}: width must be a multiple of 4, but is {image.shape[3]}"
        )


class ResnetDigits(nn.Module):
    """Network `resnet_digits`.

    image: float32[N, 1, 4*h, 4*w]
    logits: float32[N, 10] (output)
    probabilities: float32[N, 10], in evaluation (output)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.batchnorm1 = nn.BatchNorm2d(16)
        self.stage1 = Stage(16, 16)
        self.stage2 = Stage(16, 32, stride=2)
        self.features = Stage(32, 64, stride=2)
        self.logits = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        check_sizes(image)
        x = F.relu(self.batchnorm1(self.conv1(image)))  # (N, 16, 4*h, 4*w)
        x = self.stage1(x)  # (N, 16, 4*h, 4*w)
        x = self.stage2(x)  # (N, 32, 2*h, 2*w)
        features = self.features(x)  # (N, 64, h, w)
        # (N, 10)
        logits = self.logits(torch.flatten(F.adaptive_avg_pool2d(features, 1), 1))
        outputs = {"logits": logits}
        if not self.training:
            outputs["probabilities"] = torch.softmax(logits, dim=1)  # (N, 10)
        return outputs
