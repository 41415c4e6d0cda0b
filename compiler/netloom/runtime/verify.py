"""The proof that an exported model equals the trained network.

PyTorch in float64 is the oracle. PyTorch in float32 shows how much of a difference is rounding;
ONNX Runtime is run with its optimiser off and on. Errors are the largest difference of an output,
divided by the largest magnitude of the oracle's.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.torch import module
from netloom.emit.weights import Weights, expected
from netloom.extras import need
from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph, Value
from netloom.passes.admissible import small_sizes
from netloom.runtime.sessions import open_session

Array = numpy.ndarray[Any, Any]

PASSES_BELOW = 1e-5
ROUNDING_FACTOR = 200
NEVER_ABOVE = 1e-3
"""A model passes below 1e-5, or within 200 times PyTorch's own float32 error and below 1e-3.

Measured on 7,294 random networks: the worst ratio was 160 (docs/verification.md).
"""


@dataclass(frozen=True)
class Comparison:
    """One head at one size of the input: both errors and the verdict."""

    head: str
    sizes: Mapping[str, int]
    inputs: str
    torch_error: float
    onnx_error: float
    same: bool

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Proof:
    """All comparisons of a model with its network."""

    comparisons: tuple[Comparison, ...]

    @property
    def holds(self) -> bool:
        """Whether every comparison passed."""
        return all(comparison.same for comparison in self.comparisons)

    @property
    def torch_error(self) -> float:
        """The largest error of PyTorch in float32."""
        return max(comparison.torch_error for comparison in self.comparisons)

    @property
    def onnx_error(self) -> float:
        """The largest error of ONNX Runtime."""
        return max(comparison.onnx_error for comparison in self.comparisons)


def verify(graph: Graph, weights: Weights, model: Path | bytes, seed: int = 0) -> Proof:
    """Compares a model with the network and weights that it is said to be.

    Random inputs, and inputs that are negative throughout, at two sizes. Raises `Failed`: E606 if
    the model has other inputs or outputs than the network, E605 if there are no sizes to try.
    """
    torch = need("torch", "train")
    sessions = [open_session(model, optimise=False), open_session(model, optimise=True)]
    heads = graph.heads_in("infer")
    _check_interface(sessions[0], graph)
    single, double = module(graph).eval(), module(graph).eval()
    state = {name: torch.from_numpy(numpy.ascontiguousarray(w)) for name, w in weights.items()}
    single.load_state_dict(state)
    double.load_state_dict(state)
    double.double()
    generator = numpy.random.default_rng(seed)
    comparisons = []
    for sizes in small_sizes(graph):
        for kind in ("random", "negative"):
            inputs = {value.name: _draw(value, sizes, kind, generator) for value in graph.inputs}
            oracle = _run_torch(double, graph, inputs, torch.float64)
            rounded = _run_torch(single, graph, inputs, torch.float32)
            runs = [_run_onnx(session, inputs) for session in sessions]
            for head in heads:
                truth = oracle[head.name]
                own = _error(rounded[head.name], truth)
                other = max(_error(run[head.name], truth) for run in runs)
                comparisons.append(
                    Comparison(head.name, sizes, kind, own, other, _passes(truth, own, other))
                )
    if not comparisons:
        message = f"no small sizes were found at which network `{graph.name}` can be run"
        help = "the proof needs some; do the sizes of its inputs contradict one another?"
        raise Failed(Diagnostic("E605", message, help=help))
    return Proof(tuple(comparisons))


def randomised(graph: Graph, seed: int = 0) -> Weights:
    """Weights for a proof without training; statistics and scales are random too.

    Their size keeps a deep network between two ends: with larger weights (2 / fan_in, constants of
    0.5) rounding grows until MobileNetV3 differs from itself by 1e-3 from one precision to the
    next, with smaller ones the input no longer matters to EfficientNet.
    """
    generator = numpy.random.default_rng(seed)
    weights: dict[str, Array] = {}
    for name, parameter in expected(graph).items():
        if parameter.dtype != "float32":
            weights[name] = numpy.zeros(parameter.shape, parameter.dtype)
        elif len(parameter.shape) > 1:
            fan_in = numpy.prod(parameter.shape[1:])
            drawn = generator.normal(0, (1.7 / fan_in) ** 0.5, parameter.shape)
            weights[name] = drawn.astype("float32")
        else:
            is_factor = name.endswith(("running_var", ".weight"))
            low, high = (0.5, 1.5) if is_factor else (-0.2, 0.2)
            weights[name] = generator.uniform(low, high, parameter.shape).astype("float32")
    return weights


def _check_interface(session: Any, graph: Graph) -> None:
    found = {each.name for each in session.get_outputs()}
    wanted = {head.name for head in graph.heads_in("infer")}
    if found != wanted:
        message = (
            f"the model gives {_listed(found)}, but network `{graph.name}` makes {_listed(wanted)}"
        )
        raise Failed(Diagnostic("E606", message, help="export it again from this spec"))
    unknown = {each.name for each in session.get_inputs()} - {v.name for v in graph.inputs}
    if unknown:
        message = f"the model takes {_listed(unknown)}, which network `{graph.name}` does not"
        raise Failed(Diagnostic("E606", message, help="export it again from this spec"))


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _draw(
    value: Value, sizes: Mapping[str, int], kind: str, generator: numpy.random.Generator
) -> Array:
    shape = tuple(evaluate_to_int(dim, sizes) for dim in value.type.shape)
    if value.type.dtype != "float32":
        return generator.integers(0, 2, shape).astype(value.type.dtype)
    drawn = generator.normal(size=shape)
    return (-abs(drawn) if kind == "negative" else drawn).astype("float32")


def _run_torch(
    network: Any, graph: Graph, inputs: Mapping[str, Array], dtype: Any
) -> dict[str, Array]:
    torch = need("torch", "train")
    tensors = [torch.from_numpy(inputs[value.name]) for value in graph.inputs]
    with torch.no_grad():
        given = network(*(t.to(dtype) if t.is_floating_point() else t for t in tensors))
    outputs = given if isinstance(given, dict) else {graph.heads[0].name: given}
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def _run_onnx(session: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    names = [each.name for each in session.get_outputs()]
    taken = {each.name for each in session.get_inputs()}
    feeds = {name: array for name, array in inputs.items() if name in taken}
    try:
        arrays = session.run(names, feeds)
    except Exception as problem:  # ONNX Runtime raises a class of its own for each kind
        reason = str(problem).splitlines()[0]
        raise Failed(Diagnostic("E606", f"ONNX Runtime cannot run the model: {reason}")) from None
    return dict(zip(names, arrays, strict=True))


def _error(found: Array, truth: Array) -> float:
    if found.shape != truth.shape:
        return float("inf")
    if found.size == 0:
        return 0.0
    if not numpy.issubdtype(truth.dtype, numpy.floating):
        return 0.0 if numpy.array_equal(found, truth) else float("inf")
    if not numpy.array_equal(numpy.isfinite(found), numpy.isfinite(truth)):
        return float("inf")
    difference = numpy.abs(found.astype("float64") - truth)
    largest = float(numpy.abs(truth).max())
    return float(difference.max()) / (largest or 1.0)


def _passes(truth: Array, own: float, other: float) -> bool:
    if not numpy.issubdtype(truth.dtype, numpy.floating):
        return other == 0
    return other <= PASSES_BELOW or other <= min(ROUNDING_FACTOR * own, NEVER_ABOVE)
