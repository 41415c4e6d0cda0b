"""One network in the forms that are timed against one another, all on the same inputs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.sizes import refusal
from netloom.emit.torch import module
from netloom.emit.weights import Weights
from netloom.extras import need
from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph, Value
from netloom.passes.admissible import admissible_sizes, small_sizes
from netloom.passes.cost import batch_size
from netloom.passes.sizes import free_sizes
from netloom.runtime.devices import WORDS, Device
from netloom.runtime.inputs import Array
from netloom.runtime.interface import interface_of
from netloom.runtime.predict import BoundRun
from netloom.runtime.sessions import Opened

Feeds = Mapping[str, Array]

REFERENCE = "PyTorch"
"""What the others are compared with: the emitted module, float32, not compiled."""


class Candidate(NamedTuple):
    """Something that is timed: `run` is one inference, `outputs` what it gives, by head."""

    name: str
    run: Callable[[], object]
    outputs: Callable[[], dict[str, Array]]


class TorchForm(NamedTuple):
    """How the emitted module is run."""

    dtype: str = "float32"
    channels_last: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """As the table has it: `torch.compile bfloat16`."""
        words = ["torch.compile" if self.compiled else REFERENCE]
        words += [self.dtype] if self.dtype != "float32" else []
        words += ["channels last"] if self.channels_last else []
        return " ".join(words)


def device_for_torch(device: Device) -> tuple[Device, str | None]:
    """The device that PyTorch leaves to be asked for: "cpu" in place of "auto", and then why.

    Raises `Failed` (E607) if PyTorch cannot use a device that was named.
    """
    if device == "cpu" or need("torch", "train").cuda.is_available():
        return device, None
    reason = "PyTorch finds no GPU that it can use"
    if device == "auto":
        return "cpu", reason
    message = f"{WORDS[device]} was asked for and cannot be had: {reason}"
    help = "`netloom doctor` shows what is there; `--device cpu` runs without it"
    raise Failed(Diagnostic("E607", message, help=help))


def drawn_inputs(graph: Graph, sizes: Mapping[str, int], batch: int, seed: int = 0) -> Feeds:
    """Random inputs of a size, by name.

    Raises `Failed`: E612 for a free size that is not given, E605 for sizes that the network does
    not take.
    """
    missing = [name for name in free_sizes(graph) if name not in sizes]
    if missing:
        raise Failed(_sizes_missing(graph, missing))
    counted = batch_size(graph)
    if counted is None and batch != 1:
        message = f"network `{graph.name}` has no size that counts samples"
        raise Failed(Diagnostic("E605", message, help="leave `--batch` out"))
    known = {**sizes, **({counted.name: batch} if counted else {})}
    shapes = {
        value.name: tuple(evaluate_to_int(dim, known) for dim in value.type.shape)
        for value in graph.inputs
    }
    reason = refusal(graph.name, admissible_sizes(graph), shapes)
    if reason:
        raise Failed(Diagnostic("E605", f"this size cannot be run: {reason}"))
    generator = numpy.random.default_rng(seed)
    return {value.name: _drawn(value, shapes[value.name], generator) for value in graph.inputs}


def _sizes_missing(graph: Graph, missing: Sequence[str]) -> Diagnostic:
    letters = ", ".join(f"`{name}`" for name in missing)
    plural = "s" * (len(missing) != 1)
    message = (
        f"network `{graph.name}` has the free size{plural} {letters}, and times depend on them"
    )
    smallest = next(small_sizes(graph), {})
    example = ",".join(f"{name}={smallest.get(name, 7)}" for name in free_sizes(graph))
    help = f"`--size {example}` is the smallest that it takes"
    return Diagnostic("E612", message, help=help)


def _drawn(value: Value, shape: tuple[int, ...], generator: numpy.random.Generator) -> Array:
    if value.type.dtype != "float32":
        return generator.integers(0, 2, shape).astype(value.type.dtype)
    return generator.normal(size=shape).astype("float32")


def torch_candidate(
    graph: Graph, weights: Weights, feeds: Feeds, device: str, form: TorchForm
) -> Candidate:
    """The emitted module on a device ("cpu" or "cuda"); inputs are put there once."""
    torch = need("torch", "train")
    network = module(graph).eval()
    network.load_state_dict({name: torch.tensor(weights[name]) for name in network.state_dict()})
    dtype = getattr(torch, form.dtype)
    network.to(device=device, dtype=dtype)
    tensors = [torch.tensor(feeds[value.name], device=device) for value in graph.inputs]
    tensors = [each.to(dtype) if each.is_floating_point() else each for each in tensors]
    if form.channels_last:
        network.to(memory_format=torch.channels_last)
        tensors = [
            each.contiguous(memory_format=torch.channels_last) if each.ndim == 4 else each
            for each in tensors
        ]
    called: Any = network
    if form.compiled:
        torch.compiler.reset()  # a second size would otherwise be compiled for any size
        called = torch.compile(network, dynamic=False)

    def run() -> Any:
        with torch.inference_mode():
            given = called(*tensors)
        if device == "cuda":
            torch.cuda.synchronize()
        return given

    def outputs() -> dict[str, Array]:
        given = run()
        heads = given if isinstance(given, dict) else {graph.heads_in("infer")[0].name: given}
        return {
            name: (head.float() if head.is_floating_point() else head).cpu().numpy()
            for name, head in heads.items()
        }

    return Candidate(form.name, run, outputs)


def onnx_candidate(name: str, model: Path, feeds: Feeds, found: Opened) -> Candidate:
    """A model in ONNX Runtime.

    On a GPU inputs and outputs stay in the device's memory, as PyTorch's do. Raises `Failed`
    (E606) for a model that takes other inputs than the network.
    """
    interface = interface_of(found.session)
    foreign = ", ".join(f"`{each}`" for each in interface.inputs if each not in feeds)
    if foreign:
        message = f"`{model}` takes {foreign}, which the network does not"
        raise Failed(Diagnostic("E606", message, help="give a model of this network"))
    given = {each: feeds[each].astype(of.dtype) for each, of in interface.inputs.items()}
    if found.device != "cpu":
        bound = BoundRun(found.session, interface.outputs, "cuda")
        bound.give(given)
        return Candidate(name, bound.step, lambda: bound(given))

    def run() -> Any:
        return found.session.run(interface.outputs, given)

    return Candidate(name, run, lambda: dict(zip(interface.outputs, run(), strict=True)))


def largest_error(found: Mapping[str, Array], reference: Mapping[str, Array]) -> float:
    """The largest difference of an output, divided by the largest magnitude of the reference's.

    Infinite for outputs that are missing or have other shapes.
    """
    worst = 0.0
    for name, truth in reference.items():
        if name not in found or found[name].shape != truth.shape:
            return float("inf")
        if truth.size:
            wide = truth.astype("float64")
            difference = numpy.abs(found[name].astype("float64") - wide).max()
            worst = max(worst, float(difference) / (float(numpy.abs(wide).max()) or 1.0))
    return worst
