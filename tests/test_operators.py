"""Every operator against PyTorch, for each fact that the compiler states about it."""

import ast
from pathlib import Path

import pytest
from comparisons import (
    compare_emitted_pytorch,
    compare_fields,
    compare_macs,
    compare_onnx,
    compare_parameters,
    compare_shapes,
    compare_training,
)
from oracles.case import Case
from oracles.operators import CASES

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
