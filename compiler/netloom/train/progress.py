"""What a user sees of training, on standard error: one line an epoch, and a bar on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from netloom.train.history import Epoch, History
from netloom.train.program import Program
from netloom.train.schedules import Length

REFRESHES_PER_SECOND = 5


class Report:
    """Writes the lines; a context, while whose body runs the bar is shown."""

    def __init__(self, program: Program, length: Length, quiet: bool = False) -> None:
        self.program = program
        self.length = length
        self.console = Console(stderr=True, quiet=quiet, highlight=False, markup=False)
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            console=self.console,
            transient=True,
            refresh_per_second=REFRESHES_PER_SECOND,
            disable=quiet or not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=length.batches, epoch=1, loss="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def line(self, text: str) -> None:
        """Writes a line, above the bar where there is one."""
        self.console.print(text, soft_wrap=True)

    def step(self, number: int, loss: float) -> None:
        """Moves the bar to a step, counted from 1 over all epochs."""
        if not self.bar.disable:
            epoch, before = divmod(number - 1, self.length.batches)
            self.bar.update(
                self.task, completed=before + 1, epoch=self._count(epoch + 1), loss=f"{loss:.4f}"
            )

    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        """Writes the line of a finished epoch; a star marks the best so far."""
        parts = [f"epoch {self._count(epoch.epoch)}", f"loss {epoch.train_loss:.4f}"]
        parts += self._measured(epoch)
        parts += [f"lr {epoch.lr:.2g}", f"{epoch.seconds:.1f} s"]
        self.line("  ".join(parts) + ("  *" if is_best else ""))

    def result(self, history: History, seconds: float) -> None:
        """Writes what came out."""
        last, best = history.epochs[-1], history.best
        assert best is not None, "there is a last epoch, so there is a best one"
        measured = ", ".join(self._measured(last)) or f"loss {last.train_loss:.4f}"
        self.line(f"trained {len(history.epochs)} epochs in {seconds:.0f} s: {measured}")
        if best is not last:
            measured = ", ".join(self._measured(best)) or f"loss {best.train_loss:.4f}"
            self.line(f"best by {history.best_by} was epoch {best.epoch}: {measured}")

    def _measured(self, epoch: Epoch) -> list[str]:
        """Validation loss and metrics in words."""
        parts = [] if epoch.val_loss is None else [f"val loss {epoch.val_loss:.4f}"]
        for name, metric in zip(self.program.metric_names, self.program.metrics, strict=True):
            parts.append(f"{name.replace('_', ' ')} {metric.text(epoch.metrics[name])}")
        return parts

    def _count(self, epoch: int) -> str:
        total = str(self.length.epochs)
        return f"{epoch:>{len(total)}}/{total}"
