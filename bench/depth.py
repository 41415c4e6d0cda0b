"""How emission grows with depth, from text to file, and beside PyTorch's exporters.

Residual blocks of two 3x3 convolutions of 8 channels with batch norm. Ours is everything from the
text of the spec to the ONNX file, batch norm folded. An exporter is given the emitted module, whose
making is not counted. They are compared at 50 blocks; at 800, with `--exporters`, dynamo alone
takes minutes.
"""

import argparse
import gc
from collections.abc import Callable, Sequence

import torch

from bench.exporters import emit, export_dynamo, export_torchscript, folder
from bench.networks import Subject, written
from bench.report import Row, Table, at_least, at_most, compared, show
from bench.rounds import Rounds, calls, slope, spread
from netloom.compile import check
from netloom.diagnostics import Source
from netloom.emit.weights import Weights

DEPTHS = (50, 200, 800, 3200)
FEW, MANY = 50, 800
OURS = "netloom, from text to file"
DYNAMO = "torch.onnx.export, dynamo"
TORCHSCRIPT = "torch.onnx.export, TorchScript"


def deep(blocks: int) -> str:
    """A residual network of so many blocks."""
    return f"""
        block unit {{
            residual {{
                conv(8, 3, pad=1, bias=false) -> batchnorm -> relu
                conv(8, 3, pad=1, bias=false) -> batchnorm
            }}
            relu
        }}
        network deep {{
            input image: float32[N, 3, 32, 32]
            conv(8, 3, pad=1)
            repeat {blocks} {{ unit }}
            head logits = global_avgpool -> flatten -> linear(10)
        }}
    """


def growth(rounds: int) -> Table:
    """Seconds at each depth, and the slope of a line through their logarithms."""
    with folder() as place:
        actions: dict[str, Callable[[], object]] = {}
        for blocks in DEPTHS:
            text, weights = deep(blocks), written(deep(blocks)).weights

            def action(text: str = text, weights: Weights = weights, blocks: int = blocks) -> None:
                graph = check(Source("deep.loom", text)).networks["deep"].graph
                emit(graph, weights, place / f"{blocks}.onnx")

            actions[f"{blocks} blocks"] = action
            action()
        found = calls(actions, rounds)
    each = {
        name: found.seconds(name) * 1e3 / blocks
        for name, blocks in zip(actions, DEPTHS, strict=True)
    }
    notes = {name: f"{per_block:.2f} ms a block" for name, per_block in each.items()}
    rows = compared(found, f"{DEPTHS[0]} blocks", {}, notes)
    return Table("From text to file", f"{DEPTHS[0]} blocks", [*rows, _exponent(found)])


def _exponent(found: Rounds) -> Row:
    by_round = zip(*(found.column(name) for name in found.costs), strict=True)
    return Row("exponent", spread([slope(DEPTHS, times) for times in by_round]), at_most(1.05))


def beside_exporters(blocks: int, export_rounds: int) -> Table:
    """One depth, and PyTorch's exporters of the same network."""
    text, subject = deep(blocks), written(deep(blocks))
    image = subject.image(2)

    with folder() as place:

        def ours() -> None:
            graph = check(Source("deep.loom", text)).networks["deep"].graph
            emit(graph, subject.weights, place / "ours.onnx")

        ours()
        found = calls(
            {
                OURS: ours,
                DYNAMO: lambda: export_dynamo(subject.module, image, place / "dynamo.onnx"),
                TORCHSCRIPT: lambda: export_torchscript(subject.module, image, place / "ts.onnx"),
            },
            export_rounds,
        )
    goals = {DYNAMO: at_least(500), TORCHSCRIPT: at_least(25)} if blocks == MANY else {}
    notes = {name: f"{found.seconds(name):.2f} s" for name in found.costs}
    return Table(f"{blocks} residual blocks", OURS, compared(found, OURS, goals, notes))


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench depth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--exporters", action="store_true", help=f"at {MANY} blocks, once")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    gc.set_threshold(100_000)  # as the command does
    tables = [show(growth(options.rounds))]
    warm_up(written(deep(1)))
    if options.exporters:
        return [*tables, show(beside_exporters(MANY, 1))]
    return [*tables, show(beside_exporters(FEW, 3))]


def warm_up(subject: Subject) -> None:
    """The first export imports much, which is not what is measured."""
    with folder() as place:
        export_dynamo(subject.module, subject.image(2), place / "first.onnx")
        export_torchscript(subject.module, subject.image(2), place / "first.onnx")


if __name__ == "__main__":
    main()
