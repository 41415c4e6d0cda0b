"""Receptive fields by experiment: change a row or column of the input, see what changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from oracles.case import make_positive

Interval = tuple[int, int] | None
"""First and last input position that an output position depends on; None if on none."""


@dataclass(frozen=True)
class Fit:
    """The periodic-affine map that measured intervals follow in the interior of a map."""

    sizes: tuple[int, ...]
    stride: Fraction
    offset: int
    period: int


def measure_sets(
    module: nn.Module,
    inputs: Sequence[Tensor],
    which: int,
    axis: int,
    head: int = 0,
    head_axis: int | None = None,
) -> list[frozenset[int]]:
    """What each position of a head sees of input number `which` along `axis`.

    Positions are those along `head_axis`; without it the head is looked at as a whole. The inputs
    have a batch of 1. Nothing is taken from a formula: a position depends on a row if overwriting
    that row changes it, before a background of zeros or one of noise.
    """
    make_positive(module)
    module.eval()
    length = inputs[which].shape[axis]
    touched = None
    for seed, background in enumerate((0.0, 1.0, 1.0)):
        generator = torch.Generator().manual_seed(seed)
        noise = [torch.rand(x.shape, generator=generator, dtype=x.dtype) for x in inputs]
        batches = [(background * x).repeat(length + 1, *[1] * (x.dim() - 1)) for x in noise]
        changed = 5 + 5 * torch.rand(inputs[which].shape, generator=generator, dtype=torch.float64)
        for position in range(length):
            row = batches[which][position + 1]
            row.select(axis - 1, position).copy_(changed[0].select(axis - 1, position))
        with torch.no_grad():
            found = _differs(module(*batches)[head], head_axis)
        touched = found if touched is None else touched | found
    assert touched is not None
    return [frozenset(column.nonzero().flatten().tolist()) for column in touched.T]


def hull(seen: frozenset[int]) -> Interval:
    """The smallest interval around positions."""
    return (min(seen), max(seen)) if seen else None


def _differs(head: Tensor, axis: int | None) -> Tensor:
    """Whether each position along an axis differs from the undisturbed: [rows, positions]."""
    flat = head.to(torch.float64)
    flat = flat.movedim(axis, 1).flatten(2) if axis is not None else flat.flatten(1)[:, None]
    tolerance = 1e-12 * flat[0].abs().max()
    return ((flat[1:] - flat[:1]).abs() > tolerance).any(2)


def _hull(column: Tensor) -> Interval:
    seen = column.nonzero().flatten()
    return (int(seen[0]), int(seen[-1])) if len(seen) else None


def sees_all(intervals: list[Interval], length: int) -> bool:
    """Whether every position sees the input from end to end."""
    return all(interval == (0, length - 1) for interval in intervals)


def fit(intervals: list[Interval]) -> Fit | None:
    """The map that the middle third of the positions follows; None if it follows none.

    The shortest period is taken that occurs at least twice there.
    """
    begin, end = len(intervals) // 3, 2 * len(intervals) // 3
    for period in range(1, (end - begin) // 2 + 1):
        advance = _advance(intervals, begin, end, period)
        if advance is None:
            continue
        phase = [intervals[u] for u in range(begin, begin + period)]
        origin = next(u for u in range(begin, end) if u % period == 0)
        first = intervals[origin]
        offset = first[0] - advance * (origin // period) if first else 0
        extents = {seen[1] - seen[0] + 1 if seen else 0 for seen in phase}
        return Fit(tuple(sorted(extents)), Fraction(advance, period), offset, period)
    return None


def _advance(intervals: list[Interval], begin: int, end: int, period: int) -> int | None:
    """By how much every interval moves from one period to the next, if all move equally."""
    steps = set()
    for here, there in zip(
        intervals[begin : end - period], intervals[begin + period :], strict=False
    ):
        if (here is None) != (there is None):
            return None
        if here and there:
            steps |= {there[0] - here[0], there[1] - here[1]}
    return steps.pop() if len(steps) == 1 else None


def measure_deep(
    module: nn.Module, inputs: Tensor, axis: int, positions: Sequence[int]
) -> list[Interval]:
    """The same for a deep network with one input, by gradients, for a few positions only.

    Gradients need a stand-in for max-pooling, whose own pass to one pixel: the average over the
    same window. With positive weights nothing cancels.
    """
    make_positive(module)
    _average_instead_of_max(module)
    module.eval()
    batch = torch.rand((1, *inputs.shape[1:]), dtype=torch.float64).expand(
        len(positions), -1, -1, -1
    )
    batch = batch.clone().requires_grad_()
    head = module(batch)
    total = sum(head[index].select(axis - 1, u).sum() for index, u in enumerate(positions))
    (gradient,) = torch.autograd.grad(total, batch)
    return [_hull(row.movedim(axis - 1, 0).flatten(1).any(1)) for row in gradient]


def _average_instead_of_max(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            arguments = child.kernel_size, child.stride, child.padding, child.ceil_mode
            setattr(module, name, nn.AvgPool2d(*arguments))
        else:
            _average_instead_of_max(child)
