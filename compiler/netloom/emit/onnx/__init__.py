"""ONNX models straight from the graph: lowered to nodes, rewritten, written as bytes.

lowering.py   a network as nodes, one or a few for each layer
rewrites/     nodes merged where the result is the same: batch norm into convolutions, …
wire.py       nodes as the bytes of a file
files.py      one file, or the weights in a second one
"""

from collections.abc import Iterator, Mapping

from netloom.emit.onnx.files import IR_VERSION as IR_VERSION
from netloom.emit.onnx.files import OPSET as OPSET
from netloom.emit.onnx.files import pieces_of_one_file
from netloom.emit.onnx.lowering import lowered
from netloom.emit.onnx.program import Program
from netloom.emit.onnx.rewrites import Change, rewrite
from netloom.emit.onnx.wire import Chunk
from netloom.emit.weights import Weights
from netloom.ir.graph import Graph


def program(graph: Graph, weights: Weights, fold: bool = True) -> tuple[Program, list[Change]]:
    """The inference heads of a network as ONNX nodes, and what was merged if `fold` asks for it."""
    made = lowered(graph, weights)
    return made, rewrite(made) if fold else []


def model_bytes(
    graph: Graph, weights: Weights, metadata: Mapping[str, str] | None = None, fold: bool = True
) -> bytes:
    """The model of a network's inference heads as one ONNX file, in memory."""
    return b"".join(chunks(graph, weights, metadata, fold))


def chunks(
    graph: Graph, weights: Weights, metadata: Mapping[str, str] | None = None, fold: bool = True
) -> Iterator[Chunk]:
    """The same as pieces to be written one after the other; weights are not copied."""
    made, _ = program(graph, weights, fold)
    return (piece.read() for piece in pieces_of_one_file(made, metadata or {}))


def text(graph: Graph, weights: Weights, fold: bool = True) -> str:
    """The nodes in ONNX's own text form, without the weights."""
    import onnx

    made, _ = program(graph, weights, fold)
    made.tensors = {}
    content = b"".join(piece.read() for piece in pieces_of_one_file(made, {}))
    return str(onnx.printer.to_text(onnx.load_from_string(content)))
