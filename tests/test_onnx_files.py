"""The files of an export: bytes that onnx reads back, weights outside, references, checkpoints."""

import errno
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from netloom.cli.exporting import plain_arguments
from netloom.compile import check, check_file
from netloom.diagnostics import Failed, Source
from netloom.emit import onnx as emit_onnx
from netloom.emit.checkpoint import Checkpoint
from netloom.emit.files import write_together
from netloom.emit.onnx import files
from netloom.emit.onnx.lowering import lowered
from netloom.emit.onnx.program import Step
from netloom.emit.onnx.wire import model_pieces
from netloom.emit.weights import load
from netloom.ir.graph import Graph
from netloom.runtime.verify import randomised
from specimens import ROOT

SPEC = ROOT / "specs" / "resnet_digits.loom"


@pytest.fixture
def graph() -> Graph:
    return check_file(SPEC).networks["resnet_digits"].graph


@pytest.fixture
def checkpoint(graph: Graph, tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(dict(randomised(graph)), path)
    return path


def _outputs(model: Path | bytes, graph: Graph) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(
        str(model) if isinstance(model, Path) else model, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    generator = numpy.random.default_rng(0)
    shape = [2 if not isinstance(d, int) else d for d in graph.inputs[0].type.shape]
    image = generator.normal(size=shape).astype("float32")
    return dict(zip(names, session.run(names, {graph.inputs[0].name: image}), strict=True))


# --- The wire format -----------------------------------------------------------------------------


def test_onnx_reads_back_what_was_written(graph: Graph) -> None:
    weights = randomised(graph)
    program = lowered(graph, weights)
    model = onnx.load_from_string(emit_onnx.model_bytes(graph, weights, {"a": "é"}, fold=False))
    assert (model.ir_version, model.opset_import[0].version) == (10, 21)
    assert {each.key: each.value for each in model.metadata_props} == {"a": "é"}
    for step, node in zip(program.steps, model.graph.node, strict=True):
        assert (step.name, step.op_type) == (node.name, node.op_type)
        assert (step.inputs, step.outputs) == (list(node.input), list(node.output))
        for attribute in node.attribute:
            _same_attribute(step, attribute)
    for tensor in model.graph.initializer:
        own = program.tensors[tensor.name].array()
        assert numpy.array_equal(numpy_helper.to_array(tensor), own), tensor.name
    described = {each.name: each for each in (*model.graph.input, *model.graph.output)}
    for name, of in {**program.inputs, **program.outputs}.items():
        dims = described[name].type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == [
            each if isinstance(each, int) else str(each) for each in of.shape
        ]


def _same_attribute(step: Step, attribute: onnx.AttributeProto) -> None:
    found = onnx.helper.get_attribute_value(attribute)
    wanted = step.attributes[attribute.name]
    if isinstance(wanted, float):
        assert found == pytest.approx(wanted)
    elif isinstance(wanted, str):
        assert found.decode() == wanted
    elif isinstance(wanted, tuple) and isinstance(wanted[0], str):
        assert [each.decode() for each in found] == list(wanted)
    else:
        assert found == (list(wanted) if isinstance(wanted, tuple) else int(wanted))


@pytest.mark.parametrize(
    "value",
    [0, 1, -1, 127, 128, -(2**63), 2**63 - 1, True, 0.5, -0.0, float("-inf"), "", "é", (1, -2),
     (0.5, 1.0), ("a", "b")],
)  # fmt: skip
def test_every_kind_of_attribute_is_read_back(value: Any) -> None:
    program = lowered(check(Source("n.loom", TINY)).networks["n"].graph, {})
    program.steps[0].attributes = {"given": value}
    header = {"ir_version": 10, "opset": 21, "producer_name": "", "producer_version": ""}
    content = b"".join(each.read() for each in model_pieces(program, header, {}, {}))
    (attribute,) = onnx.load_from_string(content).graph.node[0].attribute
    assert attribute.type  # a reader decides by it which field holds the value
    _same_attribute(program.steps[0], attribute)
    kinds = {bool: int, list: tuple, bytes: str}
    assert kinds.get(type(value), type(value)) is kinds.get(
        type(onnx.helper.get_attribute_value(attribute)),
        type(onnx.helper.get_attribute_value(attribute)),
    )


TINY = "network n {\n input image: float32[N, 1, 4, 4]\n head y = relu\n}\n"


def test_lengths_are_known_before_the_bytes_are(graph: Graph) -> None:
    program, _ = emit_onnx.program(graph, randomised(graph))
    for piece in files.pieces_of_one_file(program, {}):
        content = piece.read()
        size = content.nbytes if isinstance(content, memoryview) else len(content)
        assert size == piece.length


# --- Weights outside -----------------------------------------------------------------------------


def test_weights_in_a_second_file_give_the_same(graph: Graph, tmp_path: Path) -> None:
    weights = randomised(graph)
    program, _ = emit_onnx.program(graph, weights)
    written = files.write_model(tmp_path / "m.onnx", program, {}, external=True)
    assert [each.name for each in written] == ["m.onnx", "m.onnx.data"]
    onnx.checker.check_model(str(written[0]), full_check=True)
    model = onnx.load(str(written[0]), load_external_data=False)
    outside = [each for each in model.graph.initializer if each.data_location == 1]
    assert outside
    for tensor in outside:
        entries = {each.key: each.value for each in tensor.external_data}
        assert entries["location"] == "m.onnx.data"
        assert int(entries["offset"]) % 4096 == 0
    expected = _outputs(emit_onnx.model_bytes(graph, weights), graph)
    for name, array in _outputs(written[0], graph).items():
        assert numpy.array_equal(array, expected[name])


def test_beyond_the_limit_of_one_file_weights_go_outside(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, _ = emit_onnx.program(graph, randomised(graph))
    size = sum(each.length for each in files.pieces_of_one_file(program, {}))
    path = tmp_path / "m.onnx"
    monkeypatch.setattr(files, "LARGEST_FILE", size)
    assert len(files.write_model(path, program, {})) == 1
    monkeypatch.setattr(files, "LARGEST_FILE", size - 1)
    assert len(files.write_model(path, program, {})) == 2


@pytest.mark.slow
def test_a_model_of_more_than_two_gigabytes(tmp_path: Path) -> None:
    text = "network n {\n input x: float32[N, 24000]\n head y = linear(24000, bias=false)\n}\n"
    graph = check(Source("n.loom", text)).networks["n"].graph
    weights = {"y.weight": numpy.eye(24000, dtype="float32")}
    program, _ = emit_onnx.program(graph, weights)
    model, data = files.write_model(tmp_path / "m.onnx", program, {})
    assert data.stat().st_size > 2**31
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    x = numpy.random.default_rng(0).normal(size=(1, 24000)).astype("float32")
    assert numpy.array_equal(session.run(None, {"x": x})[0], x)


# --- By reference --------------------------------------------------------------------------------


def test_a_model_can_refer_to_the_checkpoint(graph: Graph, checkpoint: Path) -> None:
    weights = load(checkpoint, graph)
    program, changes = emit_onnx.program(graph, weights, fold=False)
    assert not changes
    model = checkpoint.with_name("m.onnx")
    assert files.write_model(model, program, {}, by_reference=True) == [model]
    assert model.stat().st_size < checkpoint.stat().st_size / 10
    onnx.checker.check_model(str(model), full_check=True)
    expected = _outputs(emit_onnx.model_bytes(graph, weights), graph)
    for name, array in _outputs(model, graph).items():
        assert numpy.allclose(array, expected[name], rtol=1e-4, atol=1e-5)


def test_a_model_cannot_refer_to_what_is_not_below_it(
    graph: Graph, checkpoint: Path, tmp_path: Path
) -> None:
    program, _ = emit_onnx.program(graph, load(checkpoint, graph), fold=False)
    with pytest.raises(Failed) as refused:
        files.write_model(tmp_path / "elsewhere" / "m.onnx", program, {}, by_reference=True)
    assert refused.value.diagnostics[0].code == "E617"
    assert not (tmp_path / "elsewhere").exists()


def test_an_export_by_reference_needs_neither_numpy_nor_onnx(checkpoint: Path) -> None:
    model = checkpoint.with_name("m.onnx")
    script = (
        "import sys\n"
        "from netloom.cli.exporting import export_plainly, plain_arguments\n"
        f"given = [{str(SPEC)!r}, '-w', {str(checkpoint)!r}, '-o', {str(model)!r}]\n"
        "given += ['--by-reference', '--no-verify']\n"
        "assert export_plainly(plain_arguments(given)) == 0\n"
        "heavy = {'numpy', 'onnx', 'torch', 'typer', 'rich', 'onnxruntime', 'dataclasses'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr
    assert model.exists()


# --- All or nothing ------------------------------------------------------------------------------


def _full_disk() -> Iterator[bytes]:
    yield b"x" * 100_000
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_two_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"old a")
    second.write_bytes(b"old b")
    with pytest.raises(Failed) as refused:
        write_together({first: [b"new a"], second: _full_disk()})
    assert refused.value.diagnostics[0].code == "E005"
    assert (first.read_bytes(), second.read_bytes()) == (b"old a", b"old b")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]
    write_together({first: [b"new a"], second: [b"new", b" b"]})
    assert (first.read_bytes(), second.read_bytes()) == (b"new a", b"new b")


# --- Checkpoints ---------------------------------------------------------------------------------


def test_checkpoints_are_read_as_their_library_reads_them(tmp_path: Path) -> None:
    generator = numpy.random.default_rng(0)
    arrays = {
        f"{dtype}.{index}": generator.normal(size=shape).astype(dtype)
        for dtype in ("float32", "float64", "float16", "int64", "int32", "uint8", "bool")
        for index, shape in enumerate([(), (0,), (3,), (2, 3), (1, 2, 0, 4)])
    }
    path = tmp_path / "c.safetensors"
    save_file(arrays, path, {"note": "more"})
    found = Checkpoint(path)
    library = load_file(path)
    assert set(found) == set(library) == set(arrays)
    for name, array in library.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert numpy.array_equal(found[name], array)


def test_a_checkpoint_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_file({"a": numpy.arange(6, dtype="float32"), "b": numpy.zeros(2, "int64")}, path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(Failed) as refused:
            Checkpoint(path)
        assert refused.value.diagnostics[0].code == "E602"


def _entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"[1]",
        b'"text"',
        {"a": 1},
        {"a": {}},
        {"a": _entry("F33")},
        {"a": _entry(shape=[3])},
        {"a": _entry(shape=[-2])},
        {"a": _entry(shape=["2"])},
        {"a": _entry(shape=2)},
        {"a": _entry(offsets=[8, 0])},
        {"a": _entry(offsets=[-8, 0])},
        {"a": _entry(offsets=[0])},
        {"a": _entry(offsets=[4, 12])},
        {"a": _entry(), "b": _entry()},
        {"a": _entry(offsets=[0, 8]), "b": _entry(offsets=[4, 12])},
        {"a": _entry(shape=[2**62, 4], offsets=[0, 2**66])},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(header: Any, tmp_path: Path) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "c.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 8)
    with pytest.raises(Failed) as refused:
        Checkpoint(path)
    assert refused.value.diagnostics[0].code == "E602"


def test_another_element_type_is_named(graph: Graph, tmp_path: Path) -> None:
    weights = {name: array.astype("float16") for name, array in randomised(graph).items()}
    save_file(weights, tmp_path / "c.safetensors")
    with pytest.raises(Failed) as refused:
        load(tmp_path / "c.safetensors", graph)
    (found,) = refused.value.diagnostics
    assert found.code == "E603"
    assert "netloom import-weights" in (found.help or "")


# --- The command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("run --no-verify", {"target": "run"}),
        ("run -w w -n n --no-verify", {"target": "run", "weights": "w", "network": "n"}),
        ("run --out o --no-verify", {"target": "run", "out": "o"}),
        ("--no-verify run --no-fold --explain", {"target": "run", "fold": False, "explain": True}),
        ("run --by-reference --no-verify", {"target": "run", "by_reference": True}),
        ("run --external --no-verify", {"target": "run", "external": True}),
        ("run", None),
        ("run --no-verify --help", None),
        ("run --no-verify --set a=1", None),
        ("run --no-verify --weights=w", None),
        ("run --no-verify -w", None),
        ("run --no-verify --external --by-reference", None),
        ("run another --no-verify", None),
        ("--no-verify", None),
    ],
)  # fmt: skip
def test_plain_arguments_are_understood_and_others_left_to_the_option_parser(
    given: str, understood: dict[str, Any] | None
) -> None:
    assert plain_arguments(given.split()) == understood


def test_both_ways_into_the_command_write_the_same(
    checkpoint: Path, netloom: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    plain, parsed = checkpoint.with_name("plain.onnx"), checkpoint.with_name("parsed.onnx")
    common = ["export", str(SPEC), "--no-verify", "--explain"]
    first = netloom(*common, "-w", str(checkpoint), "-o", str(plain))
    second = netloom(*common, f"--weights={checkpoint}", f"--out={parsed}")
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout
    assert "into the weights of" in first.stdout
    assert plain.read_bytes() == parsed.read_bytes()
