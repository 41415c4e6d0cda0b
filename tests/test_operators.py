"""Every operator against PyTorch, for each fact that the compiler states about it."""

import ast
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import generator
import oracles
from comparisons import (
    compare_attributes,
    compare_emitted_pytorch,
    compare_fields,
    compare_macs,
    compare_onnx,
    compare_parameters,
    compare_refusal,
    compare_shapes,
    compare_training,
    compiled,
)
from netloom.ir.op import Op
from oracles.case import Case
from oracles.operators import CASES
from oracles.refused import CONV, OTHERS, Refused


def test_oracles_share_no_code_with_the_compiler() -> None:
    for path in [*_sources(oracles), *_sources(generator)]:
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            assert not any(module.split(".")[0] == "netloom" for module in modules), path


def _sources(package: ModuleType) -> list[Path]:
    sources = list(Path(package.__path__[0]).rglob("*.py"))
    assert sources
    return sources


def _arguments_tried() -> dict[str, dict[str, set[Any]]]:
    """For each operator and argument, the values that some case gives it."""
    tried: dict[str, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    for case in CASES:
        for layer in compiled(case).graph.layers:
            for field in layer.op.signature():
                if not field.is_operand:
                    tried[layer.op.name][field.name].add(getattr(layer.op, field.name))
            tried[layer.op.name]  # an operator without arguments counts too
    return tried


def test_every_operator_has_a_case() -> None:
    assert set(_arguments_tried()) == set(Op.registry)


def test_every_argument_is_tried_at_its_default_and_at_another_value() -> None:
    tried = _arguments_tried()
    for name, operator in Op.registry.items():
        for field in operator.signature():
            if field.is_operand:
                continue
            values = tried[name][field.name]
            assert len(values) > 1, f"{name}({field.name}=) is tried with {values} only"
            assert field.required or field.default in values, f"{name}({field.name}=)"


def test_every_pair_is_tried_with_different_sides() -> None:
    for name, arguments in _arguments_tried().items():
        for argument, values in arguments.items():
            pairs = [value for value in values if isinstance(value, tuple)]
            assert not pairs or any(a != b for a, b in pairs), f"{name}({argument}=)"


every_case = pytest.mark.parametrize("case", CASES, ids=str)


@every_case
def test_shapes_are_those_of_pytorch(case: Case) -> None:
    compare_shapes(case)


@every_case
def test_parameters_are_those_of_pytorch(case: Case) -> None:
    compare_parameters(case)


@every_case
def test_macs_are_those_that_pytorch_counts(case: Case) -> None:
    compare_macs(case)


@every_case
def test_receptive_fields_are_what_changes_the_output(case: Case) -> None:
    compare_fields(case)


@every_case
def test_emitted_pytorch_computes_the_reference(case: Case) -> None:
    compare_emitted_pytorch(case)


@every_case
def test_emitted_pytorch_trains_like_the_reference(case: Case) -> None:
    compare_training(case)


@every_case
def test_onnx_runtime_computes_the_reference(case: Case) -> None:
    compare_onnx(case)


@every_case
def test_every_onnx_attribute_is_stated(case: Case) -> None:
    compare_attributes(case)


@pytest.mark.parametrize("refused", [*CONV, *OTHERS], ids=str)
def test_what_pytorch_cannot_run_is_a_mistake(refused: Refused) -> None:
    compare_refusal(refused)
