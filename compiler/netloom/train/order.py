"""In which order samples are seen, as a function of seed and epoch alone.

Nothing here depends on how many samples were drawn before or on how many workers load them, so
training can be taken up at any step.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy

Item = TypeVar("Item")


def order(seed: int, epoch: int, count: int) -> list[int]:
    """The indices 0 to count - 1 in the order of one epoch."""
    shuffled: list[int] = numpy.random.default_rng((seed, epoch)).permutation(count).tolist()
    return shuffled


def generator(seed: int, epoch: int, index: int) -> numpy.random.Generator:
    """Of what is random about one sample in one epoch."""
    return numpy.random.default_rng((seed, epoch, index))


def batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """The items in batches of `size`; the last one may be smaller, but is never a lone sample.

    A lone sample joins the batch before it: batch normalisation needs at least two.
    """
    start = 0
    for end in batch_ends(len(items), size):
        yield list(items[start:end])
        start = end


def batch_ends(count: int, size: int) -> list[int]:
    """Where each batch ends, in samples."""
    ends = [*range(size, count, size), count]
    if len(ends) > 1 and size > 1 and ends[-1] - ends[-2] == 1:
        del ends[-2]
    return ends
