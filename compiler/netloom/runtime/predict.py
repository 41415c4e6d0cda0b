"""Running an exported model on files: samples together where they can be, results in order."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.runtime.finite import not_finite
from netloom.runtime.inputs import Array, Reader, Sample
from netloom.runtime.interface import Interface, interface_of
from netloom.runtime.sessions import device_of, reason_in

Run = Callable[[Mapping[str, Array]], dict[str, Array]]


class Prediction(NamedTuple):
    """What a model gave for one sample: outputs by name, and the best classes if it has classes.

    `warning` is there where numbers are not finite.
    """

    source: str
    outputs: dict[str, Array]
    classes: tuple[tuple[str, float], ...]
    warning: Diagnostic | None = None


class Refused(NamedTuple):
    """A file, or a sample of it, that could not be run, and why."""

    source: str
    failure: Failed


def predict(session: Any, paths: Iterable[Path], top: int, batch: int = 1) -> list[Prediction]:
    """Runs a model on files. Raises `Failed` of the first that does not fit."""
    found = []
    for each in predictions(session, paths, top, batch):
        if isinstance(each, Refused):
            raise each.failure
        found.append(each)
    return found


def predictions(
    session: Any, paths: Iterable[Path], top: int, batch: int = 1
) -> Iterator[Prediction | Refused]:
    """Runs a model on files, up to `batch` samples at once; results have the order of the files.

    Samples of one size that follow one another are run together. A file that does not fit is told
    and the others are run: E001 if it cannot be read, E605 if it is not what the model takes.
    Raises `Failed` (E605) at once for a model that only takes samples one by one.
    """
    interface = interface_of(session)
    if batch > 1 and not interface.separable:
        raise Failed(_one_by_one(interface))
    run = runner(session, interface.outputs)
    for group in groups(_read(interface, paths), batch):
        if isinstance(group, Refused):
            yield group
        else:
            yield from _predicted(run, group, interface, top)


def _one_by_one(interface: Interface) -> Diagnostic:
    takes = ", ".join(f"`{name}`: {wanted}" for name, wanted in interface.inputs.items())
    message = f"the model runs one sample at a time; it takes {takes}"
    if interface.batch is not None and not isinstance(interface.batch, int):
        message = f"the model's outputs do not begin with `{interface.batch}`, which counts samples"
    return Diagnostic("E605", message, help="leave `--batch` out")


def _read(interface: Interface, paths: Iterable[Path]) -> Iterator[Sample | Refused]:
    reader = Reader(interface)
    for path in paths:
        try:
            yield from reader.samples(path)
        except Failed as failure:
            yield Refused(str(path), failure)


def groups(found: Iterator[Sample | Refused], batch: int) -> Iterator[list[Sample] | Refused]:
    """Samples of equal sizes that follow one another, at most `batch`; refusals in between."""
    waiting: list[Sample] = []
    for each in found:
        fits = isinstance(each, Sample) and (not waiting or _shapes(each) == _shapes(waiting[0]))
        if waiting and (not fits or len(waiting) == batch):
            yield waiting
            waiting = []
        if isinstance(each, Refused):
            yield each
        else:
            waiting.append(each)
    if waiting:
        yield waiting


def _shapes(sample: Sample) -> list[tuple[int, ...]]:
    return [array.shape for array in sample.feeds.values()]


def _predicted(
    run: Run, group: list[Sample], interface: Interface, top: int
) -> Iterator[Prediction | Refused]:
    try:
        together = run(_joined(group))
    except Exception as problem:  # ONNX Runtime raises a class of its own for each kind
        yield from _refused(run, group, interface, top, problem)
        return
    for index, sample in enumerate(group):
        outputs = together
        if len(group) > 1:
            outputs = {name: array[index : index + 1] for name, array in together.items()}
        best = _best(outputs, interface.classes, top)
        yield Prediction(sample.source, outputs, best, not_finite(sample, outputs))


def _refused(
    run: Run, group: list[Sample], interface: Interface, top: int, problem: Exception
) -> Iterator[Prediction | Refused]:
    """A single sample is told; of several each is tried alone, since one may spoil the others."""
    if len(group) > 1:
        for sample in group:
            yield from _predicted(run, [sample], interface, top)
        return
    (sample,) = group
    message = f"ONNX Runtime cannot run the model on `{sample.source}`: {reason_in(problem)}"
    yield Refused(sample.source, Failed(Diagnostic("E605", message)))


def _joined(group: list[Sample]) -> dict[str, Array]:
    if len(group) == 1:
        return {name: numpy.ascontiguousarray(array) for name, array in group[0].feeds.items()}
    names = group[0].feeds
    return {name: numpy.concatenate([sample.feeds[name] for sample in group]) for name in names}


def runner(session: Any, outputs: Sequence[str]) -> Run:
    """How a session is run; on a GPU through bindings, which keep its memory between runs."""
    device = device_of(session)
    if device != "cpu":
        return BoundRun(session, outputs, "cuda")

    def run(feeds: Mapping[str, Array]) -> dict[str, Array]:
        return dict(zip(outputs, session.run(outputs, feeds), strict=True))

    return run


class BoundRun:
    """Runs a session on tensors that stay in a device's memory.

    `device` is "cuda" or "cpu". Inputs are copied into the same memory as long as their shapes
    stay, outputs are left where the model makes them and copied out once.
    """

    def __init__(self, session: Any, outputs: Sequence[str], device: str) -> None:
        self.session, self.outputs, self.device = session, outputs, device
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs: dict[str, Any] = {}
        self.binding: Any = None

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for arrays by input name."""
        self.give(feeds)
        self.step()
        arrays = self.binding.copy_outputs_to_cpu()
        return dict(zip(self.outputs, arrays, strict=True))

    def give(self, feeds: Mapping[str, Array]) -> None:
        """Puts the inputs into the device's memory, which is taken anew where shapes change."""
        shapes = {name: array.shape for name, array in feeds.items()}
        if shapes != self.shapes:
            self._bind(feeds)
            self.shapes = shapes
        for name, array in feeds.items():
            self.inputs[name].update_inplace(numpy.ascontiguousarray(array))

    def _bind(self, feeds: Mapping[str, Array]) -> None:
        from onnxruntime import OrtValue

        self.binding = self.session.io_binding()
        for name, array in feeds.items():
            value = OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, self.device)
            self.inputs[name] = value
            self.binding.bind_ortvalue_input(name, value)
        for name in self.outputs:
            self.binding.bind_output(name, self.device)

    def step(self) -> None:
        """One run on what is bound; when it returns, the device has finished."""
        self.session.run_with_iobinding(self.binding)
        self.binding.synchronize_outputs()


def _best(
    outputs: Mapping[str, Array], labels: Sequence[str], top: int
) -> tuple[tuple[str, float], ...]:
    """The classes of the head that scores them; one that sums to 1 is preferred to raw scores."""
    scores = [
        output[0]
        for output in outputs.values()
        if output.ndim == 2 and len(output) == 1 and numpy.issubdtype(output.dtype, numpy.floating)
    ]
    scores = [each for each in scores if not labels or len(each) == len(labels)]
    if not scores:
        return ()
    chosen = max(scores, key=lambda each: numpy.isclose(each.sum(), 1, atol=1e-4))
    order = numpy.argsort(-chosen, kind="stable")[:top]
    return tuple((labels[i] if labels else str(i), float(chosen[i])) for i in order)
