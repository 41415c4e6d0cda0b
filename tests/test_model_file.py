"""The reader of model files beside the onnx package, and what it refuses."""

import contextlib
import os
from collections import Counter
from pathlib import Path

import numpy
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from netloom.compile import check_file
from netloom.diagnostics import Failed
from netloom.emit import onnx as emit_onnx
from netloom.emit.weights import initial
from netloom.runtime.metadata import model_metadata
from netloom.runtime.proof.model_file import ModelFile, read_model
from specimens import SPECS


def read(folder: Path, content: bytes) -> ModelFile:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return read_model(path)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_it_reads_what_the_onnx_package_reads(path: Path, tmp_path: Path) -> None:
    spec = check_file(path)
    (network,) = spec.networks.values()
    metadata = model_metadata(spec, network.graph.name)
    content = emit_onnx.model_bytes(network.graph, initial(network.graph), metadata)
    found, model = read(tmp_path, content), onnx.load_from_string(content)
    assert found.computed == {name for node in model.graph.node for name in node.output if name}
    assert found.outputs == tuple(each.name for each in model.graph.output)
    assert found.operators == {node.op_type for node in model.graph.node}
    assert found.metadata == metadata
    elements: Counter[int] = Counter()
    for tensor in model.graph.initializer:
        elements[tensor.data_type] += int(numpy.prod(tensor.dims))
    assert found.elements == elements
    assert found.bytes == len(content)
    assert found.precision == "float32"


@pytest.mark.parametrize("is_packed", [True, False])
def test_both_ways_to_write_numbers_are_read(is_packed: bool, tmp_path: Path) -> None:
    """proto3 packs repeated numbers, proto2 does not, and readers take both."""
    dims = b"\x0a\x03\x82\x01\x03" if is_packed else b"\x08\x82\x01\x08\x03"  # 130, 3
    tensor = dims + b"\x10\x0a"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    found = read(tmp_path, b"\x08\x0a" + b"\x3a" + bytes([len(graph)]) + graph)
    assert found.elements == {TensorProto.FLOAT16: 390}
    assert found.precision == "float16"


def test_a_little_in_float32_does_not_make_a_model_one(tmp_path: Path) -> None:
    tensors = [
        numpy_helper.from_array(numpy.zeros(size, kind), name)
        for name, size, kind in (("a", 10, "float16"), ("b", 9, "float32"))
    ]
    graph = helper.make_graph([], "g", [], [], tensors)
    assert read(tmp_path, helper.make_model(graph).SerializeToString()).precision == "float16"


@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    with contextlib.suppress(Failed):
        read(folder, content)


def _with_data(location: str) -> bytes:
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    model = helper.make_model(helper.make_graph([], "g", [], [], [tensor]))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "location",
    [
        *("../data", "/etc/hostname", "sub/data", "..\\data", "", ".", ".."),
        *("link", "hardlink", "pipe", "data\0x", "missing"),
    ],
)
def test_weights_lie_in_plain_files_beside_the_model(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in (tmp_path / "data", folder / "data", folder / "two"):
        file.write_bytes(bytes(16))
    (folder / "link").symlink_to(folder / "data")
    (folder / "hardlink").hardlink_to(folder / "two")
    os.mkfifo(folder / "pipe")
    assert read(folder, _with_data("data")).data_files == {"data"}
    with pytest.raises(Failed) as failed:
        read(folder, _with_data(location))
    (diagnostic,) = failed.value.diagnostics
    assert diagnostic.code == "E604"
    assert repr(location) in diagnostic.message
