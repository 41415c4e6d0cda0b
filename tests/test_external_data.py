"""Weights outside of a model's file: found as the onnx package finds them, and nowhere else."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from models import digits, drawn
from netloom.diagnostics import Failed
from netloom.runtime.external_data import _all_outside, external_files
from netloom.runtime.sessions import open_session


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return digits(tmp_path / "model.onnx", external=True)


def refused(model: Path | bytes) -> str:
    with pytest.raises(Failed) as failed:
        open_session(model)
    (found,) = failed.value.diagnostics
    assert found.code == "E604"
    return found.message


def code_of(model: bytes) -> str | None:
    """What refuses a model, if anything does; no other exception may come."""
    try:
        external_files(model)
    except Failed as failure:
        return failure.diagnostics[0].code
    return None


def relocated(model: Path, **entries: str) -> Path:
    """The model with other entries for the place of its first weight outside."""
    content = onnx.load(model, load_external_data=False)
    tensor = next(each for each in content.graph.initializer if each.external_data)
    kept = {each.key: each.value for each in tensor.external_data} | entries
    del tensor.external_data[:]
    for key, value in kept.items():
        tensor.external_data.add(key=key, value=value)
    onnx.save(content, model)
    return model


def test_weights_outside_give_the_same_results(model: Path, tmp_path: Path) -> None:
    whole = open_session(digits(tmp_path / "whole.onnx"))
    image = {"image": drawn(2, 1, 8, 8)}
    for own, other in zip(
        open_session(model).run(None, image), whole.run(None, image), strict=True
    ):
        assert numpy.array_equal(own, other)


def test_files_of_the_onnx_package_are_read(tmp_path: Path) -> None:
    content = onnx.load(digits(tmp_path / "whole.onnx"))
    (tmp_path / "deep").mkdir()
    path = tmp_path / "saved.onnx"
    onnx.save(content, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert list(external_files(path)) == ["weights.bin"]
    image = {"image": drawn(2, 1, 8, 8)}
    own = open_session(path).run(None, image)
    other = open_session(tmp_path / "whole.onnx").run(None, image)
    assert all(map(numpy.array_equal, own, other))


def test_what_was_checked_is_what_is_loaded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file in place of the weights, put there between check and load, changes nothing."""
    from netloom.runtime import sessions

    image = {"image": drawn(2, 1, 8, 8)}
    before = open_session(model).run(None, image)
    data = model.with_name("model.onnx.data")
    size = data.stat().st_size

    def found_and_replaced(path: Path) -> dict[str, memoryview]:
        files = external_files(path)
        data.unlink()
        data.write_bytes(b"\1" * size)
        return files

    monkeypatch.setattr(sessions, "external_files", found_and_replaced)
    after = open_session(model).run(None, image)
    assert all(map(numpy.array_equal, before, after))


NO_PATH = "this is not a relative path"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("../secret.bin", "no part of the path may be"),
        ("sub/../../secret.bin", "no part of the path may be"),
        ("./model.onnx.data", "no part of the path may be"),
        ("sub//x", "no part of the path may be"),
        ("", "no part of the path may be"),
        ("/etc/passwd", "an absolute path leads out"),
        ("model.onnx.data\0x", NO_PATH),
        ("..\\secret.bin", NO_PATH),
        ("C:\\secret.bin", NO_PATH),
        ("C:secret.bin", NO_PATH),
        ("\\\\server\\share", NO_PATH),
        ("file:///etc/passwd", "no part of the path may be"),
        ("*/_ORT_MEM_ADDR_/*", "there is no such file beside the model"),
        ("missing.bin", "there is no such file beside the model"),
        ("sub", "that is not an ordinary file"),
    ],
)
def test_a_location_that_leads_elsewhere_is_refused(
    model: Path, location: str, reason: str
) -> None:
    (model.parent.parent / "secret.bin").write_bytes(b"s" * 9999)
    (model.parent / "sub").mkdir()
    told = refused(relocated(model, location=location))
    assert f"are said to lie in {location!r}: {reason}" in told


def _symbolic(place: Path, target: Path) -> None:
    place.symlink_to(target)


def _hard(place: Path, target: Path) -> None:
    os.link(target, place)


@pytest.mark.parametrize(("link", "words"), [(_symbolic, "symbolic link"), (_hard, "2 names")])
def test_links_are_refused(model: Path, link: Callable[[Path, Path], None], words: str) -> None:
    link(model.parent / "linked.bin", model.with_name("model.onnx.data"))
    assert words in refused(relocated(model, location="linked.bin"))


def test_a_folder_that_is_a_link_is_refused(model: Path, tmp_path: Path) -> None:
    inside = tmp_path / "models"
    inside.mkdir()
    moved = model.rename(inside / "model.onnx")
    (inside / "sub").symlink_to(tmp_path)
    assert "symbolic link" in refused(relocated(moved, location="sub/model.onnx.data"))


def test_a_pipe_is_refused_and_not_waited_for(model: Path) -> None:
    os.mkfifo(model.parent / "pipe")
    assert "not an ordinary file" in refused(relocated(model, location="pipe"))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"offset": "100000"}, "they would end at byte"),
        ({"length": "8"}, "it gives 8 bytes to a tensor of"),
        ({"offset": "-4"}, "`-4` is no offset"),
        ({"offset": "٣"}, "is no offset"),
        ({"offset": "1_0"}, "is no offset"),
        ({"offset": "9" * 30}, "is no offset"),
    ],
)
def test_an_extent_outside_of_the_file_is_refused(
    model: Path, entries: dict[str, str], words: str
) -> None:
    assert words in refused(relocated(model, **entries))


def test_a_file_that_is_cut_off_is_refused(model: Path) -> None:
    data = model.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[:1000])
    assert "they would end at byte" in refused(model)


def test_a_model_in_memory_has_no_folder(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)  # where ONNX Runtime would look
    assert "a model in memory has no folder" in refused(model.read_bytes())


def _tensor(name: str) -> TensorProto:
    tensor = numpy_helper.from_array(drawn(4), name)
    set_external_data(tensor, f"{name}.bin", 0, 16)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def _graph(name: str, *nodes: onnx.NodeProto, initializers: tuple[Any, ...] = ()) -> Any:
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [4])
    return helper.make_graph(list(nodes), name, [], [out], list(initializers))


def test_tensors_are_found_wherever_they_stand() -> None:
    """In attributes, in graphs of nodes, in functions and in sparse tensors."""
    constant = helper.make_node("Constant", [], ["out"], value=_tensor("attribute"))
    inner = _graph("inner", constant, initializers=(_tensor("inner"),))
    branch = helper.make_node("If", ["c"], ["out"], then_branch=inner, else_branch=inner)
    tensors = helper.make_node("Foreign", [], ["t"], tensors=[_tensor("first"), _tensor("second")])
    graph = _graph("outer", branch, tensors, initializers=(_tensor("outer"),))
    graph.sparse_initializer.add(values=_tensor("values"), indices=_tensor("indices"), dims=[9])
    function = helper.make_function(
        "own", "f", [], ["out"], [constant], [helper.make_opsetid("", 21)]
    )
    model = helper.make_model(graph, functions=[function])
    names = sorted(each.tensor for each in _all_outside(model.SerializeToString()))
    inside = ["attribute", "inner"]
    expected = [*inside, *inside, "attribute", "first", "second", "outer", "values", "indices"]
    assert names == sorted(expected)


def test_the_reader_agrees_with_protobuf_on_types_and_shapes(model: Path) -> None:
    content = onnx.load(model, load_external_data=False)
    expected = {
        each.name: int(numpy.prod(each.dims)) * 4
        for each in content.graph.initializer
        if each.data_location == TensorProto.EXTERNAL
    }
    assert expected
    assert {each.tensor: each.nbytes for each in _all_outside(model)} == expected


@pytest.mark.parametrize("element_type", [TensorProto.INT4, TensorProto.UINT4])
def test_half_bytes_are_counted_up(element_type: int) -> None:
    tensor = TensorProto(name="w", data_type=element_type, dims=[3, 3])
    set_external_data(_with_data(tensor), "w.bin", 0, 5)
    model = helper.make_model(_graph("g", initializers=(tensor,)))
    (found,) = _all_outside(model.SerializeToString())
    assert (found.nbytes, found.length) == (5, 5)


def _with_data(tensor: TensorProto) -> TensorProto:
    tensor.raw_data = b"\0" * 5
    return tensor


def test_every_prefix_of_a_model_is_told_and_never_a_traceback(tmp_path: Path) -> None:
    content = digits(tmp_path / "model.onnx").read_bytes()
    refusals = 0
    for end in range(0, len(content), 7):
        refusals += code_of(content[:end]) == "E604"
    assert refusals > 100


def test_any_changed_byte_is_told_or_harmless(model: Path) -> None:
    content = model.read_bytes()
    generator = numpy.random.default_rng(5)
    for _ in range(500):
        changed = bytearray(content)
        changed[generator.integers(len(changed))] = generator.integers(256)
        assert code_of(bytes(changed)) in (None, "E604")


def _header(number: int, length: int) -> bytes:
    """What stands before a field of so many bytes."""
    encoded = bytes((number << 3 | 2,))
    while length > 0x7F:
        encoded += bytes((length & 0x7F | 0x80,))
        length >>= 7
    return encoded + bytes((length,))


def test_graphs_that_are_nested_without_end_are_refused() -> None:
    content = b""
    for _ in range(5000):
        for number in (6, 5, 1):  # the graph of an attribute of a node
            content = _header(number, len(content)) + content
    assert "nested too deep" in refused(_header(7, len(content)) + content)


def test_weights_inside_are_stepped_over(tmp_path: Path) -> None:
    """Of 1.5 GB only the headers are read; the file is a sparse one."""
    size = 1_500_000_000
    named = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[size // 4]).SerializeToString()
    tensor = named + _header(9, size)
    graph = _header(5, len(tensor) + size) + tensor
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(_header(7, len(graph) + size) + graph)
        file.truncate(file.tell() + size)
    start = time.process_time()
    assert external_files(path) == {}
    assert time.process_time() - start < 0.05
