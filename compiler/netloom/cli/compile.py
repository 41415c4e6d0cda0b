"""`netloom compile`: from a spec to PyTorch source and an untrained ONNX model."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.cli.app import app, note, reporting
from netloom.cli.arguments import LimitTexts, NetworkName, Settings, SpecPath
from netloom.diagnostics import Diagnostic, Failed

if TYPE_CHECKING:
    from netloom.compile import Network, Spec


class Stage(StrEnum):
    """What `--emit` can print."""

    AST = "ast"
    GRAPH = "graph"
    FIELDS = "fields"
    TORCH = "torch"
    ONNX = "onnx"


@app.command()
def compile(
    spec: SpecPath,
    network: NetworkName = None,
    set: Settings = None,
    limit: LimitTexts = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")] = Path(),
    emit: Annotated[
        Stage | None, typer.Option(help="Print one stage on stdout and write no files.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the untrained weights.")] = 0,
    fold: Annotated[
        bool, typer.Option("--fold/--no-fold", help="Merge layers of the model, as export does.")
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files of other origin.")
    ] = False,
) -> None:
    """Write NAME.py and an untrained NAME.onnx for each network of a spec."""
    from netloom.compile import check_file, chosen
    from netloom.limits import raised

    with reporting():
        checked = check_file(spec, set or (), raised(limit or ()))
        names = [chosen(checked, network)] if network else list(checked.networks)
        if emit is Stage.AST:
            from netloom.emit.stages import ast_text

            print(ast_text(checked.file), end="")
            return
        for name in names:
            if emit:
                print(_stage(checked.networks[name], emit, seed, fold), end="")
            else:
                _write(checked, name, out, seed, force, fold)


def _stage(network: "Network", stage: Stage, seed: int, fold: bool) -> str:
    from netloom.emit import stages, torch

    if stage is Stage.GRAPH:
        return stages.graph_text(network)
    if stage is Stage.FIELDS:
        return stages.fields_text(network)
    if stage is Stage.TORCH:
        return torch.source(network.graph)
    from netloom.emit import onnx, weights

    return onnx.text(network.graph, weights.initial(network.graph, seed), fold) + "\n"


def _write(spec: "Spec", name: str, out: Path, seed: int, force: bool, fold: bool) -> None:
    from netloom.emit import onnx, torch
    from netloom.emit.files import write_atomically
    from netloom.emit.weights import initial
    from netloom.runtime.metadata import model_metadata

    graph = spec.networks[name].graph
    source_path, model_path = out / f"{name}.py", out / f"{name}.onnx"
    if not force:
        _refuse_foreign(source_path, torch.MARK.encode())
        _refuse_foreign(model_path, b"netloom")
    write_atomically(source_path, [torch.source(graph).encode()])
    chunks = onnx.chunks(graph, initial(graph, seed), model_metadata(spec, name), fold)
    write_atomically(model_path, chunks)
    note(f"wrote {source_path}")
    note(f"wrote {model_path} (untrained)")


def _refuse_foreign(path: Path, mark: bytes) -> None:
    """Refuses to overwrite a file that netloom did not write, as far as its beginning tells."""
    if not path.exists():
        return
    with path.open("rb") as file:
        beginning = file.read(400)
    if mark not in beginning:
        message = f"`{path}` exists and was not written by netloom"
        raise Failed(Diagnostic("E004", message, help="`--force` overwrites it"))
