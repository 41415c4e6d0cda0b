"""Network `lenet`. Written by netloom VERSION; edit the spec instead."""

import torch
from torch import Tensor, nn


def check_sizes(image: Tensor) -> None:
    """Refuses what `lenet` cannot be run on."""
    takes = "lenet takes image of [N, 1, 32, 32]"
    if image.dim() != 4:
        raise ValueError(f"{takes}: it must have 4 axes, but has {image.dim()}")
    if image.shape[1] != 1:
        raise ValueError(f"{takes}: channels must be 1, but is {image.shape[1]}")
    if image.shape[2] != 32:
        raise ValueError(f"{takes}: height must be 32, but is {image.shape[2]}")
    if image.shape[3] != 32:
        raise ValueError(f"{takes}: width must be 32, but is {image.shape[3]}")


class Lenet(nn.Module):
    """Network `lenet`.

    image: float32[N, 1, 32, 32]
    logits: float32[N, 10] (output)
    probabilities: float32[N, 10], in evaluation (output)
    """

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.logits = nn.Linear(84, 10)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        check_sizes(image)
        c1 = torch.tanh(self.c1(image))  # (N, 6, 28, 28)
        s2 = self.s2(c1)  # (N, 6, 14, 14)
        c3 = torch.tanh(self.c3(s2))  # (N, 16, 10, 10)
        s4 = self.s4(c3)  # (N, 16, 5, 5)
        c5 = torch.flatten(torch.tanh(self.c5(s4)), 1)  # (N, 120)
        f6 = torch.tanh(self.f6(c5))  # (N, 84)
        logits = self.logits(f6)  # (N, 10)
        outputs = {"logits": logits}
        if not self.training:
            outputs["probabilities"] = torch.softmax(logits, dim=1)  # (N, 10)
        return outputs
