"""`netloom verify`: does the exported model equal the trained network?"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netloom.cli.app import Json, app, note, print_json, reporting
from netloom.cli.arguments import NetworkName, Settings, Target, WeightsPath
from netloom.cli.proofs import print_node_proof, print_proof

if TYPE_CHECKING:
    from netloom.runtime.proof.per_node import NodeProof
    from netloom.runtime.verify import Proof

PATIENCE = 2
"""Seconds after which it is said how far the proof is."""


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
    per_node: Annotated[
        bool, typer.Option("--per-node", help="Compare every layer, and name the first to differ.")
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Of the inputs, and of weights that are random.", min=0)
    ] = 0,
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size", metavar="NAME=NUMBER", help="Put numbers for free sizes, e.g. `h=7,w=7`."
        ),
    ] = None,
    memory: Annotated[
        float | None, typer.Option(help="GiB of memory for ONNX Runtime.", min=0.1)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds for each run of ONNX Runtime.", min=0.01)
    ] = None,
    json: Json = False,
) -> None:
    """Compare PyTorch with ONNX Runtime: both errors against float64, and a verdict.

    A spec without weights is verified with random ones.
    """
    with reporting(json):
        from netloom.emit import onnx
        from netloom.passes.sizes import given_sizes
        from netloom.runtime.proof.origin import other_origin
        from netloom.runtime.proof.per_node import per_node as compare_nodes
        from netloom.runtime.trained import find
        from netloom.runtime.verify import randomised
        from netloom.runtime.verify import verify as compare

        trained = find(target, network, weights, set or ())
        graph = trained.graph
        used = trained.weights if trained.weights is not None else randomised(graph, seed)
        path = model
        if path is None and trained.run and trained.model_path.exists():
            path = trained.model_path
        subject = path or onnx.model_bytes(graph, used)
        sizes = given_sizes(size or (), [graph])
        most = int(memory * 2**30) if memory else None
        progress = _Patient()
        proof = compare(
            graph, used, subject, seed, sizes=sizes, memory=most, seconds=seconds, progress=progress
        )
        nodes = None
        if per_node:
            progress("comparing layer by layer")
            case = proof.worst_case
            nodes = compare_nodes(graph, used, subject, case, seed, memory=most, seconds=seconds)
    origin = other_origin(proof.metadata, trained.spec, trained.network)
    if origin:
        note(f"the model says that it was made from {origin}")
    if json:
        print_json(_document(path, proof, nodes))
    else:
        print_proof(proof, path)
        if nodes:
            print_node_proof(nodes, proof.precision)
    if not proof.holds or (nodes and nodes.first):
        raise typer.Exit(1)


class _Patient:
    """Tells progress, but not of what is quick: from the first step on, at most every 2 s."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if self.last and now - self.last > PATIENCE:
            note(text)
        if not self.last or now - self.last > PATIENCE:
            self.last = now


def _document(path: Path | None, proof: "Proof", nodes: "NodeProof | None") -> dict[str, Any]:
    document = {"model": str(path) if path else None, **proof.as_json()}
    return document | ({"per_node": nodes.as_json()} if nodes else {})
