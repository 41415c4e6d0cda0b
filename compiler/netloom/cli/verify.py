"""`netloom verify`: does the exported model equal the trained network?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.cli.app import Json, app, print_json, reporting
from netloom.cli.arguments import NetworkName, Settings, Target, WeightsPath

if TYPE_CHECKING:
    from netloom.runtime.verify import Proof


@app.command()
def verify(
    target: Target,
    network: NetworkName = None,
    weights: WeightsPath = None,
    set: Settings = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="The model; a run's own, else a fresh export."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare PyTorch with ONNX Runtime: both errors against float64, and a verdict.

    A spec without weights is verified with random ones.
    """
    from netloom.emit import onnx
    from netloom.runtime.trained import find
    from netloom.runtime.verify import randomised
    from netloom.runtime.verify import verify as compare

    with reporting(json):
        trained = find(target, network, weights, set or ())
        used = trained.weights if trained.weights is not None else randomised(trained.graph)
        path = model
        if path is None and trained.run and trained.model_path.exists():
            path = trained.model_path
        proof = compare(trained.graph, used, path or onnx.model_bytes(trained.graph, used))
        if json:
            print_json(
                {
                    "ok": proof.holds,
                    "model": str(path) if path else None,
                    "torch_error": proof.torch_error,
                    "onnx_error": proof.onnx_error,
                    "comparisons": [each.as_json() for each in proof.comparisons],
                }
            )
        else:
            print_proof(proof, path)
    if not proof.holds:
        raise typer.Exit(1)


def print_proof(proof: "Proof", path: Path | None) -> None:
    """The comparisons as a table, and the verdict."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = f"{path or 'a fresh export'} against PyTorch in float64"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("head", "sizes", "inputs"):
        table.add_column(heading)
    for heading in ("PyTorch float32", "ONNX Runtime"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for each in proof.comparisons:
        sizes = ", ".join(f"{name}={size}" for name, size in each.sizes.items())
        errors = (f"{each.torch_error:.1e}", f"{each.onnx_error:.1e}")
        table.add_row(each.head, sizes, each.inputs, *errors, "same" if each.same else "DIFFERENT")
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    verdict = "the model equals the network" if proof.holds else "the model DIFFERS"
    console.print(
        f"{verdict}: largest relative error {proof.onnx_error:.1e} "
        f"(PyTorch's own rounding {proof.torch_error:.1e})",
        highlight=False,
    )
