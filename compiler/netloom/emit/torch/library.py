"""Layers that PyTorch lacks. The source of those that a network needs is copied into its file."""

import torch
from torch import Tensor, nn


class LayerNorm2d(nn.LayerNorm):
    """Normalises the channels of each pixel: (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DropPath(nn.Module):
    """Zeroes samples at random in training and scales up the others (stochastic depth)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = x.new_empty(x.size(0), *[1] * (x.dim() - 1)).bernoulli_(1 - self.p)
        if self.p < 1:
            kept.div_(1 - self.p)
        return x * kept


class Scale(nn.Module):
    """Multiplies each channel by a learned factor; `axes_behind` the channels it is constant."""

    def __init__(self, channels: int, init: float = 1.0, axes_behind: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, *[1] * axes_behind), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight
