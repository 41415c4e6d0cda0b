"""`netloom verify` as a user sees it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import netloom.cli.verify  # noqa: F401  registers the command
from netloom.cli.app import app
from netloom.compile import Spec, check_file
from netloom.emit import onnx as emit_onnx
from netloom.runtime.metadata import model_metadata
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
