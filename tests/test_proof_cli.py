"""`netloom verify` as a user sees it."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner

import netloom.cli.verify  # noqa: F401  registers the command
from netloom.cli.app import app
from netloom.compile import Spec, check_file
from netloom.emit import onnx as emit_onnx
from netloom.runtime.metadata import model_metadata
from netloom.runtime.precision import int8
from netloom.runtime.verify import randomised
from specimens import ROOT

LENET = ROOT / "specs" / "lenet.loom"


def verify(*arguments: str | Path) -> Any:
    environment = {"COLUMNS": "80", "NO_COLOR": "1"}
    return CliRunner(env=environment).invoke(app, ["verify", *map(str, arguments)])


def exported(folder: Path, spec: Spec, seed: int = 0) -> Path:
    """A model of random weights, as `netloom compile` would name its origin."""
    graph = spec.networks["lenet"].graph
    path = folder / "lenet.onnx"
    metadata = model_metadata(spec, "lenet")
    path.write_bytes(emit_onnx.model_bytes(graph, randomised(graph, seed), metadata))
    return path


def test_the_table_lines_up(tmp_path: Path) -> None:
    found = verify(LENET, "--model", exported(tmp_path, check_file(LENET)), "--per-node")
    assert (found.exit_code, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    paths = [line for line in lines if str(tmp_path) in line]
    assert max(len(line) for line in lines if line not in paths) <= 80
    rows = [line for line in lines if line.endswith("same")]
    assert len(rows) == 12
    assert len({len(line) for line in rows}) == 1
    assert any(line.startswith("the model equals the network: largest error") for line in lines)
    assert "all 13 values are the same" in found.stdout


LONG = """
network net {
    input image: float32[N, 2, height, width]
    target label: int64[N]
    encoder_of_the_image_pyramid {
        first_stage_of_the_pyramid { conv(4, 3, pad=1) -> relu -> conv(4, 3, pad=1) -> sigmoid }
    }
    head probabilities_of_every_pixel_of_the_image = conv(2, 1) -> softmax
    head one = global_avgpool -> flatten -> linear(1) -> softmax
}
"""


def _blocks(text: str) -> str:
    inner = "block inner() { stem_of_the_second_stage = conv(4, 3, pad=1)  relu }"
    outer = "block outer() { second_stage_of_the_pyramid = inner() }"
    named = "    encoder_of_the_image_pyramid = outer()\n"
    return f"{inner}\n{outer}\n" + "".join(
        named if line.startswith("    encoder") else f"{line}\n"
        for line in text.splitlines()
        if not line.startswith("        first") and line != "    }"
    )


def test_long_names_and_words_fit_into_80_columns(tmp_path: Path) -> None:
    """Only names are folded; every row begins in a line of its own and has all of its numbers."""
    path = tmp_path / "n.loom"
    path.write_text(_blocks(LONG))
    graph = check_file(path).networks["net"].graph
    model = tmp_path / "m.onnx"
    model.write_bytes(emit_onnx.model_bytes(graph, randomised(graph, 1)))
    found = verify(path, "--model", model, "--per-node")
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    words = [line for line in lines if line.startswith("`")]  # a name in a sentence is not cut
    assert max(len(line) for line in lines if str(tmp_path) not in line and line not in words) <= 80
    comparisons = [line for line in lines if line.endswith("DIFFERENT")]
    assert comparisons
    assert {line.index("DIFFERENT") for line in comparisons} == {len(comparisons[0]) - 9}
    assert all(line.endswith("says nothing") for line in lines if line.startswith("  one"))
    assert "N=1, height=1, width=2" in lines
    joined = "".join(line.strip() for line in lines)
    assert "encoder_of_the_image_pyramid.second_stage_of_the_pyramid" in joined
    rows = [line for line in lines if "  n.loom:" in line]
    assert 1 < len(rows) <= 10
    assert all(len(line.split()) == 6 for line in rows)


def test_int8_is_reported_layer_by_layer(tmp_path: Path) -> None:
    """What is far off is not called the same."""
    path = tmp_path / "n.loom"
    path.write_text(
        "network net { input image: float32[N, 1, 8, 8]\n"
        " head out = conv(4, 3) -> relu -> conv(4, 3) -> flatten -> linear(3) }"
    )
    graph = check_file(path).networks["net"].graph
    content = emit_onnx.model_bytes(graph, randomised(graph))
    feeds = [{"image": numpy.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype("float32")}]
    model = tmp_path / "m.onnx"
    model.write_bytes(int8.quantised(content, feeds).content)
    found = verify(path, "--model", model, "--per-node")
    assert found.exit_code == 0
    told = " ".join(found.stdout.split())
    assert "values are the same; the largest" not in told
    assert "are reported, not judged; the largest error, " in told
    rows = [line for line in found.stdout.splitlines() if "  n.loom:2  " in line]
    assert rows
    errors = [max(float(each) for each in line.split()[-2:]) for line in rows]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-3


def test_a_weight_of_other_bits_is_told(tmp_path: Path) -> None:
    spec = check_file(LENET)
    graph = spec.networks["lenet"].graph
    path = exported(tmp_path, spec)
    content = bytearray(path.read_bytes())
    content[content.index(randomised(graph)["c5.weight"].tobytes())] ^= 1
    path.write_bytes(content)
    found = verify(LENET, "--model", path)
    assert found.exit_code == 1
    assert "the outputs are equal, but the weights DIFFER" in found.stdout
    assert "9 of 10 weights are the network's, bit for bit\n" in found.stdout
    assert "error[E619]: `c5.weight` of the model: 1 number differs" in found.stderr
    document = json.loads(verify(LENET, "--model", path, "--json").stdout)
    assert document["ok"] is False
    assert document["weights"] == {"all": 10, "equal": 9, "different": {"c5.weight": 1}}


def test_the_first_layer_that_differs_is_named(tmp_path: Path) -> None:
    spec = check_file(LENET)
    found = verify(LENET, "--model", exported(tmp_path, spec, seed=1), "--per-node")
    assert found.exit_code == 1
    assert "the model DIFFERS" in found.stdout
    verdict = " ".join(found.stdout.split())
    assert "13 of 13 values differ; the first is `c1.conv`: conv at " in verdict
    assert "lenet.loom:9, [1, 6, 28, 28]" in verdict
    assert max(map(len, found.stdout.splitlines())) <= max(80, len(str(tmp_path)) + 60)


def test_json_has_every_comparison(tmp_path: Path) -> None:
    model = exported(tmp_path, check_file(LENET), seed=1)
    found = verify(LENET, "--model", model, "--per-node", "--json")
    assert found.exit_code == 1
    document = json.loads(found.stdout)
    assert document["ok"] is False
    assert document["precision"] == "float32"
    assert document["left_out"] == []
    assert len(document["comparisons"]) == 12
    for each in document["comparisons"]:
        assert each["verdict"] == "DIFFERENT"
        assert each["onnx_error"] == max(each["plain_error"], each["optimised_error"])
    assert document["per_node"]["first"] == "c1.conv"
    assert document["per_node"]["values"][0]["place"].endswith("lenet.loom:9")


def test_a_model_of_another_text_is_noted(tmp_path: Path) -> None:
    model = exported(tmp_path, check_file(LENET))
    other = tmp_path / "lenet.loom"
    other.write_text(LENET.read_text().replace("epochs    20", "epochs    21"))
    found = verify(other, "--model", model)
    assert found.exit_code == 0
    assert "the model says that it was made from another text of the spec" in found.stderr


def test_other_seeds_and_sizes_are_tried(tmp_path: Path) -> None:
    spec = ROOT / "specs" / "resnet_digits.loom"
    documents = [
        json.loads(verify(spec, "--json", "--size", "h=3,w=1", "--seed", seed).stdout)
        for seed in ("0", "1")
    ]
    for document in documents:
        assert document["ok"]
        sizes = {tuple(each["sizes"].items()) for each in document["comparisons"]}
        assert sizes == {(("N", batch), ("h", 3), ("w", 1)) for batch in (1, 3)}
    assert documents[0]["torch_error"] != documents[1]["torch_error"]


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "E604"), (b"not a model", "E604"), (None, "E001")]
)
def test_what_is_no_model_is_refused(content: bytes | None, code: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    found = verify(LENET, "--model", path)
    assert found.exit_code == 1
    assert f"error[{code}]" in found.stderr
    assert isinstance(found.exception, SystemExit)
    assert found.stdout == ""
