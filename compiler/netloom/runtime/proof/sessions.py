"""The two runs of ONNX Runtime that are compared: its optimiser off, and on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from netloom.ir.graph import Graph
from netloom.runtime.proof.cases import Case, activation_bytes, work
from netloom.runtime.proof.isolated import Interface, IsolatedRuntime, Limits
from netloom.runtime.proof.model_file import ModelFile

Array = numpy.ndarray[Any, Any]

SESSIONS = {"optimiser off": False, "optimiser on": True}
"""Sessions by the name that is told; errors stand in this order."""

_NUMPY_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


def open_both(runtime: IsolatedRuntime, model: Path, exposed: Sequence[str] = ()) -> Interface:
    """Opens a model with the optimiser off and on; what it takes and gives."""
    first, second = SESSIONS.items()
    interface = runtime.open(first[0], model, first[1], exposed)
    runtime.open(second[0], model, second[1], exposed)
    return interface


def feeds(interface: Interface, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs that a model takes, in its own types."""
    return {
        each.name: inputs[each.name].astype(
            _NUMPY_TYPES.get(each.type, inputs[each.name].dtype), copy=False
        )
        for each in interface.inputs
    }


def ample(
    graph: Graph,
    model: ModelFile,
    cases: Sequence[Case],
    memory: int | None = None,
    seconds: float | None = None,
) -> Limits:
    """The limits that are given, else some that no sound model comes near.

    Measured: LeNet takes 0.4 GiB of addresses, a U-Net of 118 MB 1.0 GiB, VGG-16 of 527 MB 2.3
    GiB. Every machine that runs PyTorch does more than 100 million MACs a second.
    """
    activations = max((activation_bytes(graph, case.sizes) for case in cases), default=0)
    macs = max((work(graph, case.sizes) for case in cases), default=0)
    enough = 4 * 2**30 + 10 * model.bytes + 10 * activations
    return Limits(memory or enough, seconds or 60 + macs / 1e8)
