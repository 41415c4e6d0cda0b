"""What a list of timings says: medians, and intervals that hold without knowing how they scatter.

Timings of candidates that took turns are compared round by round: what slows a whole round down,
as another process or a hot processor does, slows both sides of its ratio.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A median, and the interval that holds the true one; None where there are too few values."""

    median: float
    interval: tuple[float, float] | None


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The median of independent values, and an interval for the median that they scatter around.

    The interval lies between the k-th value from either end: it misses only if fewer than k of n
    values lie on one side of the true median, which has twice the probability of fewer than k heads
    of n tosses. k is the largest for which that is at most 1 - confidence (David and Nagaraja,
    Order Statistics, section 7.1); there is none below 6 values for 95 %.
    """
    ordered = sorted(values)
    rank = interval_rank(len(ordered), confidence)
    interval = (ordered[rank - 1], ordered[-rank]) if rank else None
    return Estimate(statistics.median(ordered), interval)


def interval_rank(count: int, confidence: float = CONFIDENCE) -> int:
    """The rank from either end at which the interval of a median ends; 0 if there is none."""
    allowed = (1 - confidence) / 2
    at_most = 0.0  # the probability of at most `rank - 1` heads
    for rank in range(1, count // 2 + 2):
        at_most += math.exp(_log_probability(rank - 1, count))
        if at_most > allowed:
            return rank - 1
    return 0


def _log_probability(heads: int, tosses: int) -> float:
    """Of so many heads, as a logarithm: 2**-n underflows beyond a thousand tosses."""
    ways = math.lgamma(tosses + 1) - math.lgamma(heads + 1) - math.lgamma(tosses - heads + 1)
    return ways - tosses * math.log(2)


def paired_ratios(times: Sequence[float], reference: Sequence[float]) -> list[float]:
    """How many times faster than the reference, round by round.

    Raises ValueError where there are not as many times as the reference has.
    """
    return [other / own for own, other in zip(times, reference, strict=True)]
