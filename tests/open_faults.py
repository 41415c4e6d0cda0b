"""Differences that are known and not mended yet; each has a file in tests/crashers.

Remove an entry together with the fault: its test then fails for passing.
"""

from generator.description import Net
from generator.observation import run
from generator.operators import pair
from generator.walk import Step

OPEN = {
    "dilation_over_gaps": "a window is taken to see what lies between its taps",
    "groupnorm_of_one_value": "PyTorch refuses to normalise a single value",
    "whole_with_gaps": "where an enlargement leaves gaps, not every position sees the whole",
}


def is_open(net: Net, difference: str) -> bool:
    """Whether a difference may come from what is known."""
    kind = difference.partition(":")[0]
    steps = run(net, net.bindings[0]).run.steps
    if kind == "field":
        is_whole = "`whole`" in difference
        return any(map(_leaves_gaps, steps)) and (is_whole or any(map(_is_dilated, steps)))
    return difference.startswith("sizes: accepted") and any(
        step.operator == "groupnorm" for step in steps
    )


def unknown(net: Net, found: list[str]) -> list[str]:
    """The differences that are news."""
    return [each for each in found if not is_open(net, each)]


def _leaves_gaps(step: Step) -> bool:
    if step.operator not in ("deconv", "unpool"):
        return False
    kernel = step.arguments["kernel"]
    stride = step.arguments.get("stride", 1 if step.operator == "deconv" else kernel)
    return any(a > b for a, b in zip(pair(stride), pair(kernel), strict=True))


def _is_dilated(step: Step) -> bool:
    return pair(step.arguments.get("dilation", 1)) != (1, 1)
