"""Emitting an ONNX file of a ResNet with weights, beside one raw write and PyTorch's exporters.

In process, with one thread: imports, loading and the proof are not counted. Files are written to
memory, so that neither side waits for a disk. The raw write is of the very bytes of our file.
PyTorch is given the emitted module with the same weights, and asked for any batch.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.exporters import emit, emit_external, export_dynamo, export_torchscript, folder
from bench.networks import FILES, Subject, named
from bench.report import Row, Table, at_least, at_most, compared, row, show
from bench.rounds import Rounds, calls
from netloom.compile import check_file

FOLDED = "netloom, folded, one file"
UNFOLDED = "netloom, not folded, over a write of its bytes"
EXTERNAL = "netloom, folded, weights in a second file"
TEXT = "netloom, from the text of the spec"
RAW = "one raw write of the same bytes"
RAW_UNFOLDED = "one raw write of the unfolded bytes"
DYNAMO = "torch.onnx.export, dynamo"
TORCHSCRIPT = "torch.onnx.export, TorchScript"


def writers(name: str, subject: Subject, place: Path) -> dict[str, Callable[[], object]]:
    """What is timed often: ours, and raw writes; the files of ours are there already."""
    graph, weights, _ = subject
    emit(graph, weights, place / "folded")
    emit(graph, weights, place / "unfolded", fold=False)
    folded, unfolded = (place / "folded").read_bytes(), (place / "unfolded").read_bytes()

    def emit_from_text() -> None:
        again = check_file(FILES[name]).networks[name].graph
        emit(again, weights, place / "text")

    return {
        FOLDED: lambda: emit(graph, weights, place / "folded"),
        UNFOLDED: lambda: emit(graph, weights, place / "unfolded", fold=False),
        EXTERNAL: lambda: emit_external(graph, weights, place / "external"),
        TEXT: emit_from_text,
        RAW: lambda: (place / "raw").write_bytes(folded),
        RAW_UNFOLDED: lambda: (place / "raw2").write_bytes(unfolded),
    }


def measured(name: str, rounds: int, export_rounds: int) -> list[Table]:
    """One network: many rounds of the quick ones, few in which the exporters take part."""
    subject = named(name)
    image = subject.image(2)
    with folder() as place:
        quick = writers(name, subject, place)
        exports: dict[str, Callable[[], object]] = {
            FOLDED: quick[FOLDED],
            DYNAMO: lambda: export_dynamo(subject.module, image, place / "dynamo"),
            TORCHSCRIPT: lambda: export_torchscript(subject.module, image, place / "script"),
        }
        for action in (*quick.values(), *exports.values()):
            action()  # caches are warm
        found = calls(quick, rounds)
        slow = calls(exports, export_rounds)
        size = (place / "folded").stat().st_size
    title = f"{name} to ONNX in process, {size / 1e6:.0f} MB, {found.seconds(FOLDED):.3f} s"
    goals = {DYNAMO: at_least(40), TORCHSCRIPT: at_least(8)}
    return [
        Table(title, RAW, _against_raw(found)),
        Table(title, FOLDED, compared(slow, FOLDED, goals)),
    ]


def _against_raw(found: Rounds) -> list[Row]:
    pairs = {FOLDED: RAW, TEXT: RAW, EXTERNAL: RAW, UNFOLDED: RAW_UNFOLDED}
    return [
        row(found, candidate, raw, at_most(1.5) if candidate == FOLDED else None)
        for candidate, raw in pairs.items()
    ]


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench onnx_emission", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["resnet50", "resnet152"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--export-rounds", type=int, default=3)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    tables: list[Table] = []
    for name in options.models:
        tables += map(show, measured(name, options.rounds, options.export_rounds))
    return tables


if __name__ == "__main__":
    main()
