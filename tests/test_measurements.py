"""The statistics of the measurements: what they say about ratios is compared with other oracles."""

import random
import statistics
from functools import partial

import numpy
import pytest
from bench.report import Goal, at_least, at_most
from bench.rounds import Cost, Ratio, Rounds, interleaved, slope, spread
from scipy.stats import binomtest


@pytest.mark.parametrize("count", range(6, 60))
def test_the_interval_is_the_narrowest_that_holds_the_median_95_times_in_100(count: int) -> None:
    ordered = [float(each) for each in range(count)]
    ratio = spread(random.Random(count).sample(ordered, count))
    below = round(ratio.low)
    assert ratio.high == count - 1 - below
    # The sign test refuses a median outside of the interval, and none inside: SciPy counts.
    assert binomtest(below, count).pvalue <= 0.05 < binomtest(below + 1, count).pvalue


def test_the_interval_holds_the_median_of_a_skewed_distribution() -> None:
    draw = random.Random(1)
    held = 0
    for _ in range(1000):
        ratio = spread([draw.lognormvariate(0, 1) for _ in range(15)])
        held += ratio.low <= 1 <= ratio.high
    assert 950 <= held <= 990  # 96.5 % is what 15 rounds give


def test_few_rounds_have_the_smallest_and_the_largest_as_their_interval() -> None:
    assert spread([3.0, 1.0, 2.0]) == Ratio(2.0, 1.0, 3.0)


def test_ratios_are_paired_by_round() -> None:
    """A round that is slow for all says nothing about one of them."""
    slow = [1.0, 100.0, 3.0]
    costs = {
        "one": [Cost(each, each) for each in slow],
        "two": [Cost(2 * each, 3 * each, 4.0) for each in slow],
    }
    assert Rounds(costs, "wall").time("two", "one") == Ratio(2, 2, 2)
    assert Rounds(costs, "cpu").time("two", "one") == Ratio(3, 3, 3)
    assert Rounds(costs, "cpu").quickest(costs) == "one"
    assert Rounds(costs, "cpu").largest("two") == 4


def test_every_candidate_has_one_turn_a_round() -> None:
    turns: list[str] = []

    def candidate(name: str) -> Cost:
        turns.append(name)
        return Cost(1, 1)

    interleaved({name: partial(candidate, name) for name in "abc"}, rounds=5)
    assert [sorted(turns[at : at + 3]) for at in range(0, 15, 3)] == [["a", "b", "c"]] * 5
    assert len({tuple(turns[at : at + 3]) for at in range(0, 15, 3)}) > 1


@pytest.mark.parametrize(
    ("goal", "ratio", "verdict"),
    [
        (at_most(1), Ratio(0.9, 0.8, 0.95), "yes"),
        (at_most(1), Ratio(1.1, 1.05, 1.2), "NO"),
        (at_most(1), Ratio(0.9, 0.8, 1.1), "unsure"),
        (at_least(1), Ratio(1.1, 1.05, 1.2), "yes"),
        (at_least(1), Ratio(0.9, 0.8, 0.95), "NO"),
        (at_least(1), Ratio(1.1, 0.9, 1.2), "unsure"),
    ],
)
def test_a_goal_within_the_noise_is_neither_kept_nor_missed(
    goal: Goal, ratio: Ratio, verdict: str
) -> None:
    assert goal.verdict(ratio) == verdict


def test_the_slope_is_that_of_least_squares() -> None:
    draw = random.Random(2)
    sizes = [50, 200, 800, 3200]
    times = [size**1.1 * draw.uniform(0.8, 1.2) for size in sizes]
    expected = numpy.polyfit(numpy.log(sizes), numpy.log(times), 1)[0]
    assert slope(sizes, times) == pytest.approx(expected)


def test_the_median_is_the_middle_one() -> None:
    assert spread([5.0, 1.0, 2.0, 9.0]).median == statistics.median([1, 2, 5, 9])
