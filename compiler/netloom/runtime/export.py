"""Exporting a trained network: its model, written, and what was done to its layers."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit import onnx
from netloom.emit.files import written
from netloom.emit.onnx.files import model_files, pieces_of_one_file
from netloom.emit.onnx.rewrites import Change
from netloom.emit.weights import Weights
from netloom.ir.graph import Graph
from netloom.runtime.metadata import model_metadata
from netloom.runtime.overwriting import refuse_to_lose
from netloom.runtime.trained import Trained


class Exported(NamedTuple):
    """The files that were written, the model first; what was done to which layer."""

    files: list[Path]
    changes: list[Change]


def export_model(
    trained: Trained,
    path: Path,
    fold: bool = True,
    external: bool = False,
    by_reference: bool = False,
    *,
    force: bool = False,
    check: Callable[[Path], object] | None = None,
) -> Exported:
    """Writes the model of a network with weights; the options are those of `model_files`.

    Weights that are referred to are not calculated with, so nothing is folded then. `check` is
    given the model before it takes its place; if it raises, whatever was there is as it was.
    Raises `Failed`: E602 for a network without weights, E004 where that would overwrite something
    else than a model (unless `force` is given) or what is exported, E005 where it cannot be
    written, and what `model_files` raises.
    """
    program, changes = onnx.program(trained.graph, _weights_of(trained), fold and not by_reference)
    contents = model_files(path, program, metadata_of(trained), external, by_reference)
    refuse_to_lose(trained, path, contents, force)
    with written(contents) as places:
        if check:
            check(places[path])
    if by_reference:
        words = "all layers: weights that stay in the checkpoint are not calculated with"
        changes.append(Change("kept apart", (), words))
    return Exported(list(contents)[::-1], [*left_out(trained.graph), *changes])


def model_of(trained: Trained, fold: bool = True) -> tuple[bytes, list[Change]]:
    """The same model in memory, and what was done.

    Raises `Failed` (E602) for a network without weights.
    """
    program, changes = onnx.program(trained.graph, _weights_of(trained), fold)
    pieces = pieces_of_one_file(program, metadata_of(trained))
    content = b"".join(piece.read() for piece in pieces)
    return content, [*left_out(trained.graph), *changes]


def _weights_of(trained: Trained) -> Weights:
    if trained.weights is not None:
        return trained.weights
    message = f"`{trained.spec.source.name}` is a spec, which has no trained weights"
    help = "give a run's folder, or --weights; `netloom compile` emits an untrained model"
    raise Failed(Diagnostic("E602", message, help=help))


def metadata_of(trained: Trained) -> dict[str, str]:
    """What a model of this network says about itself."""
    config = trained.config
    return model_metadata(
        trained.spec,
        trained.network,
        config.get("classes", ()),
        config.get("preprocessing"),
        {key: config[key] for key in ("data", "seed") if key in config},
    )


def left_out(graph: Graph) -> list[Change]:
    """The layers that a model does not have because only training needs them."""
    alive = graph.layers_in("infer")
    ids = set(map(id, alive))
    found = [
        Change("left out", (layer.name,), f"{layer.name} acts in training only")
        for layer in alive
        if layer.op.identity_in_inference
    ]
    for head in graph.heads:
        if head.mode == "train":
            own = [each for each in graph.layers_for((head,)) if id(each) not in ids]
            ids.update(map(id, own))
            words = f"{head.name}, a head of training, with {len(own)} layers"
            found.append(Change("left out", tuple(each.name for each in own), words))
    return found
