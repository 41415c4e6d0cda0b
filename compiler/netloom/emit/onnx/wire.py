"""The bytes of an ONNX file: protobuf's wire format, written without protobuf.

onnx.helper copies every weight three or four times on its way to the disk, and importing onnx takes
longer than writing most models. Here each weight is one small header and the bytes from where they
are. The numbers of the fields are those of onnx.proto, which never change.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from netloom.emit.onnx.program import Program, Step, Tensor
from netloom.ir.types import Type

Chunk = bytes | memoryview

ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9, "float16": 10}
"""onnx.TensorProto.DataType"""

_VARINT, _LENGTH_DELIMITED, _FIXED32 = 0, 2, 5
_FLOAT, _INT, _STRING, _FLOATS, _INTS, _STRINGS = 1, 2, 3, 6, 7, 8
"""onnx.AttributeProto.AttributeType"""
_EXTERNAL = 1
"""onnx.TensorProto.DataLocation"""


class Elsewhere(NamedTuple):
    """The place of a tensor's bytes in another file, named relative to the model."""

    location: str
    offset: int
    length: int


class Piece(NamedTuple):
    """Bytes of the file whose number is known before they are there."""

    length: int
    read: Callable[[], Chunk]


def model_pieces(
    program: Program,
    header: Mapping[str, Any],
    metadata: Mapping[str, str],
    elsewhere: Mapping[str, Elsewhere],
) -> list[Piece]:
    """A serialised model, as pieces in order; weights are read when theirs is.

    `header` gives `ir_version`, `opset`, `producer_name` and `producer_version`. The tensors that
    `elsewhere` names are not in the file. A message may state its fields in any order, so the
    initializers stand behind the rest of the graph.
    """
    outside = (
        _number(1, header["ir_version"])
        + _text(2, header["producer_name"])
        + _text(3, header["producer_version"])
        + _message(8, _text(1, "") + _number(2, header["opset"]))
        + b"".join(_message(14, _text(1, k) + _text(2, v)) for k, v in metadata.items())
    )
    graph = (
        b"".join(_message(1, _node(step)) for step in program.steps)
        + _text(2, program.name)
        + b"".join(_message(11, _described(name, of)) for name, of in program.inputs.items())
        + b"".join(_message(12, _described(name, of)) for name, of in program.outputs.items())
    )
    tensors: list[Piece] = []
    for name, tensor in program.tensors.items():
        tensors += _initializer(name, tensor, elsewhere.get(name))
    length = len(graph) + sum(each.length for each in tensors)
    return [_piece(outside + _tag(7, _LENGTH_DELIMITED) + _varint(length) + graph), *tensors]


def _piece(content: bytes) -> Piece:
    return Piece(len(content), lambda: content)


def _initializer(name: str, tensor: Tensor, elsewhere: Elsewhere | None) -> Iterator[Piece]:
    described = b"".join(_number(1, each) for each in tensor.shape)
    described += _number(2, ELEMENT_TYPES[tensor.dtype]) + _text(8, name)
    if elsewhere:
        for key, value in zip(("location", "offset", "length"), elsewhere, strict=True):
            described += _message(13, _text(1, key) + _text(2, str(value)))
        yield _piece(_message(5, described + _number(14, _EXTERNAL)))
        return
    raw = _tag(9, _LENGTH_DELIMITED) + _varint(tensor.nbytes)
    length = len(described) + len(raw) + tensor.nbytes
    yield _piece(_tag(5, _LENGTH_DELIMITED) + _varint(length) + described + raw)
    yield Piece(tensor.nbytes, tensor.read)


def _node(step: Step) -> bytes:
    return (
        b"".join(_text(1, name) for name in step.inputs)
        + b"".join(_text(2, name) for name in step.outputs)
        + _text(3, step.name)
        + _text(4, step.op_type)
        + b"".join(_message(5, _attribute(k, v)) for k, v in sorted(step.attributes.items()))
    )


@lru_cache(maxsize=4096, typed=True)
def _attribute(name: str, value: Any) -> bytes:
    """An attribute by the type of its value; a tuple is a list of one kind of number or string.

    Networks repeat few attributes many times.
    """
    named = _text(1, name)
    match value:
        case int():  # and bool
            return named + _number(3, int(value)) + _number(20, _INT)
        case float():
            return named + _tag(2, _FIXED32) + struct.pack("<f", value) + _number(20, _FLOAT)
        case str():
            return named + _text(4, value) + _number(20, _STRING)
        case (int(), *_):
            return named + b"".join(_number(8, each) for each in value) + _number(20, _INTS)
        case (float(), *_):
            packed = b"".join(_tag(7, _FIXED32) + struct.pack("<f", each) for each in value)
            return named + packed + _number(20, _FLOATS)
        case (str(), *_):
            return named + b"".join(_text(9, each) for each in value) + _number(20, _STRINGS)
    raise TypeError(f"{value!r} is no attribute")


def _described(name: str, of: Type) -> bytes:
    """A value: known sizes as numbers, others as their text: `N`, `32*h`."""
    dims = b"".join(
        _message(1, _number(1, dim) if isinstance(dim, int) else _text(2, str(dim)))
        for dim in of.shape
    )
    tensor = _number(1, ELEMENT_TYPES[of.dtype]) + _message(2, dims)
    return _text(1, name) + _message(2, _message(1, tensor))


def _message(number: int, content: bytes) -> bytes:
    return _tag(number, _LENGTH_DELIMITED) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _number(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


@lru_cache(maxsize=256)
def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
