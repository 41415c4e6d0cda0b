"""The options of `netloom export` for lower precision, and what it says about such a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.cli.app import note

if TYPE_CHECKING:
    from netloom.runtime.precision import Lowered, Request

Float16 = Annotated[
    bool, typer.Option("--fp16", help="Convert it to float16, behind the accuracy gate.")
]

Int8 = Annotated[
    bool, typer.Option("--int8", help="Quantise it to int8, behind the accuracy gate.")
]

MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        help="How much worse --fp16 or --int8 may be, e.g. 0.02 for 2 points of accuracy.",
        show_default="0.01",
        min=0,
    ),
]

CalibrationSamples = Annotated[
    int | None,
    typer.Option(
        "--calibration-samples",
        help="How many training samples --int8 is calibrated with.",
        show_default="512",
        min=1,
    ),
]

GateData = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Calibrate and measure with this instead of the data of the training.",
        show_default=False,
    ),
]


def requested(
    fp16: bool, int8: bool, max_drop: float | None, samples: int | None, data: str | None
) -> "Request | None":
    """Which precision is asked for; None for float32.

    Raises:
        typer.BadParameter: the options contradict one another, or one says nothing without another.
    """
    if fp16 and int8:
        raise typer.BadParameter("--fp16 and --int8 exclude one another: export twice")
    if samples is not None and not int8:
        raise typer.BadParameter("--calibration-samples is for --int8")
    if not fp16 and not int8:
        if max_drop is not None or data is not None:
            raise typer.BadParameter("--max-drop and --data are for --fp16 and --int8")
        return None
    from netloom.runtime.precision import CALIBRATION_SAMPLES, Request

    return Request("float16" if fp16 else "int8", max_drop, samples or CALIBRATION_SAMPLES, data)


def path_of(model: Path, request: "Request") -> Path:
    """Where a model of lower precision stands if nobody says otherwise: beside the float32 one."""
    return model.with_suffix(f".{request.precision}{model.suffix}")


def print_lowered(lowered: "Lowered", path: Path) -> None:
    """Both models side by side, what stayed float32, and what else is to be known."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for heading in ("float32", lowered.precision, "allowed"):
        table.add_column(heading, justify="right")
    for check in lowered.checks:
        table.add_row(check.name, check.before_text, check.after_text, check.allowed_text)
    for head, share in lowered.agreement.items():
        table.add_row(f"equal decisions of {head}", "", f"{100 * share:.2f} %", "")
    table.add_row("bytes", f"{lowered.bytes_before:,}", f"{len(lowered.content):,}", "")
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(
        f"{path} against float32, on {lowered.compared_on}", markup=False, highlight=False
    )
    console.print(table)
    for operator, nodes in lowered.stayed_float.items():
        shown = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
        note(f"stays float32: {operator} ({shown})")
    for each in lowered.notes:
        note(each)
