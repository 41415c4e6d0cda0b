"""The picture of a run: losses, and metrics where there are any, against epochs."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.emit.files import write_atomically
from netloom.extras import need
from netloom.train.history import Epoch, History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, TEST, GRID, TEXT = "#e08214", "#2166ac", "#e4e4e4", "#404040"
METRICS = ("#2166ac", "#1b7837", "#762a83", "#b35806")


def plot(history: History, path: Path, title: str) -> None:
    """Draws the run as a PNG. Raises `Failed` (E005) if it cannot be written."""
    panels = 2 if history.program.metrics else 1
    figure: Figure = need("matplotlib.figure", "train").Figure(
        figsize=(4.8 * panels, 3.6), dpi=150, layout="constrained"
    )
    axes = figure.subplots(1, panels, squeeze=False)[0]
    figure.suptitle(title, fontsize=11, color=TEXT)
    _draw_losses(axes[0], history)
    if history.program.metrics:
        _draw_metrics(axes[1], history)
    for each in axes:
        _tidy(each, history.epochs)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_atomically(path, [content.getvalue()])


def _draw_losses(axes: "Axes", history: History) -> None:
    epochs = [epoch.epoch for epoch in history.epochs]
    losses = [epoch.train_loss for epoch in history.epochs]
    axes.plot(epochs, losses, ".-", color=TRAIN, label="training")
    if history.program.evaluated_loss:
        val_losses = [epoch.val_loss for epoch in history.epochs if epoch.val_loss is not None]
        axes.plot(epochs, val_losses, ".-", color=TEST, label="validation")
        losses = losses + val_losses
    if 0 < 10 * min(losses) < max(losses):
        ticker = need("matplotlib.ticker", "train")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_title("loss", fontsize=10, color=TEXT)


def _draw_metrics(axes: "Axes", history: History) -> None:
    """One line a metric, all on the validation data; a dot at the best epoch of the first."""
    epochs, best = [epoch.epoch for epoch in history.epochs], history.best
    names = history.program.metric_names
    for index, (name, metric) in enumerate(zip(names, history.program.metrics, strict=True)):
        values = [epoch.metrics[name] for epoch in history.epochs]
        colour = METRICS[index % len(METRICS)]
        axes.plot(epochs, values, ".-", color=colour, label=name.replace("_", " "))
        if index == 0 and best is not None:
            label = f"best: {metric.text(best.metrics[name])} in epoch {best.epoch}"
            axes.plot(best.epoch, best.metrics[name], "o", color=colour, label=label, zorder=3)
    if all(metric.is_share for metric in history.program.metrics):
        percent = need("matplotlib.ticker", "train").PercentFormatter(1, symbol=" %")
        axes.yaxis.set_major_formatter(percent)
    axes.set_title("on the validation data", fontsize=10, color=TEXT)


def _tidy(axes: "Axes", epochs: list[Epoch]) -> None:
    axes.set_xlabel("epoch", color=TEXT)
    last = max(2, epochs[-1].epoch)
    margin = last / 40
    axes.set_xlim(1 - margin, last + margin)
    locator = need("matplotlib.ticker", "train").MaxNLocator(integer=True, steps=[1, 2, 5, 10])
    axes.xaxis.set_major_locator(locator)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=TEXT, which="both")
    axes.legend(fontsize=9, labelcolor=TEXT, edgecolor="none", framealpha=1)
