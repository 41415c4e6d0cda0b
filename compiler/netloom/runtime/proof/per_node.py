"""The first layer whose values differ: every tensor of the model that bears a value's name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from netloom.emit.weights import Weights
from netloom.ir.graph import Graph, Layer, Value
from netloom.runtime.proof.cases import Case, draw
from netloom.runtime.proof.interpreter import Interpreter
from netloom.runtime.proof.isolated import IsolatedRuntime
from netloom.runtime.proof.model_file import ModelFile, on_disk, read_model
from netloom.runtime.proof.policy import POLICIES, Precision, Verdict, error_of, errors_json, judge
from netloom.runtime.proof.references import TorchType, or_none, own_type
from netloom.runtime.proof.sessions import SESSIONS, ample, feeds, open_both

Array = numpy.ndarray[Any, Any]


class NodeComparison(NamedTuple):
    """One value of the network, with the errors of the model's tensor of that name.

    `place` is where its layer stands in the spec, as `file:line`.
    """

    value: str
    layer: str
    operator: str
    place: str
    shape: tuple[int, ...]
    torch_error: float | None
    plain_error: float
    optimised_error: float
    verdict: Verdict

    @property
    def onnx_error(self) -> float:
        """The larger error of ONNX Runtime."""
        return max(self.plain_error, self.optimised_error)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data; an error is null where nothing could be compared."""
        return {
            "value": self.value,
            "layer": self.layer,
            "operator": self.operator,
            "place": self.place,
            "shape": list(self.shape),
            **errors_json(self.torch_error, self.plain_error, self.optimised_error),
            "verdict": self.verdict,
        }


class NodeProof(NamedTuple):
    """The values of one case in order; `absent` are those that the model does not contain."""

    case: Case
    comparisons: tuple[NodeComparison, ...]
    absent: tuple[str, ...]

    @property
    def first(self) -> NodeComparison | None:
        """The first value that differs."""
        return next((each for each in self.comparisons if each.verdict == "DIFFERENT"), None)

    @property
    def largest(self) -> NodeComparison | None:
        """The value of the largest error."""
        return max(self.comparisons, key=lambda each: each.onnx_error, default=None)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "sizes": dict(self.case.sizes),
            "inputs": self.case.inputs,
            "first": self.first and self.first.value,
            "absent": list(self.absent),
            "values": [each.as_json() for each in self.comparisons],
        }


def per_node(
    graph: Graph,
    weights: Weights,
    model: Path | bytes,
    case: Case,
    seed: int = 0,
    precision: Precision | None = None,
    *,
    memory: int | None = None,
    seconds: float | None = None,
) -> NodeProof:
    """Compares all tensors of a model that bear the name of a value, layer by layer.

    All of them become outputs, so the optimiser does less than it does to the model itself. Raises
    `Failed` as `verify` does.
    """
    with on_disk(model) as path:
        file = read_model(path)
        precision = precision or file.precision
        inputs = draw(graph, case, precision, seed)
        tensors = _tensors(graph, file)
        wanted = list(tensors.values())
        with IsolatedRuntime(ample(graph, file, [case], memory, seconds)) as runtime:
            exposed = [name for name in wanted if name not in file.outputs]
            given = feeds(open_both(runtime, path, exposed), inputs)
            runs = [
                runtime.run(session, given, wanted, f"all layers at {case}") for session in SESSIONS
            ]
    truths = _values(graph, weights, inputs, "float64")
    owns = or_none(lambda: _values(graph, weights, inputs, own_type(precision)))
    compared = []
    for layer in graph.layers_in("infer"):
        for value in layer.results:
            if value.name in tensors:
                truth = truths[value.name]
                own = error_of(owns[value.name], truth) if owns else None
                errors = tuple(error_of(run[tensors[value.name]], truth) for run in runs)
                verdict = judge(POLICIES[precision], truth, own, errors, case.inputs == "large")
                compared.append(_comparison(layer, value, truth.shape, own, errors, verdict))
    absent = tuple(name for name in truths if name not in tensors)
    return NodeProof(case, tuple(compared), absent)


def _tensors(graph: Graph, file: ModelFile) -> dict[str, str]:
    """The values that are in the model, by the names of their tensors: their own, or a head's."""
    heads = {head.value.name: head.name for head in graph.heads_in("infer")}
    names = [value.name for layer in graph.layers_in("infer") for value in layer.results]
    found = {name: name if name in file.computed else heads.get(name, "") for name in names}
    return {name: tensor for name, tensor in found.items() if tensor in file.computed}


def _values(
    graph: Graph, weights: Weights, inputs: Mapping[str, Array], precision: TorchType
) -> dict[str, Array]:
    """All values that layers make in inference, by name."""
    return {
        value.name: tensor.numpy()
        for layer, results in Interpreter(graph, weights, precision).run(inputs)
        for value, tensor in zip(layer.results, results, strict=True)
    }


def _comparison(
    layer: Layer,
    value: Value,
    shape: tuple[int, ...],
    own: float | None,
    errors: tuple[float, ...],
    verdict: Verdict,
) -> NodeComparison:
    source, start = layer.span.source, layer.span.start
    place = f"{source.path}:{source.position(start)[0]}"
    plain, optimised = errors
    return NodeComparison(
        value.name, layer.name, layer.op.name, place, shape, own, plain, optimised, verdict
    )
