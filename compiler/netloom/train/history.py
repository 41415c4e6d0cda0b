"""What training has come to, epoch by epoch, and which epoch was the best."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netloom.emit.files import write_atomically
from netloom.train.program import Program


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data and the evaluation after it.

    `epoch` and `step` count from 1; `lr` is that of the last step. `val_loss` is the mean over the
    test data, and None where the loss needs heads that exist in training only.
    """

    epoch: int
    step: int
    train_loss: float
    val_loss: float | None
    metrics: Mapping[str, float]
    lr: float
    seconds: float

    def row(self) -> dict[str, Any]:
        """The columns of `metrics.csv` in order."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "train_loss": self.train_loss,
            "val_loss": self.val_loss,
            **self.metrics,
            "lr": self.lr,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class History:
    """The finished epochs of one run.

    The best epoch is the one with the best first metric; among equals, and without a metric, the
    one with the lowest validation loss, or training loss where there is no other. The first of
    several equally good ones counts.
    """

    program: Program
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best_by(self) -> str:
        """The column that decides which epoch is the best."""
        if self.program.metrics:
            return self.program.metric_names[0]
        return "val_loss" if self.program.evaluated_loss else "train_loss"

    @property
    def last(self) -> Epoch | None:
        """The epoch that finished last; None before the first has finished."""
        return self.epochs[-1] if self.epochs else None

    @property
    def best(self) -> Epoch | None:
        """The best epoch so far; None before the first has finished."""
        return max(self.epochs, key=self._goodness, default=None)

    def add(self, epoch: Epoch) -> bool:
        """Takes a finished epoch; true if it is the best so far."""
        self.epochs.append(epoch)
        return self.best is epoch

    def write(self, path: Path) -> None:
        """Writes all epochs as a table, one row each."""
        text = io.StringIO()
        rows = [epoch.row() for epoch in self.epochs]
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(path, [text.getvalue().encode()])

    def _goodness(self, epoch: Epoch) -> tuple[float, ...]:
        """Larger is better, the first difference decides."""
        loss = epoch.train_loss if epoch.val_loss is None else epoch.val_loss
        if not self.program.metrics:
            return (-loss,)
        value = epoch.metrics[self.program.metric_names[0]]
        return (value if self.program.metrics[0].higher_is_better else -value, -loss)
