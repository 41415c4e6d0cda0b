"""What models are worth: the metrics of a train section, measured with ONNX Runtime."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.extras import need
from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph, Head, Value
from netloom.passes.admissible import small_sizes
from netloom.runtime.precision.running import Array, Outputs, Session
from netloom.runtime.trained import Trained
from netloom.train.fitting import open_for
from netloom.train.losses import Loss
from netloom.train.metrics import Metric
from netloom.train.operands import Tensors, classes_first, reads
from netloom.train.order import batches, order
from netloom.train.program import Program
from netloom.train.sources import Data, Dataset, resolve

if TYPE_CHECKING:
    from netloom.train.loading import Batch


class Evidence(NamedTuple):
    """What a network can be measured with: how it was trained, and data."""

    program: Program
    data: Data
    dataset: Dataset

    @property
    def measures(self) -> bool:
        """Whether a metric or the loss can be computed of the exported network."""
        return bool(self.program.metrics or self.program.evaluated_loss)


class Measured(NamedTuple):
    """A metric or the loss over all test samples."""

    name: str
    value: float
    higher_is_better: bool = False
    is_share: bool = False


class Evaluation(NamedTuple):
    """One model on the test data.

    `agreement` is by head: the share of its decisions, one for each label, that are those of the
    first model. `broken` are the heads that are not finite where the first model's are.
    """

    measured: tuple[Measured, ...]
    agreement: dict[str, float]
    broken: tuple[str, ...] = ()


def evidence_for(trained: Trained, data: str | None) -> Evidence | None:
    """The train section and the data: `data`, or a run's own, or the section's; None without.

    Raises `Failed`: E504 and E505 for data that is not there or does not fit, E506 where there is
    data and no train section that says what to do with it.
    """
    program = trained.spec.programs.get(trained.network)
    text = data or trained.config.get("data")
    if program is None:
        if data is None:
            return None
        message = f"network `{trained.network}` has no train section that says what to measure"
        help = f"add one: `train {trained.network} {{ loss … metric … }}`"
        raise Failed(Diagnostic("E506", message, help=help))
    found = resolve(text) if text else program.data
    return Evidence(program, found, open_for(program, found)) if found else None


def evaluations(evidence: Evidence, sessions: Sequence[Session]) -> list[Evaluation]:
    """Several models on the same test data, without augmentation, as in training.

    Raises `Failed` (E606, E613) where ONNX Runtime cannot run one.
    """
    from netloom.train.loading import evaluation_loader

    tallies = [_Tally(evidence.program) for _ in sessions]
    for batch in evaluation_loader(evidence.dataset, evidence.program.batch):
        inputs = {name: tensor.numpy() for name, tensor in batch.items()}
        first: Outputs | None = None
        for session, tally in zip(sessions, tallies, strict=True):
            outputs = session.run(inputs)
            first = first or outputs
            tally.add(batch, outputs, first)
    return [tally.evaluation() for tally in tallies]


def test_inputs(evidence: Evidence) -> Iterator[dict[str, Array]]:
    """The inputs of all test samples, in batches."""
    return _inputs(evidence, list(range(len(evidence.dataset.test))), is_training=False)


def calibration_inputs(evidence: Evidence, count: int) -> Iterator[dict[str, Array]]:
    """The inputs of `count` training samples, or of all, in batches; always the same ones."""
    indices = order(0, 0, len(evidence.dataset.train))[:count]
    return _inputs(evidence, indices, is_training=True)


def random_inputs(graph: Graph, seed: int = 0) -> Iterator[dict[str, Array]]:
    """Random inputs at small sizes: normally distributed; 0 and 1 where they are not floats."""
    generator = numpy.random.default_rng(seed)
    for sizes in small_sizes(graph):
        yield {
            value.name: (
                generator.normal(size=_shape(value, sizes)).astype("float32")
                if value.type.dtype == "float32"
                else generator.integers(0, 2, _shape(value, sizes)).astype(value.type.dtype)
            )
            for value in _inputs_in_use(graph)
        }


def _inputs(
    evidence: Evidence, indices: list[int], *, is_training: bool
) -> Iterator[dict[str, Array]]:
    samples = evidence.dataset.train if is_training else evidence.dataset.test
    names = [value.name for value in _inputs_in_use(evidence.program.graph)]
    for chosen in batches(indices, evidence.program.batch):
        drawn = [samples[index] for index in chosen]
        yield {name: numpy.stack([sample[name] for sample in drawn]) for name in names}


def _inputs_in_use(graph: Graph) -> list[Value]:
    """The inputs that inference reads, which are those of the model."""
    read = {id(value) for layer in graph.layers_in("infer") for value in layer.op.reads()}
    read |= {id(head.value) for head in graph.heads_in("infer")}
    return [value for value in graph.inputs if id(value) in read]


def _shape(value: Value, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(evaluate_to_int(dim, sizes) for dim in value.type.shape)


class _Tally:
    """The numbers of one model, batch by batch: the metrics, or the loss where there are none."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.metrics = [metric.create() for metric in program.metrics]
        self.loss = 0.0
        self.samples = 0
        self.deciding = _deciding_heads(program)
        self.same = {head.name: 0 for head in self.deciding}
        self.decisions = {head.name: 0 for head in self.deciding}
        self.broken: dict[str, None] = {}

    def add(self, batch: "Batch", outputs: Outputs, first: Outputs) -> None:
        """Counts the samples of a batch; `first` are the outputs of the first model."""
        tensors = self._tensors(batch, outputs)
        for metric, gathered in zip(self.program.metrics, self.metrics, strict=True):
            metric.update(gathered, tensors)
        if not self.metrics:
            self._add_loss(tensors, len(next(iter(batch.values()))))
        for head in self.deciding:
            same = _decisions(outputs[head.name]) == _decisions(first[head.name])
            self.same[head.name] += int(same.sum())
            self.decisions[head.name] += same.size
        for name, truth in first.items():
            if numpy.isfinite(truth).all() and not numpy.isfinite(outputs[name]).all():
                self.broken[name] = None

    def evaluation(self) -> Evaluation:
        """What it has come to."""
        agreement = {name: same / self.decisions[name] for name, same in self.same.items()}
        if not self.metrics:
            loss = Measured("loss", self.loss / self.samples)
            return Evaluation((loss,), agreement, tuple(self.broken))
        described = zip(self.program.metrics, self.program.metric_names, self.metrics, strict=True)
        measured = tuple(
            Measured(name, gathered.compute().item(), metric.higher_is_better, metric.is_share)
            for metric, name, gathered in described
        )
        return Evaluation(measured, agreement, tuple(self.broken))

    def _add_loss(self, tensors: Tensors, count: int) -> None:
        terms = self.program.evaluated_loss
        value = sum(term.weight * term.loss.value(tensors).item() for term in terms)
        self.loss += value * count
        self.samples += count

    def _tensors(self, batch: "Batch", outputs: Outputs) -> Tensors:
        torch = need("torch", "train")
        graph = self.program.graph
        given = {value: batch[value.name] for value in (*graph.inputs, *graph.targets)}
        heads = graph.heads_in("infer")
        return {**given, **{each.value: torch.from_numpy(outputs[each.name]) for each in heads}}


def _deciding_heads(program: Program) -> list[Head]:
    """The heads that a loss or metric compares with labels: their largest channel is a decision."""
    heads = {head.value: head for head in program.graph.heads_in("infer")}
    records: list[Loss | Metric] = [*program.metrics, *(term.loss for term in program.loss)]
    read = [value for record in records if record.classes() for value in reads(record)]
    return [heads[value] for value in dict.fromkeys(read) if value in heads]


def _decisions(outputs: Array) -> Array:
    tensor = need("torch", "train").from_numpy(outputs)
    decided: Array = classes_first(tensor).argmax(1).numpy()
    return decided
