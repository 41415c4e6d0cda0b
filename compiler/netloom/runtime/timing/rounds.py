"""Timing candidates that take turns: every one once a round, so that all meet the same weather."""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from netloom.runtime.timing.statistics import Estimate, estimate, paired_ratios

WARM_UP_SECONDS = 0.5
WARM_UP_CALLS = 3
"""A candidate is called until both have passed before it is timed."""

SHORTEST = 0.001
"""Seconds; a shorter call is repeated within one timing, to drown what reading the clock takes."""

FEWEST_ROUNDS = 6
"""Below that there is no interval, so a budget of time does not end the rounds earlier."""


class Timings(NamedTuple):
    """Seconds of one call, by candidate and round; `complete` says that no round was cut off."""

    seconds: Mapping[str, list[float]]
    complete: bool

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return len(next(iter(self.seconds.values())))

    def time(self, name: str) -> Estimate:
        """Seconds of one call."""
        return estimate(self.seconds[name])

    def speed(self, name: str, reference: str) -> Estimate:
        """How many times faster than the reference, from the ratios of the rounds."""
        return estimate(paired_ratios(self.seconds[name], self.seconds[reference]))


def measure(
    candidates: Mapping[str, Callable[[], object]],
    rounds: Iterable[int],
    budget: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Warms all candidates up and times them in each round, or until `budget` seconds are over.

    Rounds count from 0. The first of a round is another one each time, because it follows on
    something else than the others. The garbage collector rests meanwhile.
    """
    repeats = {name: _warm_up(action, clock) for name, action in candidates.items()}
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        end = clock() + budget
        for number in rounds:
            if number >= FEWEST_ROUNDS and clock() >= end:
                return Timings(seconds, complete=False)
            for name in _rotated(names, number):
                seconds[name].append(_seconds(candidates[name], repeats[name], clock))
    finally:
        gc.enable()
    return Timings(seconds, complete=True)


def _warm_up(action: Callable[[], object], clock: Callable[[], float]) -> int:
    """Calls a candidate until it runs as it will; how often to call it within one timing."""
    start = clock()
    calls = 0
    while calls < WARM_UP_CALLS or (clock() - start < WARM_UP_SECONDS and calls < 1000):
        action()
        calls += 1
    single = _seconds(action, 1, clock)
    return max(1, round(SHORTEST / max(single, SHORTEST / 1000)))


def _rotated(names: Sequence[str], by: int) -> list[str]:
    start = by % len(names)
    return [*names[start:], *names[:start]]


def _seconds(action: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        action()
    return (clock() - start) / repeats
