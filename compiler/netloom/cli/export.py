"""`netloom export`: trained weights into an ONNX model, with its proof."""

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.app import app, note, reporting
from netloom.cli.arguments import NetworkName, Settings, Target, WeightsPath
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
) -> None:
    """Export a trained network to ONNX and verify that it equals the trained one."""
    from netloom.emit import onnx
    from netloom.emit.files import write_atomically
    from netloom.runtime.metadata import model_metadata
    from netloom.runtime.trained import find

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
        write_atomically(path, onnx.chunks(trained.graph, trained.weights, metadata))
        note(f"wrote {path} ({path.stat().st_size:,} bytes)")
        if proof:
            from netloom.cli.verify import print_proof
            from netloom.runtime.verify import verify

            found = verify(trained.graph, trained.weights, path)
            print_proof(found, path)
            if not found.holds:
                raise typer.Exit(1)
