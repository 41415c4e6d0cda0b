"""Every operator against PyTorch, for each fact that the compiler states about it."""

import ast
from pathlib import Path

import pytest
from comparisons import compare_fields, compare_macs, compare_parameters, compare_shapes
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
