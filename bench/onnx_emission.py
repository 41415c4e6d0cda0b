"""Emitting an ONNX file of ResNet-50 with weights, beside `torch.onnx.export` of the same module.

In process: imports, loading and the proof are not counted. Both write one file, and neither waits
for the disk; what `netloom export` does, which flushes before it renames, is shown beside them.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch

from bench.rounds import print_ratios, ratios
from netloom.compile import check_file
from netloom.emit import onnx
from netloom.emit.files import write_atomically
from netloom.emit.onnx.wire import Chunk
from netloom.emit.torch import module

SPEC = Path(__file__).parent / "resnet50.loom"
GOAL = 20


def main() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    graph = check_file(SPEC).networks["resnet50"].graph
    network = module(graph).eval()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    size = sum(array.nbytes for array in weights.values())
    payload = b"\0" * size
    image = torch.zeros(2, 3, 224, 224)

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)

        def write(chunks: Iterable[Chunk]) -> None:
            with (place / "netloom.onnx").open("wb") as file:
                file.writelines(chunks)

        def emit() -> None:
            write(onnx.chunks(graph, weights))

        def emit_from_text() -> None:
            again = check_file(SPEC).networks["resnet50"].graph
            write(onnx.chunks(again, weights))

        def emit_durably() -> None:
            write_atomically(place / "durable.onnx", onnx.chunks(graph, weights))

        def export() -> None:
            batch = torch.export.Dim("batch")
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    network,
                    (image,),
                    place / "torch.onnx",
                    dynamo=True,
                    dynamic_shapes=({0: batch},),
                    external_data=False,
                    verbose=False,
                )

        def raw() -> None:
            (place / "raw").write_bytes(payload)

        for action in (emit, export):
            action()  # caches of both are warm
        found = ratios(
            {
                "netloom, from the graph": emit,
                "netloom, from the text of the spec": emit_from_text,
                "netloom, flushed to the disk": emit_durably,
                "one raw write of the same bytes": raw,
                "torch.onnx.export": export,
            },
            "netloom, from the graph",
            rounds=7,
        )
    print_ratios(f"ResNet-50 to ONNX, {size / 1e6:.0f} MB", found, "netloom, from the graph")
    print(f"  goal: torch.onnx.export at least {GOAL}")


if __name__ == "__main__":
    main()
