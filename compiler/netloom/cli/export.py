"""`netloom export`: trained weights into an ONNX model, with its proof."""

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.app import app, reporting
from netloom.cli.arguments import NetworkName, Settings, Target, WeightsPath


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
) -> None:
    """Export a trained network to ONNX and verify that it equals the trained one."""
    from netloom.cli.exporting import write

    if external and by_reference:
        raise typer.BadParameter("choose one of --external and --by-reference")
    with reporting():
        trained, path = write(
            target, weights, out, network, set or (), fold, external, by_reference, explain
        )
        if proof:
            from netloom.cli.verify import print_proof
            from netloom.runtime.verify import verify

            found = verify(trained.graph, trained.weights, path)
            print_proof(found, path)
            if not found.holds:
                raise typer.Exit(1)
