"""A program as a file, or as a file whose weights lie in another one."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import netloom
from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.files import write_together
from netloom.emit.onnx.program import Program, Tensor
from netloom.emit.onnx.wire import Chunk, Elsewhere, Piece, model_pieces

OPSET = 21
"""The newest at which ONNX Runtime runs all operators in use; MaxRoiPool and RoiAlign end there."""

IR_VERSION = 10

LARGEST_FILE = 2**31 - 1
"""Protobuf's limit for one message, and so for a model that holds its weights."""

_PAGE = 4096
"""Weights in a file of their own begin on a page, so that they can be mapped into memory."""

_SMALLEST_OUTSIDE = 1024
"""Smaller tensors, such as the shapes that nodes read, stay in the model."""


def pieces_of_one_file(
    program: Program, metadata: Mapping[str, str], elsewhere: Mapping[str, Elsewhere] | None = None
) -> list[Piece]:
    """The model as the pieces of its file."""
    header = {
        "ir_version": IR_VERSION,
        "opset": OPSET,
        "producer_name": "netloom",
        "producer_version": netloom.__version__,
    }
    return model_pieces(program, header, metadata, elsewhere or {})


def write_model(
    path: Path,
    program: Program,
    metadata: Mapping[str, str],
    external: bool = False,
    by_reference: bool = False,
) -> list[Path]:
    """Writes a model; returns its files, of which the first is the model.

    Either all files of `model_files` are written or none. Raises `Failed` as that does, and E005 if
    they cannot be written.
    """
    contents = model_files(path, program, metadata, external, by_reference)
    write_together(contents)
    return list(contents)[::-1]


def model_files(
    path: Path,
    program: Program,
    metadata: Mapping[str, str],
    external: bool = False,
    by_reference: bool = False,
) -> dict[Path, Iterator[Chunk]]:
    """What is to be written for a model at `path`, which comes last.

    The weights are in the file, or with `external`, or if they are more than 2 GB, in `NAME.data`
    beside it. `by_reference` leaves them where the checkpoint has them, which must lie in the
    model's folder or below. Raises `Failed` (E617) if a model cannot refer to the checkpoint.
    """
    if by_reference:
        places = _in_the_checkpoint(path, program)
        return {path: _read(pieces_of_one_file(program, metadata, places))}
    pieces = pieces_of_one_file(program, metadata)
    if not external and sum(piece.length for piece in pieces) <= LARGEST_FILE:
        return {path: _read(pieces)}
    data = path.with_name(f"{path.name}.data")
    places = _behind_one_another(data.name, program.tensors)
    outside = [program.tensors[name] for name in places]
    pieces = pieces_of_one_file(program, metadata, places)
    return {data: _paged(outside), path: _read(pieces)}


def _read(pieces: list[Piece]) -> Iterator[Chunk]:
    return (piece.read() for piece in pieces)


def _behind_one_another(location: str, tensors: Mapping[str, Tensor]) -> dict[str, Elsewhere]:
    places = {}
    offset = 0
    for name, tensor in tensors.items():
        if tensor.nbytes >= _SMALLEST_OUTSIDE:
            places[name] = Elsewhere(location, offset, tensor.nbytes)
            offset += tensor.nbytes + -tensor.nbytes % _PAGE
    return places


def _paged(tensors: list[Tensor]) -> Iterator[Chunk]:
    for tensor in tensors:
        yield tensor.read()
        yield b"\0" * (-tensor.nbytes % _PAGE)


def _in_the_checkpoint(path: Path, program: Program) -> dict[str, Elsewhere]:
    stored = {name: each.stored for name, each in program.tensors.items() if each.stored}
    locations = {each: _location(path, each) for each in {where.path for where in stored.values()}}
    return {
        name: Elsewhere(locations[where.path], where.offset, where.length)
        for name, where in stored.items()
    }


def _location(path: Path, checkpoint: str) -> str:
    """The checkpoint's path as a model may state it."""
    folder = os.path.realpath(path.parent)
    location = os.path.relpath(os.path.realpath(checkpoint), folder)
    if location.startswith(os.pardir):
        message = f"`{path}` cannot refer to `{checkpoint}`, which is not below it"
        help = "a model may name files in its own folder and below: write it beside them"
        raise Failed(Diagnostic("E617", message, help=help))
    return location.replace(os.sep, "/")
