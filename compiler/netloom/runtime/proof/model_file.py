"""What a model's file contains, without running anything: a reader of protobuf's wire format.

It follows lengths and skips the weights, so a large file costs nothing, and a strange one no more
than its size. The numbers of fields are those of onnx.proto, which never change.
"""

import mmap
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Failed
from netloom.runtime.proof.policy import Precision

_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT = 1, 5, 12
_NODE_OUTPUT, _NODE_OPERATOR = 2, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_EXTERNAL = 1, 2, 13
_VALUE_NAME = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_FLOAT16, _QUANTISING = 10, {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_Span = tuple[int, int]
"""Where a field's bytes begin and end."""


class ModelFile(NamedTuple):
    """What nodes compute, the graph's outputs, and the metadata.

    `elements` counts the weights by the number of their type, `data_files` are the files beside it
    that hold weights.
    """

    path: Path
    computed: frozenset[str]
    outputs: tuple[str, ...]
    operators: frozenset[str]
    elements: Counter[int]
    metadata: dict[str, str]
    data_files: frozenset[str]

    @property
    def precision(self) -> Precision:
        """What most of the weights are, or int8 where something is quantised."""
        if self.operators & _QUANTISING:
            return "int8"
        half = self.elements[_FLOAT16]
        return "float16" if 2 * half > self.elements.total() else "float32"

    @property
    def bytes(self) -> int:
        """The size of the file and of the files with its weights."""
        folder = self.path.parent
        files = (self.path, *(folder / name for name in self.data_files))
        return sum(each.stat().st_size for each in files)


@contextmanager
def on_disk(model: Path | bytes) -> Iterator[Path]:
    """A model's path; bytes are in a file as long as the context lasts."""
    if isinstance(model, Path):
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="netloom-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        yield path


def read_model(path: Path) -> ModelFile:
    """Reads a model's file.

    Raises `Failed`: E001 where it cannot be read, E604 where it is not a whole model, or where its
    weights are not in plain files beside it.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _Reader(path, data).model()
    except OSError as problem:
        reason = (problem.strerror or "").lower()
        raise Failed(Diagnostic("E001", f"cannot read `{path}`: {reason}")) from None
    except (ValueError, TypeError):
        message = f"`{path}` is not an ONNX model, or not all of one"
        raise Failed(Diagnostic("E604", message, help="export it again")) from None
    for name in sorted(found.data_files):
        _require_plain_file(path, name)
    return found


def _require_plain_file(model: Path, name: str) -> None:
    """Refuses what leads out of the model's folder: paths, links, devices, files of two names."""
    try:
        if "/" in name or "\\" in name:
            raise ValueError
        status = (model.parent / name).lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise ValueError
    except FileNotFoundError:
        message = f"the weights of `{model}` are in {name!r}, which is not beside it"
        raise Failed(
            Diagnostic("E604", message, help="a model is moved with its data file")
        ) from None
    except (OSError, ValueError):
        message = f"`{model}` says that its weights are in {name!r}"
        help = "weights are in the model's file, or in a plain file beside it"
        raise Failed(Diagnostic("E604", message, help=help)) from None


class _Reader:
    """Gathers what a model's messages say, part by part."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data = path, data
        self.computed: set[str] = set()
        self.outputs: list[str] = []
        self.operators: set[str] = set()
        self.elements: Counter[int] = Counter()
        self.metadata: dict[str, str] = {}
        self.data_files: set[str] = set()

    def model(self) -> ModelFile:
        """The whole file. Raises `ValueError` where it is not one."""
        has_graph = False
        for number, span in self._messages((0, len(self.data))):
            if number == _MODEL_GRAPH:
                has_graph = True
                self._graph(span)
            elif number == _MODEL_METADATA:
                key, value = self._entry(span)
                self.metadata[key] = value
        if not has_graph:
            raise ValueError("no graph")
        return ModelFile(
            self.path,
            frozenset(self.computed),
            tuple(self.outputs),
            frozenset(self.operators),
            self.elements,
            self.metadata,
            frozenset(self.data_files),
        )

    def _graph(self, graph: _Span) -> None:
        for number, span in self._messages(graph):
            if number == _GRAPH_NODE:
                self._node(span)
            elif number == _GRAPH_INITIALIZER:
                self._tensor(span)
            elif number == _GRAPH_OUTPUT:
                self.outputs += [
                    self._text(name) for key, name in self._messages(span) if key == _VALUE_NAME
                ]

    def _node(self, node: _Span) -> None:
        for number, span in self._messages(node):
            if number == _NODE_OUTPUT and span[0] < span[1]:
                self.computed.add(self._text(span))
            elif number == _NODE_OPERATOR:
                self.operators.add(self._text(span))

    def _tensor(self, tensor: _Span) -> None:
        elements, kind = 1, 0
        for number, value in self._fields(tensor):
            if number == _TENSOR_DIMS:
                for length in self._numbers(value):
                    elements *= length
            elif number == _TENSOR_TYPE and isinstance(value, int):
                kind = value
            elif number == _TENSOR_EXTERNAL and not isinstance(value, int):
                key, text = self._entry(value)
                if key == "location":
                    self.data_files.add(text)
        self.elements[kind] += elements

    def _entry(self, entry: _Span) -> tuple[str, str]:
        texts = {number: self._text(span) for number, span in self._messages(entry)}
        return texts.get(_ENTRY_KEY, ""), texts.get(_ENTRY_VALUE, "")

    def _text(self, span: _Span) -> str:
        return self.data[slice(*span)].decode()

    def _numbers(self, value: int | _Span) -> Iterator[int]:
        """A repeated number, which is written one by one or packed."""
        if isinstance(value, int):
            yield value
            return
        position, end = value
        while position < end:
            number, position = self._varint(position, end)
            yield number

    def _messages(self, span: _Span) -> Iterator[tuple[int, _Span]]:
        """The fields that are texts, bytes or messages."""
        for number, value in self._fields(span):
            if not isinstance(value, int):
                yield number, value

    def _fields(self, span: _Span) -> Iterator[tuple[int, int | _Span]]:
        """Numbers of fields with their values; those of fixed length are left out."""
        position, end = span
        while position < end:
            key, position = self._varint(position, end)
            number, kind = key >> 3, key & 7
            if kind == _VARINT:
                value, position = self._varint(position, end)
                yield number, value
            elif kind in (_BYTES, _FIXED32, _FIXED64):
                length = {_FIXED32: 4, _FIXED64: 8}.get(kind, 0)
                if kind == _BYTES:
                    length, position = self._varint(position, end)
                if length > end - position:
                    raise ValueError("cut short")
                if kind == _BYTES:
                    yield number, (position, position + length)
                position += length
            else:
                raise ValueError("no such kind of field")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """A number of seven bits a byte, the lowest first, and the position behind it."""
        number = 0
        for shift in range(0, 70, 7):
            if position >= end:
                raise ValueError("cut short")
            byte = self.data[position]
            position += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number, position
        raise ValueError("no number is that long")
