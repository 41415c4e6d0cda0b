"""ONNX Runtime on our graph, on PyTorch's two exports, and on what onnxslim makes of these.

One thread, ONNX Runtime's own optimiser on. All are made from the emitted module with the same
weights, and must give the same outputs before anything is timed. The figure for "never slower" is
ours over the quickest of the others. `--models all` are five networks, at batches of 1 and 8, and
take about twelve minutes at 30 rounds on a quiet machine.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

from bench.exporters import (
    emit,
    emit_external,
    export_dynamo,
    export_torchscript,
    folder,
    slim,
)
from bench.networks import Subject, named
from bench.report import Table, at_most, compared, row, show
from bench.rounds import calls
from bench.sessions import check_equal, eager, file_size, inference, session

MODELS = ("resnet50", "googlenet", "vgg16", "resnet152", "mobilenet_v2")
QUICK = ("googlenet", "mobilenet_v2")
OURS = "netloom"
EXTERNAL = "netloom, weights in a second file"
UNFOLDED = "netloom, not folded"
DYNAMO = "dynamo"
TORCHSCRIPT = "TorchScript"
SLIM_DYNAMO = "dynamo, onnxslim"
SLIM_TORCHSCRIPT = "TorchScript, onnxslim"
EAGER = "torch eager"
PEERS = (DYNAMO, TORCHSCRIPT, SLIM_DYNAMO, SLIM_TORCHSCRIPT)


def write_all(subject: Subject, place: Path) -> dict[str, Path]:
    """The files of all sides; dynamo's has its weights beside it, which is its default."""
    graph, weights, module = subject
    image = subject.image(2)
    names = (OURS, EXTERNAL, UNFOLDED, *PEERS)
    paths = {name: place / f"{index}.onnx" for index, name in enumerate(names)}
    emit(graph, weights, paths[OURS])
    emit_external(graph, weights, paths[EXTERNAL])
    emit(graph, weights, paths[UNFOLDED], fold=False)
    export_dynamo(module, image, paths[DYNAMO], external=True)
    export_torchscript(module, image, paths[TORCHSCRIPT])
    slim(paths[DYNAMO], paths[SLIM_DYNAMO])
    slim(paths[TORCHSCRIPT], paths[SLIM_TORCHSCRIPT])
    return paths


def described(path: Path) -> str:
    """Nodes and size of a model."""
    nodes = len(onnx.load(path, load_external_data=False).graph.node)
    return f"{nodes} nodes, {file_size(path) / 1e6:.1f} MB"


def latency(
    name: str, subject: Subject, batch: int, sessions: dict[str, Any], rounds: int
) -> Table:
    """Every side on one batch."""
    image = subject.image(batch)
    runs: dict[str, Callable[[], Any]] = {EAGER: eager(subject.module, image)}
    runs |= {side: inference(model, image) for side, model in sessions.items()}
    check_equal(runs)
    found = calls(runs, rounds)
    best = found.quickest(PEERS)
    verdicts = [
        row(found, OURS, best, at_most(1.02), best)._replace(name=f"{OURS} / the best other"),
        row(found, OURS, EAGER, at_most(0.75))._replace(name=f"{OURS} / {EAGER}"),
    ]
    seconds = found.seconds(TORCHSCRIPT)
    title = f"{name}, batch {batch}, ONNX Runtime, one thread, {seconds * 1e3:.0f} ms"
    return Table(title, TORCHSCRIPT, [*compared(found, TORCHSCRIPT), *verdicts])


def creation(name: str, paths: dict[str, Path], rounds: int) -> Table:
    """How long it takes to make a session of each file."""
    actions: dict[str, Callable[[], object]] = {
        side: lambda path=path: session(path)  # type: ignore[misc]
        for side, path in paths.items()
    }
    for action in actions.values():
        action()
    found = calls(actions, rounds)
    goals = {EXTERNAL: at_most(0.80)}
    notes = {side: described(path) for side, path in paths.items()}
    seconds = found.seconds(TORCHSCRIPT)
    title = f"{name}, making a session, {seconds * 1e3:.0f} ms"
    return Table(title, TORCHSCRIPT, compared(found, TORCHSCRIPT, goals, notes))


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench onnx_latency", description=__doc__)
    parser.add_argument("--models", nargs="+", default=QUICK, help=f"all is {', '.join(MODELS)}")
    parser.add_argument("--batches", nargs="+", type=int, default=None, help="1, or 1 and 8 of all")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--creations", type=int, default=15, help="rounds of making sessions")
    options = parser.parse_args(given)
    is_all = options.models == ["all"]
    torch.set_num_threads(1)
    tables: list[Table] = []
    for name in MODELS if is_all else options.models:
        subject = named(name)
        with folder() as place:
            paths = write_all(subject, place)
            tables.append(show(creation(name, paths, options.creations)))
            sessions = {side: session(path) for side, path in paths.items() if side != EXTERNAL}
        for batch in options.batches or ((1, 8) if is_all else (1,)):
            tables.append(show(latency(name, subject, batch, sessions, options.rounds)))
        del sessions
    return tables


if __name__ == "__main__":
    main()
