"""Receptive fields of whole networks: against experiments, and against published numbers."""

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
from oracles.networks import NETWORKS

every_network = pytest.mark.parametrize("case", NETWORKS, ids=str)


@every_network
def test_fields_are_what_changes_the_output(case: Case) -> None:
    compare_fields(case, exact_at_borders=False)


@every_network
def test_the_other_facts_hold_too(case: Case) -> None:
    compare_shapes(case)
    compare_parameters(case)
    compare_macs(case)


@every_network
def test_what_is_emitted_computes_the_same(case: Case) -> None:
    compare_emitted_pytorch(case)
    compare_training(case)
    compare_onnx(case)
