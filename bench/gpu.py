"""What a GPU makes of the emitted modules and models; without one nothing is measured.

Inference of the emitted module: eager, channels_last, half precisions, compiled, as CUDA graph.
ONNX Runtime on the emitted model and on PyTorch's export, with inputs and outputs bound to the
device's memory, in float32 and float16, by CUDA and, where it can be had, TensorRT. A training step
beside torchvision's. `--device cpu` runs the same code without a GPU, to see that it works; its
figures mean nothing.
"""

import argparse
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from bench.exporters import emit, export_dynamo, folder
from bench.networks import Subject, named
from bench.report import Goal, Table, at_most, compared, show
from bench.rewrites import merge_siblings, write_program
from bench.rounds import Rounds, calls
from bench.training_step import OURS, THEIRS, pair, training_step
from netloom.emit import onnx as emit_onnx

EAGER = "eager, float32"
AUTOCAST = "eager, channels_last, float16 autocast"
HALF = "eager, channels_last, float16"
COMPILED = "compiled, channels_last, float16"
GRAPH = "CUDA graph, channels_last, float16"
PROVIDERS = {"CUDA": "CUDAExecutionProvider", "TensorRT": "TensorrtExecutionProvider"}
CLOSE_IN_HALF = 2e-2
"""The largest difference in float16 over the largest output."""


class Bench:
    """The device, and how often an action is repeated in one turn."""

    def __init__(self, device: str, batch: int, repeats: int, rounds: int, compiles: bool) -> None:
        self.device, self.batch, self.repeats, self.rounds = device, batch, repeats, rounds
        self.compiles = compiles
        self.is_cuda = device == "cuda"

    def wait(self) -> None:
        """Returns when the device has done all that it was given."""
        if self.is_cuda:
            torch.cuda.synchronize()

    def timed(self, actions: Mapping[str, Callable[[], object]]) -> Rounds:
        """Interleaved rounds, with the device idle at either end of a turn."""

        def turn(action: Callable[[], object]) -> None:
            for _ in range(self.repeats):
                action()
            self.wait()

        turns = {name: partial(turn, action) for name, action in actions.items()}
        for each in (*turns.values(), *turns.values()):
            each()  # kernels are chosen, buffers are there
        return calls(turns, self.rounds, clock="wall")

    def table(
        self, title: str, found: Rounds, reference: str, goals: dict[str, Goal] | None = None
    ) -> Table:
        """Ratios, with images a second beside them."""
        images = self.batch * self.repeats
        notes = {name: f"{images / found.seconds(name):,.0f} images/s" for name in found.costs}
        return show(Table(title, reference, compared(found, reference, goals, notes)))


def half_module(subject: Subject, device: str) -> nn.Module:
    """A copy of the emitted module in float16 and channels_last."""
    network = named(subject.graph.name).module.to(device)
    return network.half().to(memory_format=torch.channels_last)


def modules(bench: Bench, subject: Subject) -> dict[str, Callable[[], Tensor]]:
    """All ways of running the emitted module."""
    device, network = bench.device, subject.module.to(bench.device)
    image = subject.image(bench.batch).to(device)
    last = image.to(memory_format=torch.channels_last)
    channels_last = named(subject.graph.name).module.to(device)
    channels_last.to(memory_format=torch.channels_last)
    half, half_image = half_module(subject, device), last.half()
    runs: dict[str, Callable[[], Tensor]] = {
        EAGER: partial(network, image),
        "eager, channels_last": partial(channels_last, last),
        AUTOCAST: autocast(bench, channels_last, last, torch.float16),
        "eager, channels_last, bfloat16 autocast": autocast(
            bench, channels_last, last, torch.bfloat16
        ),
        HALF: partial(half, half_image),
    }
    if bench.compiles:
        compiled = torch.compile(half, mode="max-autotune")
        runs[COMPILED] = partial(compiled, half_image)
    if bench.is_cuda:
        runs[GRAPH] = cuda_graph(half, half_image)
    return runs


def autocast(
    bench: Bench, network: nn.Module, image: Tensor, dtype: torch.dtype
) -> Callable[[], Tensor]:
    """A run under autocast."""

    def run() -> Tensor:
        with torch.autocast(bench.device, dtype):
            result: Tensor = network(image)
        return result

    return run


def cuda_graph(network: nn.Module, image: Tensor) -> Callable[[], Tensor]:
    """The network captured once, and replayed."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(image)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result: Tensor = network(image)

    def run() -> Tensor:
        graph.replay()
        return result

    return run


def to_half(source: Path, path: Path) -> None:
    """A model in float16, by ONNX Runtime's own converter."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source)), path)


def bound(bench: Bench, path: Path, image: Tensor, provider: str) -> Callable[[], Tensor] | None:
    """A run of a model from memory of the device into memory of the device.

    None where the provider cannot be had.
    """
    options: dict[str, str] = {}
    if provider == "CUDA":
        options = {"cudnn_conv_algo_search": "EXHAUSTIVE", "prefer_nhwc": "1"}
    if provider == "TensorRT":
        options = {"trt_fp16_enable": "1" if image.dtype == torch.float16 else "0"}
    wanted = [(PROVIDERS[provider], options)] if bench.is_cuda else ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(path, providers=wanted)
    if bench.is_cuda and PROVIDERS[provider] not in session.get_providers():
        return None
    element = numpy.float16 if image.dtype == torch.float16 else numpy.float32
    (entry,), (head,) = session.get_inputs(), session.get_outputs()
    result = torch.empty(bench.batch, 1000, dtype=image.dtype, device=bench.device)
    binding = session.io_binding()
    where = (bench.device, 0, element)
    binding.bind_input(entry.name, *where, list(image.shape), image.data_ptr())
    binding.bind_output(head.name, *where, list(result.shape), result.data_ptr())

    def run(_bound: Tensor = image) -> Tensor:  # the input's memory is kept as long as this is
        session.run_with_iobinding(binding)
        return result

    return run


def models(bench: Bench, subject: Subject, place: Path) -> dict[str, Callable[[], Tensor]]:
    """All ways of running models of the network."""
    image = subject.image(bench.batch).to(bench.device)
    half = image.half()
    sources = {"netloom": place / "netloom.onnx", "dynamo": place / "dynamo.onnx"}
    runs: dict[str, Callable[[], Tensor] | None] = {}
    for name, path in sources.items():
        in_half = path.with_suffix(".half.onnx")
        to_half(path, in_half)
        for provider in PROVIDERS if bench.is_cuda else ("CUDA",):
            runs[f"{name}, {provider}, float32"] = bound(bench, path, image, provider)
            runs[f"{name}, {provider}, float16"] = bound(bench, in_half, half, provider)
    for name in [name for name, run in runs.items() if run is None]:
        print(f"  {name}: this provider cannot be had here")
    return {name: run for name, run in runs.items() if run}


def check_close(runs: Mapping[str, Callable[[], Tensor]], expected: Tensor) -> None:
    """Refuses to compare what does not compute the same."""
    expected = expected.float()
    for name, run in runs.items():
        difference = float((run().float() - expected).abs().max() / expected.abs().max())
        if not difference < CLOSE_IN_HALF:
            raise ValueError(f"{name} differs by {difference:.1e}")


def inference(bench: Bench, name: str) -> Iterator[Table]:
    """The module and the models of one network."""
    subject = named(name)
    with folder() as place, torch.inference_mode():
        emit(subject.graph, subject.weights, place / "netloom.onnx")
        with torch.inference_mode(False):
            export_dynamo(subject.module, subject.image(2), place / "dynamo.onnx")
        runs = modules(bench, subject)
        expected = runs[EAGER]().clone()
        check_close(runs, expected)
        title = f"{name} on {described(bench)}, batch {bench.batch}"
        yield bench.table(f"{title}, the emitted module", bench.timed(runs), EAGER)
        served = models(bench, subject, place)
        check_close(served, expected)
        best = COMPILED if COMPILED in runs else HALF
        found = bench.timed({best: runs[best], AUTOCAST: runs[AUTOCAST], **served})
        ours = [side for side in served if side.startswith("netloom") and "float16" in side]
        quickest = found.quickest(ours)
        yield bench.table(f"{title}, models", found, best, {quickest: at_most(1 / 1.3)})


def siblings(bench: Bench) -> Iterator[Table]:
    """GoogLeNet with one 1x1 convolution in each inception block, in float16."""
    subject = named("googlenet")
    image = subject.image(bench.batch).to(bench.device).half()
    plain, merged = (emit_onnx.program(subject.graph, subject.weights)[0] for _ in range(2))
    merge_siblings(merged)
    runs: dict[str, Callable[[], Tensor]] = {}
    with folder() as place:
        for name, program in (("netloom", plain), ("1x1 convolutions merged, and split", merged)):
            path, half = place / f"{len(runs)}.onnx", place / f"{len(runs)}.half.onnx"
            write_program(program, path)
            to_half(path, half)
            run = bound(bench, half, image, "CUDA")
            assert run is not None
            runs[name] = run
        check_close(runs, runs["netloom"]().clone())
        found = bench.timed(runs)
    title = f"googlenet on {described(bench)}, batch {bench.batch}, CUDA, float16"
    yield bench.table(title, found, "netloom")


def training(bench: Bench, name: str) -> Iterator[Table]:
    """A training step under autocast in channels_last, beside torchvision's module."""
    sides = pair(name)
    image = torch.randn(bench.batch, 3, 224, 224, device=bench.device)
    image = image.contiguous(memory_format=torch.channels_last)
    label = torch.randint(1000, (bench.batch,), device=bench.device)
    steps = {}
    for side, network in sides.items():
        network.to(bench.device).to(memory_format=torch.channels_last)
        steps[side] = mixed_step(bench, training_step(network, image, label))
    title = f"{name} on {described(bench)}, training step, batch {bench.batch}, bfloat16 autocast"
    yield bench.table(title, bench.timed(steps), THEIRS, {OURS: at_most(1.02)})


def mixed_step(bench: Bench, step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A training step under autocast, without a scaler, which bfloat16 does not need."""

    def run() -> Tensor:
        with torch.autocast(bench.device, torch.bfloat16):
            return step()

    return run


def described(bench: Bench) -> str:
    """The device in words."""
    return torch.cuda.get_device_name() if bench.is_cuda else "the CPU, which means nothing"


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--models", nargs="+", default=["resnet50", "googlenet"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 128])
    parser.add_argument("--repeats", type=int, default=20, help="runs in one turn")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args(given)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("\nGPU: there is none here, so nothing was measured")
        return []
    if options.device == "cuda":
        with contextlib.suppress(AttributeError):  # versions without it find the libraries alone
            onnxruntime.preload_dlls(directory="")
    onnxruntime.set_default_logger_severity(3)
    tables: list[Table] = []
    for batch in options.batches:
        bench = Bench(
            options.device, batch, options.repeats, options.rounds, not options.no_compile
        )
        for name in options.models:
            tables += inference(bench, name)
            tables += training(bench, name) if batch > 1 else ()
        tables += siblings(bench)
    return tables


if __name__ == "__main__":
    main()
