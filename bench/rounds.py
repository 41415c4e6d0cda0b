"""Interleaved timing, and what can be said about the ratios of two times on a noisy machine.

Every candidate has its turn once a round, in an order that is drawn anew, so that what slows the
machine down for a while slows them all. Two candidates are compared round by round: the figure is
the median of these ratios, and its interval says how far the noise lets it be trusted.
"""

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

CONFIDENCE = 0.95


class Cost(NamedTuple):
    """What one turn took: seconds on the clock and of the processors, and the most MiB held."""

    wall: float
    cpu: float
    peak: float = 0.0


class Ratio(NamedTuple):
    """The median of paired ratios, and an interval that holds the true median 95 times in 100.

    Under six rounds no interval does; it is then the smallest and the largest ratio.
    """

    median: float
    low: float
    high: float


class Rounds:
    """The costs of all turns: by candidate, one a round."""

    def __init__(self, costs: Mapping[str, Sequence[Cost]]) -> None:
        self.costs = costs

    def wall(self, candidate: str, reference: str) -> Ratio:
        """How much longer one takes than the other, on the clock."""
        return paired(self._column(candidate, "wall"), self._column(reference, "wall"))

    def cpu(self, candidate: str, reference: str) -> Ratio:
        """The same in processor time, which does not count waiting, and others' work less."""
        return paired(self._column(candidate, "cpu"), self._column(reference, "cpu"))

    def peak(self, candidate: str, reference: str) -> Ratio:
        """How much more memory one holds at most than the other."""
        return paired(self._column(candidate, "peak"), self._column(reference, "peak"))

    def seconds(self, candidate: str) -> float:
        """The median of the times on the clock."""
        return statistics.median(self._column(candidate, "wall"))

    def largest(self, candidate: str) -> float:
        """The most memory that it held in any round, in MiB."""
        return max(self._column(candidate, "peak"))

    def closest(self, candidate: str, others: Sequence[str]) -> str:
        """Of the others the one that is quickest, compared with this candidate."""
        return max(others, key=lambda other: self.wall(candidate, other).median)

    def _column(self, candidate: str, field: str) -> list[float]:
        return [getattr(cost, field) for cost in self.costs[candidate]]


def interleaved(candidates: Mapping[str, Callable[[], Cost]], rounds: int) -> Rounds:
    """Gives every candidate a turn in each round; the order is drawn anew, equally in every run."""
    order = random.Random(0)
    names = list(candidates)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            costs[name].append(candidates[name]())
    return Rounds(costs)


def here(action: Callable[[], object]) -> Callable[[], Cost]:
    """A candidate that is a call in this process; what others left is collected before its turn."""

    def turn() -> Cost:
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        result = action()
        cost = Cost(time.perf_counter() - wall, time.process_time() - cpu)
        del result  # its destruction is not part of what was measured
        return cost

    return turn


def calls(actions: Mapping[str, Callable[[], object]], rounds: int) -> Rounds:
    """Interleaved rounds of calls in this process."""
    return interleaved({name: here(action) for name, action in actions.items()}, rounds)


def paired(left: Sequence[float], right: Sequence[float]) -> Ratio:
    """The ratios of two candidates, round by round."""
    return spread([a / b for a, b in zip(left, right, strict=True)])


def spread(found: Sequence[float]) -> Ratio:
    """The median and its interval.

    Between the k-th smallest and the k-th largest of n independent numbers the true median lies
    with a probability of 1 - 2 P(B < k), where B counts the heads of n throws of a coin; nothing
    is assumed about how they are distributed (David and Nagaraja, Order Statistics, 7.1).
    """
    ordered = sorted(found)
    skipped = _skipped(len(ordered))
    return Ratio(statistics.median(ordered), ordered[skipped], ordered[-1 - skipped])


def _skipped(count: int) -> int:
    """How many of the smallest, and as many of the largest, lie outside of the interval."""
    outside = 0.0
    for heads in range(count):
        outside += 2 * math.comb(count, heads) / 2**count
        if outside > 1 - CONFIDENCE:
            return max(heads - 1, 0)
    return 0
