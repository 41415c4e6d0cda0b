"""Layers that PyTorch lacks. The source of those that a network needs is copied into its file."""

import torch
import torch.nn.functional as F
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


class SamePad(nn.Module):
    """Puts zeros around a map so that a window gives ceil(size / stride) positions."""

    def __init__(
        self,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
    ) -> None:
        super().__init__()
        self.kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        self.dilation = (dilation, dilation) if isinstance(dilation, int) else dilation

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self._sides(x.shape[2], 0)
        left, right = self._sides(x.shape[3], 1)
        return F.pad(x, (left, right, top, bottom))

    def _sides(self, size: int, axis: int) -> tuple[int, int]:
        stride = self.stride[axis]
        last = (size + stride - 1) // stride * stride - stride
        total = max(last + self.dilation[axis] * (self.kernel[axis] - 1) + 1 - size, 0)
        return total // 2, total - total // 2


class Crop(nn.Module):
    """Cuts a map down to the height and width of another, from row and column `offset` on."""

    def __init__(self, offset: int | tuple[int, int]) -> None:
        super().__init__()
        self.offset = (offset, offset) if isinstance(offset, int) else offset

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        top, left = self.offset
        return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]


class Scale(nn.Module):
    """Multiplies each channel by a learned factor; `axes_behind` the channels it is constant."""

    def __init__(self, channels: int, init: float = 1.0, axes_behind: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, *[1] * axes_behind), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight
