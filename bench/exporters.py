"""What writes an ONNX file of an emitted module: netloom, and what is compared with it."""

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from netloom.emit import onnx
from netloom.emit.onnx.files import write_model
from netloom.emit.onnx.wire import Chunk
from netloom.emit.weights import Weights
from netloom.ir.graph import Graph

MEMORY = Path("/dev/shm")
"""Files here are memory, where the system has this: nobody waits for a disk then."""


@contextlib.contextmanager
def folder(on_disk: bool = False) -> Iterator[Path]:
    """A folder for the files of one measurement; in memory if that can be had."""
    in_memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and not on_disk
    with tempfile.TemporaryDirectory(dir=MEMORY if in_memory else None) as place:
        yield Path(place)


def emit(graph: Graph, weights: Weights, path: Path, fold: bool = True) -> None:
    """Netloom's model in one file, without a flush to the disk, which the others do not do."""
    write(path, onnx.chunks(graph, weights, fold=fold))


def emit_external(graph: Graph, weights: Weights, path: Path, fold: bool = True) -> None:
    """Netloom's model with its weights in a second file, as `netloom export --external` has it."""
    program, _ = onnx.program(graph, weights, fold)
    write_model(path, program, {}, external=True)


def write(path: Path, chunks: Iterable[Chunk]) -> None:
    """The pieces of a file, one after the other."""
    with path.open("wb") as file:
        file.writelines(chunks)


def export_dynamo(module: nn.Module, image: Tensor, path: Path, external: bool = False) -> None:
    """PyTorch's exporter, for any batch; it writes the weights into a second file if it may."""
    with _quiet():
        torch.onnx.export(
            module,
            (image,),
            path,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=external,
            verbose=False,
        )


def export_torchscript(module: nn.Module, image: Tensor, path: Path) -> None:
    """PyTorch's older exporter, for any batch."""
    with _quiet():
        torch.onnx.export(
            module,
            (image,),
            path,
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
        )


def slim(source: Path, path: Path) -> None:
    """A model after onnxslim."""
    import onnxslim

    with _quiet():
        onnxslim.slim(str(source), str(path))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
