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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from netloom.runtime.timing.statistics import estimate


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


Clock = Literal["cpu", "wall"]


class Rounds:
    """The costs of all turns: by candidate, one a round.

    `clock` is what times are told by. Processor time includes what the system does for a process,
    but not its waiting for a processor, so it says the same on an idle machine and a busy one; it
    is the measure of work by one thread that waits for nothing. All else is told by the wall clock.
    """

    def __init__(self, costs: Mapping[str, Sequence[Cost]], clock: Clock) -> None:
        self.costs, self.clock = costs, clock

    def time(self, candidate: str, reference: str) -> Ratio:
        """How much longer one takes than the other."""
        return self._paired(candidate, reference, self.clock)

    def other(self, candidate: str, reference: str) -> str:
        """The same by the other clock, in words."""
        clock = "wall" if self.clock == "cpu" else "cpu"
        return f"{clock} {self._paired(candidate, reference, clock).median:.3g}"

    def peak(self, candidate: str, reference: str) -> Ratio:
        """How much more memory one holds at most than the other."""
        return self._paired(candidate, reference, "peak")

    def seconds(self, candidate: str) -> float:
        """The median of the times."""
        return statistics.median(self._column(candidate, self.clock))

    def largest(self, candidate: str) -> float:
        """The most memory that it held in any round, in MiB."""
        return max(self._column(candidate, "peak"))

    def quickest(self, candidates: Iterable[str]) -> str:
        """Of some the one that takes least, by the medians of the rounds."""
        return min(candidates, key=self.seconds)

    def column(self, candidate: str) -> list[float]:
        """The times of a candidate, round by round."""
        return self._column(candidate, self.clock)

    def _paired(self, candidate: str, reference: str, field: str) -> Ratio:
        left, right = self._column(candidate, field), self._column(reference, field)
        return spread([a / b for a, b in zip(left, right, strict=True)])

    def _column(self, candidate: str, field: str) -> list[float]:
        return [getattr(cost, field) for cost in self.costs[candidate]]


def interleaved(
    candidates: Mapping[str, Callable[[], Cost]], rounds: int, clock: Clock = "wall"
) -> Rounds:
    """Gives every candidate a turn in each round; the order is drawn anew, equally in every run."""
    order = random.Random(0)
    names = list(candidates)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            costs[name].append(candidates[name]())
    return Rounds(costs, clock)


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


def calls(actions: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = "cpu") -> Rounds:
    """Interleaved rounds of calls in this process."""
    return interleaved({name: here(action) for name, action in actions.items()}, rounds, clock)


def spread(found: Sequence[float]) -> Ratio:
    """The median and its interval."""
    median, interval = estimate(found)
    return Ratio(median, *(interval or (min(found), max(found))))


def slope(sizes: Sequence[int], times: Sequence[float]) -> float:
    """The exponent with which times grow: the line of least squares through the logarithms."""
    x, y = [math.log(each) for each in sizes], [math.log(each) for each in times]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)
