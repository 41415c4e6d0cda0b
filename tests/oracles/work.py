"""Multiply-accumulates, counted by PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(module: nn.Module, inputs: Sequence[Tensor]) -> int:
    """The multiply-accumulates of one forward pass. PyTorch counts each as two operations."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return int(counter.get_total_flops()) // 2
