"""`netloom run`: an exported model on files."""

import sys
from collections.abc import Iterator
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
    top: Annotated[int, typer.Option(help="How many classes of a head to print.", min=1)] = 3,
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
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files of other origin.")
    ] = False,
    json: Json = False,
) -> None:
    """Run an exported model in ONNX Runtime on files, and print what its heads give.

    A file that cannot be run is told, the others are run, and the exit code is 1.
    """
    if json and csv:
        raise typer.BadParameter("it does not go with --csv", param_hint="--json")
    if out and not out.is_dir() and out.suffix not in ("", ".npz"):
        message = f"`{out}` is neither a file *.npz nor a folder that is there"
        raise typer.BadParameter(message, param_hint="--out")
    csv_file = Path(csv) if csv and csv != "-" else None
    with reporting(json):
        outlive_crashes()
        from netloom.cli.progress import followed
        from netloom.cli.results import Csv, Document, Text
        from netloom.runtime.inputs import files
        from netloom.runtime.interface import interface_of
        from netloom.runtime.predict import Prediction, predictions
        from netloom.runtime.results import SavedOutputs
        from netloom.runtime.sessions import opened, placement_of

        paths = files(inputs)
        _check_outputs(csv_file, out, model, paths, force)
        saved = SavedOutputs(out) if out else None
        found = opened(model, device.value)
        nodes = placement_of(found.session)
        if json:
            results: Document | Csv | Text = Document(found, nodes, placement)
        else:
            _tell_device(found, nodes, placement)
            is_kept = out is not None
            results = Csv(csv_file) if csv else Text(interface_of(found.session), top, is_kept)
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


def _check_outputs(
    csv: Path | None, out: Path | None, model: Path, inputs: list[Path], force: bool
) -> None:
    """Refuses to write over what is read, or what something else has written."""
    from netloom.cli.outputs import check_output
    from netloom.runtime.external_data import external_files
    from netloom.runtime.results import is_archive_of_outputs

    def read() -> Iterator[Path]:
        yield from (model, *inputs)
        yield from (model.parent / name for name in external_files(model))

    if csv:
        check_output(csv, read(), force=force)
    if out and out.suffix == ".npz":
        kind = "an archive of outputs that `netloom run` wrote"
        check_output(out, read(), kind, is_archive_of_outputs, force)


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
