"""The picture of a run: losses, and metrics where there are any, against epochs."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.emit.files import write_atomically
from netloom.extras import need
from netloom.train.history import Epoch, History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, TEST, GRID = "#8c8c8c", "#1f6fb4", "#e6e6e6"
METRICS = ("#1f6fb4", "#c05a1c", "#3a8f4d", "#8452a8")


def plot(history: History, path: Path, title: str) -> None:
    """Draws the run as a PNG. Raises `Failed` (E005) if it cannot be written."""
    figure: Figure = need("matplotlib.figure", "train").Figure(
        figsize=(10 if history.program.metrics else 5.5, 4), dpi=150, layout="constrained"
    )
    axes = figure.subplots(1, 2 if history.program.metrics else 1, squeeze=False)[0]
    figure.suptitle(title)
    _losses(axes[0], history.epochs)
    if history.program.metrics:
        _metrics(axes[1], history)
    for each in axes:
        _tidy(each, history)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_atomically(path, [content.getvalue()])
