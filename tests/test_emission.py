"""What is emitted: source that stands on its own, models without what only training needs."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netloom import __version__
from netloom.compile import Network, check, check_file
from netloom.diagnostics import Source
from netloom.emit import onnx as emit_onnx
from netloom.emit import stages
from netloom.emit import torch as emit_torch
from netloom.emit.names import MODULE_NAMES, RESERVED, identifier
from netloom.emit.torch import library
from netloom.emit.weights import expected, initial
from netloom.ir.dims import evaluate_to_int
from netloom.passes.admissible import small_sizes
from netloom.runtime.verify import randomised, verify
from specimens import ROOT, SPECS

STRAIN = ROOT / "tests" / "specs" / "strain.loom"
TRAPS = ROOT / "tests" / "specs" / "traps.loom"

NETWORKS: dict[str, Network] = {
    name: network
    for path in (*SPECS, STRAIN, TRAPS)
    for name, network in check_file(path).networks.items()
}

every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
@pytest.mark.parametrize("stage", ["graph.txt", "fields.txt", "model.py", "model.onnx.txt"])
def test_stages_of_every_spec(path: Path, stage: str, golden: Callable[[str, str], None]) -> None:
    for name, network in check_file(path).networks.items():
        text = _stage_text(network, stage)
        golden(f"{name}/{stage}", text.replace(__version__, "VERSION"))


def _stage_text(network: Network, stage: str) -> str:
    graph = network.graph
    match stage:
        case "graph.txt":
            return stages.graph_text(network)
        case "fields.txt":
            return stages.fields_text(network)
        case "model.py":
            return emit_torch.source(graph)
    return emit_onnx.text(graph, initial(graph))


@every_network
def test_source_passes_ruff_in_lint_and_layout(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(emit_torch.source(network.graph), encoding="ascii")
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(path)]
        found = subprocess.run(ruff, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout


@every_network
def test_source_imports_torch_only_and_calls_nothing_else(network: Network) -> None:
    tree = ast.parse(emit_torch.source(network.graph))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    allowed = {"collections", "torch", "torch.nn.functional", "torchvision.ops"}
    assert imported <= allowed
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions == ["check_sizes"]
    assert called <= classes | {"super", "OrderedDict", "range", "check_sizes", "ValueError"}
    # Beside imports, classes and the check there is the docstring, and nothing that runs.
    kinds = {type(node) for node in tree.body[1:]}
    assert kinds <= {ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef}


@every_network
def test_state_dict_has_the_documented_keys(network: Network) -> None:
    state = emit_torch.module(network.graph).state_dict()
    wanted = {name: parameter.shape for name, parameter in expected(network.graph).items()}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == wanted


@every_network
def test_model_equals_module(network: Network) -> None:
    weights = randomised(network.graph)
    model = emit_onnx.model_bytes(network.graph, weights)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    proof = verify(network.graph, weights, model)
    assert proof.holds, proof.comparisons


@every_network
def test_emission_is_deterministic(network: Network) -> None:
    graph = network.graph
    first, second = (emit_onnx.model_bytes(graph, initial(graph), {"a": "1"}) for _ in range(2))
    assert first == second
    assert emit_torch.source(graph) == emit_torch.source(graph)


@every_network
def test_heads_are_those_of_the_mode(network: Network) -> None:
    graph = network.graph
    *_, sizes = small_sizes(graph)
    inputs = [
        torch.rand([evaluate_to_int(dim, sizes) for dim in value.type.shape])
        for value in graph.inputs
    ]
    module = emit_torch.module(graph)
    modes: list[Literal["train", "infer"]] = ["train", "infer"]
    for mode in modes:
        given = module.train(mode == "train")(*inputs)
        found = set(given) if isinstance(given, dict) else {graph.heads[0].name}
        assert found == {head.name for head in graph.heads_in(mode)}


def test_exports_have_neither_auxiliary_heads_nor_dropout() -> None:
    graph = NETWORKS["googlenet_digits"].graph
    model = onnx.load_from_string(emit_onnx.model_bytes(graph, initial(graph)))
    assert {head.name for head in graph.heads} > {each.name for each in model.graph.output}
    assert not any(node.op_type == "Dropout" for node in model.graph.node)
    names = [node.name for node in model.graph.node] + [t.name for t in model.graph.initializer]
    assert not any("aux" in name for name in names)


def test_exports_run_at_another_batch_size() -> None:
    graph = NETWORKS["lenet"].graph
    session = onnxruntime.InferenceSession(
        emit_onnx.model_bytes(graph, initial(graph)), providers=["CPUExecutionProvider"]
    )
    for batch in (1, 5):
        images = numpy.zeros((batch, 1, 32, 32), "float32")
        (logits, _) = session.run(None, {"image": images})
        assert logits.shape == (batch, 10)


@pytest.mark.parametrize("change", ["one weight", "no bias"])
def test_a_changed_model_is_found_out(change: str) -> None:
    graph = NETWORKS["lenet"].graph
    weights = randomised(graph)
    other = {name: array.copy() for name, array in weights.items()}
    if change == "one weight":
        other["f6.weight"][0, 0] += 0.01 * abs(other["f6.weight"]).max()
    else:
        other["logits.bias"][:] = 0
    assert not verify(graph, weights, emit_onnx.model_bytes(graph, other)).holds


def test_equal_calls_share_a_class_with_parameters_in_the_words_of_the_spec() -> None:
    source = emit_torch.source(NETWORKS["googlenet_digits"].graph)
    assert re.findall(r"^class (\w+)", source, re.MULTILINE) == [
        "Unit",
        "Auxiliary",
        "Inception",
        "GooglenetDigits",
    ]
    assert "self.inception4a = Inception(80, 32, 24, 48, 6, 12, 12)" in source


def test_names_of_modules_are_those_of_torch() -> None:
    names = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert names <= MODULE_NAMES


def test_the_classes_of_the_library_are_reserved() -> None:
    text = Path(library.__file__).read_text(encoding="utf-8")
    classes = {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    assert classes <= RESERVED


spec_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
nearly_reserved = st.sampled_from(sorted(RESERVED)).flatmap(
    lambda name: st.sampled_from([name, f"{name}_", f"{name}__", f"_{name}", f"x_{name}"])
)


@given(spec_names | nearly_reserved, spec_names | nearly_reserved)
def test_two_names_never_become_one_identifier(left: str, right: str) -> None:
    assert (identifier(left) == identifier(right)) == (left == right)
    for name in (left, right):
        assert identifier(name).isidentifier()
        assert identifier(name) not in RESERVED
        assert not identifier(name).startswith("_")


def test_parameters_that_are_pairs_in_some_calls_say_so() -> None:
    text = """
        block unit(out: int, kernel: pair, stride: pair = 1, pad: pair = 0) {
            conv(out, kernel, stride=stride, pad=pad) -> relu
        }
        network net {
            input x: float32[N, 3, 32, 32]
            unit(4, [1, 7], pad=[0, 3])
            unit(8, 3, stride=2, pad=1)
            head y = unit(4, [3, 1], stride=2, pad=1)
        }
    """
    source = emit_torch.source(check(Source("net.loom", text)).networks["net"].graph)
    assert "kernel: int | tuple[int, int]" in source
    assert "= (" not in source


@pytest.mark.parametrize("body", [" -> ".join(["tanh"] * 10_000), "repeat 10_000 { tanh }"])
def test_ten_thousand_layers_are_imported_and_run(body: str) -> None:
    text = f"network net {{ input x: float32[N, 2]\n{body}\nhead y = relu }}"
    (network,) = check(Source("net.loom", text)).networks.values()
    scope: dict[str, Any] = {}
    exec(compile(emit_torch.source(network.graph), "net.py", "exec"), scope)
    assert scope["Net"]()(torch.ones(3, 2)).shape == (3, 2)
