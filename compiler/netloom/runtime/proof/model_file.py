"""What a model's file contains, without running anything; the weights are stepped over.

The numbers of fields are those of onnx.proto, which never change.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Failed
from netloom.runtime.external_data import external_files, outside
from netloom.runtime.proof.policy import Precision
from netloom.runtime.wire_format import entry, fields, mapped, messages, numbers, text

_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT = 1, 5, 12
_NODE_OUTPUT, _NODE_OPERATOR = 2, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_VALUE_NAME = 1

_FLOAT32, _FLOAT16 = 1, 10
_QUANTISING = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}


class ModelFile(NamedTuple):
    """What nodes compute, the graph's outputs, and the metadata.

    `elements` counts the weights by the number of their type, `data_files` are the files below its
    folder that hold weights. `weights` are the bytes of those in float32 by name, as they lie in
    one of these files, which are mapped into memory.
    """

    path: Path
    computed: frozenset[str]
    outputs: tuple[str, ...]
    operators: frozenset[str]
    elements: Counter[int]
    metadata: dict[str, str]
    data_files: frozenset[str]
    weights: dict[str, memoryview]

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
    weights are not where it says, or not where it may look.
    """
    try:
        found = _Reader().model(mapped(path))
    except OSError as problem:
        reason = (problem.strerror or "").lower()
        raise Failed(Diagnostic("E001", f"cannot read `{path}`: {reason}")) from None
    except ValueError:
        message = f"`{path}` is not an ONNX model, or not all of one"
        raise Failed(Diagnostic("E604", message, help="export it again")) from None
    files = external_files(path)
    return ModelFile(
        path,
        frozenset(found.computed),
        tuple(found.outputs),
        frozenset(found.operators),
        found.elements,
        found.metadata,
        frozenset(files),
        {name: _bytes_of(tensor, files) for name, tensor in found.weights.items()},
    )


def _bytes_of(tensor: memoryview, files: Mapping[str, memoryview]) -> memoryview:
    """The bytes of a tensor; none for one whose numbers are written one by one."""
    place = outside(tensor)
    if place:
        return files[place.location][place.offset :][: place.nbytes]
    raw = [value for number, value in messages(tensor) if number == _TENSOR_RAW]
    return raw[-1] if raw else memoryview(b"")


class _Reader:
    """Gathers what a model's messages say, part by part."""

    def __init__(self) -> None:
        self.computed: set[str] = set()
        self.outputs: list[str] = []
        self.operators: set[str] = set()
        self.elements: Counter[int] = Counter()
        self.metadata: dict[str, str] = {}
        self.weights: dict[str, memoryview] = {}

    def model(self, content: memoryview) -> "_Reader":
        """Reads the whole file. Raises ValueError where it is no model."""
        has_graph = False
        for number, message in messages(content):
            if number == _MODEL_GRAPH:
                has_graph = True
                self._graph(message)
            elif number == _MODEL_METADATA:
                key, value = entry(message)
                self.metadata[key] = value
        if not has_graph:
            raise ValueError("no graph")
        return self

    def _graph(self, graph: memoryview) -> None:
        for number, message in messages(graph):
            if number == _GRAPH_NODE:
                self._node(message)
            elif number == _GRAPH_INITIALIZER:
                self._tensor(message)
            elif number == _GRAPH_OUTPUT:
                self.outputs += [
                    text(name) for key, name in messages(message) if key == _VALUE_NAME
                ]

    def _node(self, node: memoryview) -> None:
        for number, value in messages(node):
            if number == _NODE_OUTPUT and value:
                self.computed.add(text(value))
            elif number == _NODE_OPERATOR:
                self.operators.add(text(value))

    def _tensor(self, tensor: memoryview) -> None:
        elements, kind, name = 1, 0, ""
        for number, value in fields(tensor):
            if number == _TENSOR_DIMS:
                for length in numbers(value):
                    elements *= length
            elif number == _TENSOR_TYPE and isinstance(value, int):
                kind = value
            elif number == _TENSOR_NAME and not isinstance(value, int):
                name = text(value)
        self.elements[kind] += elements
        if kind == _FLOAT32:
            self.weights[name] = tensor
