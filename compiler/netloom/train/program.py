"""A checked train section: what to minimise, on what data, how and for how long."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from netloom.diagnostics import Span
from netloom.ir.declared import Declared, Field
from netloom.ir.graph import Graph, Value
from netloom.passes.expressions import text_of
from netloom.train.augmentations import Augmentation
from netloom.train.losses import Loss
from netloom.train.metrics import Metric
from netloom.train.operands import reads
from netloom.train.optimizers import Adam, Optimizer
from netloom.train.schedules import Constant, Schedule
from netloom.train.sources import Data

NUMBERS = {
    "epochs": Field("epochs", int, "passes over the training data", False, False, 10, minimum=1),
    "batch": Field("batch", int, "samples a step", False, False, 64, minimum=1),
    "seed": Field(
        "seed", int, "of all random numbers", False, False, 0, minimum=0, maximum=2**32 - 1
    ),
}
"""The settings that are one number, with their defaults and bounds."""


class Term(NamedTuple):
    """One summand of a loss."""

    weight: float
    loss: Loss


class Program(NamedTuple):
    """How one network is trained. What the section leaves out has its default here."""

    graph: Graph
    loss: tuple[Term, ...]
    loss_span: Span
    data: Data | None = None
    augment: tuple[Augmentation, ...] = ()
    optimizer: Optimizer = Adam()
    schedule: Schedule = Constant()
    epochs: int = NUMBERS["epochs"].default
    batch: int = NUMBERS["batch"].default
    seed: int = NUMBERS["seed"].default
    metrics: tuple[Metric, ...] = ()

    @property
    def evaluated_loss(self) -> tuple[Term, ...]:
        """The terms that can be computed of the exported network: those without train heads."""
        seen = visible(self.graph, "infer")
        return tuple(term for term in self.loss if all(value in seen for value in reads(term.loss)))

    @property
    def classes(self) -> Mapping[Value, int]:
        """How many classes each target that is a label may have."""
        counts: dict[Value, int] = {}
        records: list[Loss | Metric] = [*(term.loss for term in self.loss), *self.metrics]
        for record in records:
            for label, count in record.classes().items():
                counts[label] = min(count, counts.get(label, count))
        return counts

    @property
    def metric_names(self) -> tuple[str, ...]:
        """A name for each metric: its own, followed by what it reads where that is not enough."""
        titles = [metric.title() for metric in self.metrics]
        return tuple(
            title
            if titles.count(title) == 1
            else "_".join((title, *(value.name for value in reads(metric))))
            for title, metric in zip(titles, self.metrics, strict=True)
        )


def visible(graph: Graph, mode: Literal["train", "infer"]) -> set[Value]:
    """The values that a loss or metric can read: inputs, targets, and the heads of the mode."""
    return {*graph.inputs, *graph.targets, *(head.value for head in graph.heads_in(mode))}


def loss_text(terms: tuple[Term, ...]) -> str:
    """A loss as a spec writes it."""
    parts = []
    for term in terms:
        call = call_text(term.loss)
        weight = abs(term.weight)
        sign = "-" if term.weight < 0 else "+"
        parts += [sign, call if weight == 1 else f"{weight:g}*{call}"]
    if parts[:1] == ["+"]:
        parts = parts[1:]
    return " ".join(parts)


def call_text(record: Declared) -> str:
    """A record as a spec writes it, without the arguments that have their default."""
    arguments = []
    for field in record.signature():
        value = getattr(record, field.name)
        if field.is_operand:
            arguments.append(value.name)
        elif field.required or value != field.default:
            arguments.append(f"{field.name}={text_of(value)}")
    return f"{record.name}({', '.join(arguments)})" if arguments else record.name
