"""Interleaved timing: every candidate once a round, the median of the round-by-round ratios."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    gc.collect()
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def ratios(
    candidates: Mapping[str, Callable[[], object]], reference: str, rounds: int
) -> dict[str, float]:
    """For each candidate its time over the reference's, the median over the rounds."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        times = {name: seconds(action) for name, action in candidates.items()}
        for name, each in times.items():
            found[name].append(each / times[reference])
    return {name: statistics.median(each) for name, each in found.items()}


def print_ratios(title: str, found: Mapping[str, float], reference: str) -> None:
    """A table of ratios."""
    print(f"\n{title}  (1 = {reference})")
    width = max(len(name) for name in found)
    for name, ratio in found.items():
        print(f"  {name:<{width}}  {ratio:8.3f}")
