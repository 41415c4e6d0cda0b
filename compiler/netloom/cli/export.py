"""`netloom export`: trained weights into an ONNX model, with its proof."""

from pathlib import Path
from typing import Annotated

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
from netloom.diagnostics import Diagnostic, Failed


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
    fp16: Float16 = False,
    int8: Int8 = False,
    max_drop: MaxDrop = None,
    calibration_samples: CalibrationSamples = None,
    data: GateData = None,
) -> None:
    """Export a trained network to ONNX and verify that it equals the trained one."""
    from netloom.emit import onnx
    from netloom.emit.files import write_atomically
    from netloom.runtime.metadata import model_metadata
    from netloom.runtime.trained import find

    request = requested(fp16, int8, max_drop, calibration_samples, data)
    with reporting():
        trained = find(target, network, weights, set or ())
        if trained.weights is None:
            message = f"`{target}` is a spec, which has no trained weights"
            help = "give a run's folder, or --weights; `netloom compile` emits an untrained model"
            raise Failed(Diagnostic("E602", message, help=help))
        metadata = model_metadata(
            trained.spec,
            trained.network,
            trained.config.get("classes", ()),
            trained.config.get("preprocessing"),
            {key: trained.config[key] for key in ("data", "seed") if key in trained.config},
        )
        path = out or trained.model_path
        model = onnx.chunks(trained.graph, trained.weights, metadata)
        if request:
            from netloom.runtime.precision import lower

            path = out or path_of(path, request)
            lowered = lower(trained, b"".join(model), request)
            model = [lowered.content]
            print_lowered(lowered, path)
        write_atomically(path, model)
        note(f"wrote {path} ({path.stat().st_size:,} bytes)")
        if request:  # once `verify` knows the precision, it can prove these models too
            note(f"compared with float32 on {lowered.compared_on}, not with PyTorch")
        elif proof:
            from netloom.cli.verify import print_proof
            from netloom.runtime.verify import verify

            found = verify(trained.graph, trained.weights, path)
            print_proof(found, path)
            if not found.holds:
                raise typer.Exit(1)
