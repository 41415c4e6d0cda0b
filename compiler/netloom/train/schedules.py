"""How the learning rate changes in the course of training.

A schedule is a pure function of the step, so training can be stopped and taken up at any step. The
number of steps is known before training begins and is never asked of the training loop.
"""

import math
from typing import NamedTuple

from netloom.ir.declared import Declared, Reject, arg

# ruff: noqa: D102, ARG002  the base of the family documents its rules and their arguments


class Length(NamedTuple):
    """How long training is: `batches` steps in each of the `epochs`."""

    epochs: int
    batches: int

    @property
    def steps(self) -> int:
        """The number of all steps."""
        return self.epochs * self.batches


class Schedule(Declared, family="schedule"):
    """What the optimizer's learning rate is multiplied by at each step."""

    required_rules = ("factor",)

    def check(self, epochs: int) -> None:
        """Raises `Reject` where the schedule does not fit into that many epochs."""

    def factor(self, step: int, length: Length) -> float:
        """The factor at a step, counted from 0."""
        raise NotImplementedError


class Constant(Schedule, name="constant"):
    """The learning rate stays as it is."""

    def factor(self, step: int, length: Length) -> float:
        return 1.0


class Cosine(Schedule, name="cosine"):
    """Half a cosine from 1 down to 0, after a linear rise during the first epochs if wanted."""

    warmup: float = arg("epochs of the rise", default=0.0, minimum=0)

    def check(self, epochs: int) -> None:
        if self.warmup >= epochs:
            message = f"a warmup of {self.warmup:g} epochs leaves nothing of {epochs}"
            raise Reject("E206", message, "warmup")

    def factor(self, step: int, length: Length) -> float:
        rise = round(self.warmup * length.batches)
        if step < rise:
            return (step + 1) / rise
        return _half_cosine(1, 0, (step - rise) / max(1, length.steps - rise))


class Step(Schedule, name="step"):
    """Multiplies the learning rate by `gamma` every few epochs."""

    every: int = arg("epochs between two changes", minimum=1)
    gamma: float = arg("factor of each change", default=0.1, above=0)

    def factor(self, step: int, length: Length) -> float:
        return self.gamma ** (step // length.batches // self.every)


class OneCycle(Schedule, name="onecycle"):
    """Rises from 1/25 to 1, then falls to 4e-6, both along a cosine (Smith & Topin 2018).

    The factors are those of torch.optim.lr_scheduler.OneCycleLR; the momentum stays as it is.
    """

    rise: float = arg("share of the steps spent rising", default=0.3, above=0)

    def check(self, epochs: int) -> None:
        if self.rise >= 1:
            raise Reject("E206", f"`rise` must be less than 1, but is {self.rise:g}", "rise")

    def factor(self, step: int, length: Length) -> float:
        first, last = 1 / 25, 1 / 25 / 1e4
        top, end = self.rise * length.steps - 1, length.steps - 1
        if step < top:
            return _half_cosine(first, 1, step / top)
        return _half_cosine(1, last, (step - top) / (end - top))


def _half_cosine(start: float, end: float, progress: float) -> float:
    """From `start` to `end` while progress goes from 0 to 1, slowly at both ends."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
