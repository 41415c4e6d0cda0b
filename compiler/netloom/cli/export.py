"""`netloom export`: trained weights into an ONNX model, with its proof."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.cli.app import app, note, reporting
from netloom.cli.arguments import NetworkName, Settings, Target, WeightsPath
from netloom.cli.precision import (
    CalibrationSamples,
    Float16,
    GateData,
    Int8,
    MaxDrop,
    path_of,
    print_lowered,
    requested,
)

if TYPE_CHECKING:
    from netloom.runtime.precision import Request
    from netloom.runtime.trained import Trained


@app.command()
def export(
    target: Target,
    network: NetworkName = None,
    weights: WeightsPath = None,
    set: Settings = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The model file.", show_default=False)
    ] = None,
    proof: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare it with PyTorch afterwards.")
    ] = True,
    fold: Annotated[
        bool, typer.Option("--fold/--no-fold", help="Merge layers where the result is the same.")
    ] = True,
    explain: Annotated[
        bool, typer.Option("--explain", help="List what was done to which layer.")
    ] = False,
    external: Annotated[
        bool,
        typer.Option("--external", help="Weights in NAME.data beside it; always beyond 2 GB."),
    ] = False,
    by_reference: Annotated[
        bool,
        typer.Option(
            "--by-reference", help="Weights stay in the checkpoint; nothing is merged then."
        ),
    ] = False,
    fp16: Float16 = False,
    int8: Int8 = False,
    max_drop: MaxDrop = None,
    calibration_samples: CalibrationSamples = None,
    data: GateData = None,
) -> None:
    """Export a trained network to ONNX and verify that it equals the trained one."""
    from netloom.cli.exporting import print_changes, print_files
    from netloom.runtime.export import export_model
    from netloom.runtime.trained import find

    request = requested(fp16, int8, max_drop, calibration_samples, data)
    if external and by_reference:
        raise typer.BadParameter("choose one of --external and --by-reference")
    if request and (external or by_reference):
        raise typer.BadParameter("models of lower precision are one file, with their weights")
    with reporting():
        trained = find(target, network, weights, set or ())
        if request:
            path = _write_lowered(trained, out, request, fold, explain)
        else:
            path = out or trained.model_path
            exported = export_model(trained, path, fold, external, by_reference)
            print_files(exported.files)
            if explain:
                print_changes(exported.changes)
        if proof:
            _prove(trained, path, request)


def _write_lowered(
    trained: "Trained", out: Path | None, request: "Request", fold: bool, explain: bool
) -> Path:
    """Writes a model of lower precision, if the gate lets it through; where it is."""
    from netloom.cli.exporting import print_changes, print_files
    from netloom.emit.files import write_atomically
    from netloom.runtime.export import model_of
    from netloom.runtime.precision import lower

    path = out or path_of(trained.model_path, request)
    model, changes = model_of(trained, fold)
    lowered = lower(trained, model, request)
    print_lowered(lowered, path)
    write_atomically(path, [lowered.content])
    print_files([path])
    if explain:
        print_changes(changes)
    return path


def _prove(trained: "Trained", path: Path, request: "Request | None") -> None:
    from netloom.cli.verify import print_proof
    from netloom.runtime.verify import verify

    assert trained.weights is not None
    precision = request.precision if request else "float32"
    if precision == "int8":
        note("int8 has no rounding to be held to: that it was let through by the gate is its proof")
        return
    found = verify(trained.graph, trained.weights, path, precision=precision)
    print_proof(found, path)
    if not found.holds:
        raise typer.Exit(1)
