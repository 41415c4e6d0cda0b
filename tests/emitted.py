"""What is emitted for a random network, against the same network run by PyTorch in float64.

The policy is that of docs/verification.md: below 1e-5 of the largest value, or within 200 times
PyTorch's own rounding in float32 and below 1e-3. Where a network makes much of little, by dividing
by a small deviation or by choosing among equal values, no float32 can be held to that: then its
results may be as far off as those of the float64 network get when each layer rounds to float32.
"""

from collections.abc import Iterator
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from generator.description import Net, Sizes, number
from generator.observation import RealRun, Run, fits_at_all_sizes, run
from generator.text import spec
from generator.walk import Modules, Step
from netloom.compile import Network, check
from netloom.diagnostics import Failed, Source
from netloom.emit import onnx as emit_onnx
from netloom.emit import torch as emit_torch
from oracles.case import randomise

PASSES_BELOW, ROUNDING_FACTOR, NEVER_ABOVE = 1e-5, 200, 1e-3
ROUNDINGS = 4
"""How often the float64 network is run with rounding, to see how much that matters."""

TOLERATED = 100
"""Times what rounding does; layers of several sums round more than once."""

ABSOLUTE = {"sigmoid": "ONNX Runtime's is exact to 1e-7, not to 1e-7 of the result (1.31.1, CPU)"}
"""Operators that round as if their largest result were 1, and why."""

LEVELS = {
    "as it is": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "optimised": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class Rounding(Modules):
    """The layers of another run, whose results are off at random by float32's precision.

    That of the largest result, because a small one may be the difference of large numbers.
    """

    def __init__(self, of: Modules) -> None:
        super().__init__(of.device, of.dtype)
        self.of = of.of

    def __call__(self, step: Step, xs: list[Any]) -> tuple[Any, ...]:
        results = super().__call__(step, xs)
        least = 1.0 if step.operator in ABSOLUTE else 0.0
        factor = _cancellation(step, xs[0]) if step.operator in ("layernorm", "groupnorm") else 1.0
        return tuple(
            _rounded(each, least, factor) if each.is_floating_point() else each for each in results
        )


def _rounded(x: Tensor, least: float, factor: float) -> Tensor:
    largest = max(float(x.abs().max()), least) if x.numel() else least
    precision = torch.finfo(torch.float32).eps * factor
    return x + largest * precision * (2 * torch.rand_like(x) - 1)


def _cancellation(step: Step, x: Tensor) -> float:
    """How much larger the mean square is than the variance, where it is most.

    PyTorch and ONNX Runtime take the variance as E[x^2] - E[x]^2, which cancels where values are
    nearly equal (2.14.1 and 1.31.1, CPU).
    """
    if step.operator == "groupnorm":
        values = x.reshape(x.shape[0], step.arguments["groups"], -1)
    else:
        values = x.movedim(1, -1) if x.dim() == 4 else x
    square, variance = (values**2).mean(-1), values.var(-1, unbiased=False)
    return max(1.0, float((square / (variance + step.arguments.get("eps", 1e-5))).max()))


def emission_differences(net: Net) -> list[str]:
    """Where emitted PyTorch or ONNX, merged or not, gives other values than the oracle."""
    try:
        network = check(Source("net.loom", spec(net))).networks["net"]
    except Failed as failure:
        if not fits_at_all_sizes(net):
            return []
        return [f"refused: {each.code} {each.message}" for each in failure.diagnostics]
    modules = Modules(dtype=torch.float64)
    run(net, net.bindings[0], modules)
    for each in modules.of.values():
        randomise(each)
    weights = named_weights(network, modules)
    emitted = emit_torch.module(network.graph).eval()
    emitted.load_state_dict(weights)
    sessions = dict(_sessions(network, weights))
    found = []
    for index, sizes in enumerate(net.bindings):
        wanted = _run(net, modules, _inputs(net, sizes, negative=bool(index % 2)))
        outputs = _outputs(net, emitted, sessions, wanted)
        for head in net.heads:
            allowed = _allowed(net, head, outputs, wanted)
            for words, results in outputs.items():
                worst = error(results[head], wanted.run.heads[head].data)
                if worst > allowed:
                    found.append(f"emission: {words} is off by {worst:.1e} in {head} at {sizes}")
    return found


def _inputs(net: Net, sizes: Sizes, negative: bool) -> list[Tensor]:
    """Normal random numbers, or negative ones, that float32 can hold."""
    generator = torch.Generator().manual_seed(net.seed)
    shapes = [[number(side, sizes) for side in shape] for shape in net.inputs.values()]
    drawn = [torch.randn(shape, generator=generator).double() for shape in shapes]
    return [-each.abs() for each in drawn] if negative else drawn


def _run(net: Net, modules: Modules, inputs: list[Tensor]) -> RealRun:
    with torch.no_grad():
        return RealRun(Run(net, modules, inputs), modules, inputs)


def _sessions(
    network: Network, weights: dict[str, Tensor]
) -> Iterator[tuple[str, onnxruntime.InferenceSession]]:
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    for fold in (False, True):
        content = emit_onnx.model_bytes(network.graph, arrays, fold=fold)
        for words, level in LEVELS.items():
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = level
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
            yield f"ONNX {'merged' if fold else 'layer by layer'}, {words}", session


def _outputs(
    net: Net, emitted: torch.nn.Module, sessions: dict[str, Any], wanted: RealRun
) -> dict[str, dict[str, Tensor]]:
    given = [each.float() for each in wanted.inputs]
    with torch.no_grad():
        results = emitted(*given)
    found = {"PyTorch": results if isinstance(results, dict) else {net.heads[0]: results}}
    feed = {name: each.numpy() for name, each in zip(net.inputs, given, strict=True)}
    for words, session in sessions.items():
        read = {each.name: feed[each.name] for each in session.get_inputs()}
        arrays = session.run(list(net.heads), read)
        found[words] = dict(zip(net.heads, map(torch.from_numpy, arrays), strict=True))
    return found


def _allowed(net: Net, head: str, outputs: dict[str, dict[str, Tensor]], wanted: RealRun) -> float:
    truth = wanted.run.heads[head].data
    rounding = error(outputs["PyTorch"][head], truth)
    allowed = max(PASSES_BELOW, min(ROUNDING_FACTOR * rounding, NEVER_ABOVE))
    if all(error(each[head], truth) <= allowed for each in outputs.values()):
        return allowed
    return max(allowed, TOLERATED * _effect_of_rounding(net, head, wanted))


def _effect_of_rounding(net: Net, head: str, wanted: RealRun) -> float:
    """How far off the float64 network gets if each layer rounds to float32."""
    torch.manual_seed(net.seed)
    rounding = Rounding(wanted.modules)
    runs = [_run(net, rounding, wanted.inputs) for _ in range(ROUNDINGS)]
    truth = wanted.run.heads[head].data
    return max(error(each.run.heads[head].data, truth) for each in runs)


def error(found: Tensor, truth: Tensor) -> float:
    """The largest difference, by the largest value."""
    if found.shape != truth.shape:
        return float("inf")
    if not truth.numel():
        return 0
    largest = float(truth.abs().max()) or 1.0
    return float((found.double() - truth.double()).abs().max()) / largest


def named_weights(network: Network, modules: Modules) -> dict[str, Tensor]:
    """The oracle's weights by the names of the state dict."""
    return {
        f"{layer.name}.{name.removeprefix('layer.')}": tensor.float()
        if tensor.is_floating_point()
        else tensor
        for index, layer in enumerate(network.graph.layers)
        if index in modules.of and layer.weights_of is layer
        for name, tensor in modules.of[index].state_dict().items()
        if any(layer is each for each in network.graph.layers_in("infer"))
    }
