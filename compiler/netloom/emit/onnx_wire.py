"""Protobuf's wire format, as far as the weights of a model need it.

onnx.helper copies every weight three or four times on its way to the disk. Here the model without
its weights is serialised by protobuf, and each weight becomes a small header and a view of its
bytes. A message may state its fields in any order, so the initializers stand behind the rest.
"""

from collections.abc import Mapping
from typing import Any

import numpy
import onnx
from onnx import helper

Chunk = bytes | memoryview

_LENGTH_DELIMITED = 2

# Field numbers of onnx.proto, which never change.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9


def model_chunks(
    model: onnx.ModelProto, initializers: Mapping[str, "numpy.ndarray[Any, Any]"]
) -> list[Chunk]:
    """A serialised model whose graph also has these initializers, as pieces in order."""
    tensors = [piece for name, array in initializers.items() for piece in _initializer(name, array)]
    graph = model.graph.SerializeToString(deterministic=True)
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    length = len(graph) + sum(_size(piece) for piece in tensors)
    return [
        rest.SerializeToString(deterministic=True),
        _header(_MODEL_GRAPH, length),
        graph,
        *tensors,
    ]


def _initializer(name: str, array: "numpy.ndarray[Any, Any]") -> list[Chunk]:
    little_endian = numpy.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = little_endian.reshape(-1).view(numpy.uint8).data
    description = onnx.TensorProto(
        name=name,
        dims=array.shape,
        data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
    ).SerializeToString(deterministic=True)
    raw = _header(_TENSOR_RAW_DATA, data.nbytes)
    length = len(description) + len(raw) + data.nbytes
    return [_header(_GRAPH_INITIALIZER, length) + description + raw, data]


def _header(number: int, length: int) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _size(chunk: Chunk) -> int:
    return chunk.nbytes if isinstance(chunk, memoryview) else len(chunk)
