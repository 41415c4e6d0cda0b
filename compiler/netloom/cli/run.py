"""`netloom run`: an exported model on files."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.cli.app import Json, app, note, reporting
from netloom.cli.crashes import outlive_crashes

if TYPE_CHECKING:
    from netloom.runtime.sessions import Opened, Placed


class DeviceChoice(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class RuntimeDevice(StrEnum):
    """Where ONNX Runtime runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


RunDevice = Annotated[
    RuntimeDevice,
    typer.Option(help="Where to run; `auto` is CUDA where it can be had, else the CPU."),
]


@app.command()
def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An exported model, `*.onnx`.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT…",
            help="Images, .npy and .npz files, folders of them, or patterns such as 'a/*.png'.",
        ),
    ],
    top: Annotated[int, typer.Option(help="How many classes to print.", min=1)] = 3,
    batch: Annotated[int, typer.Option(help="How many samples to run together.", min=1)] = 1,
    device: RunDevice = RuntimeDevice.AUTO,
    placement: Annotated[
        bool, typer.Option("--placement", help="Tell on which device each node runs.")
    ] = False,
    csv: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write CSV there instead of text on stdout; `-` is stdout.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Keep the outputs in a file *.npz, or in a folder, a file for each sample.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run an exported model in ONNX Runtime on files, and print the top classes.

    A file that cannot be run is told, the others are run, and the exit code is 1.
    """
    if json and csv:
        raise typer.BadParameter("it does not go with --csv", param_hint="--json")
    with reporting(json):
        outlive_crashes()
        from netloom.cli.progress import followed
        from netloom.cli.results import printer
        from netloom.runtime.inputs import files
        from netloom.runtime.predict import Prediction, predictions
        from netloom.runtime.results import SavedOutputs
        from netloom.runtime.sessions import opened, placement_of

        paths = files(inputs)
        saved = SavedOutputs(out) if out else None
        found = opened(model, device.value)
        nodes = placement_of(found.session)
        if not json:
            _tell_device(found, nodes, placement)
        results = printer(json, csv, found, nodes, placement)
        prints_lines = not json and csv in (None, "-") and sys.stdout.isatty()
        with followed(paths, is_wanted=not prints_lines) as read:
            for each in predictions(found.session, read, top, batch):
                results.add(each)
                if saved and isinstance(each, Prediction):
                    saved.add(each)
        if saved:
            saved.finish()
        results.finish()
    if results.refused:
        raise typer.Exit(1)


def _tell_device(found: "Opened", nodes: "list[Placed] | None", in_full: bool) -> None:
    from netloom.runtime.devices import WORDS
    from netloom.runtime.sessions import left_on_cpu

    reasons = "".join(f"; not {WORDS[each]}: {why}" for each, why in found.not_taken.items())
    note(f"ONNX Runtime on {WORDS[found.device]}{reasons}")
    if nodes is None:
        if in_full or found.device != "cpu":
            note("this version of ONNX Runtime does not tell which nodes run where")
        return
    left = left_on_cpu(nodes)
    if found.device != "cpu" and left:
        lists = "" if in_full else "; `--placement` lists them"
        count = sum(node.device == "cpu" for node in nodes)
        note(f"{count} of {len(nodes)} nodes stay on the CPU: {left}{lists}")
    if in_full:
        _print_placement(nodes)


def _print_placement(nodes: "list[Placed]") -> None:
    wide = max((len(node.name) for node in nodes), default=0)
    wide_operator = max((len(node.operator) for node in nodes), default=0)
    for node in nodes:
        note(f"  {node.name:<{wide}}  {node.operator:<{wide_operator}}  {node.device}")
