"""The training loop: Lightning's trainer around the module that the compiler emitted.

`Learner` is all that Lightning sees of a network. It adds no weights and no behaviour, so the same
module can be trained in any other loop.
"""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import lightning.pytorch as lightning
import torch
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric

from netloom.diagnostics import Diagnostic, Failed
from netloom.train.history import Epoch
from netloom.train.loading import Batch
from netloom.train.operands import Tensors
from netloom.train.program import Program, Term
from netloom.train.schedules import Length

# ruff: noqa: D102, ARG002  hooks have the names and arguments that Lightning gives them


@dataclass(frozen=True)
class Watcher:
    """Who is told how training goes.

    `interrupted` is asked before each batch and raises to end training there; `stepped` gets the
    number of the step, from 1, and its loss; `finished` gets each epoch after its evaluation.
    """

    interrupted: Callable[[], None]
    stepped: Callable[[int, float], None]
    finished: Callable[[Epoch], None]


class Learner(lightning.LightningModule):
    """One network in training.

    The validation loss has only those terms whose heads exist in the exported network: auxiliary
    train heads are not there when it is evaluated.
    """

    def __init__(
        self, program: Program, network: torch.nn.Module, length: Length, watcher: Watcher
    ) -> None:
        super().__init__()
        self.network = network
        self.program = program
        self.length = length
        self.watcher = watcher
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_loss = MeanMetric(nan_strategy="disable")
        self.gathered = [metric.create() for metric in program.metrics]
        self.metrics = torch.nn.ModuleList(self.gathered)  # so that they move to the device
        self.began = 0.0

    def configure_optimizers(self) -> Any:
        optimizer = self.program.optimizer.create(self.network.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.program.schedule.factor(step, self.length)
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_train_epoch_start(self) -> None:
        self.train_loss.reset()
        self.began = time.monotonic()

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        self.watcher.interrupted()
        step = self.global_step + 1
        loss = _sum(self.program.loss, self._tensors(batch, "train"))
        value = loss.item()
        if not math.isfinite(value):
            self._give_up(f"the loss is {value} in epoch {self.current_epoch + 1}, step {step}")
        self.train_loss.update(value, _samples(batch))
        self.watcher.stepped(step, value)
        return loss

    def on_validation_epoch_start(self) -> None:
        for gathered in (self.val_loss, *self.gathered):
            gathered.reset()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.watcher.interrupted()
        tensors = self._tensors(batch, "infer")
        if self.program.evaluated_loss:
            self.val_loss.update(_sum(self.program.evaluated_loss, tensors), _samples(batch))
        for metric, gathered in zip(self.program.metrics, self.gathered, strict=True):
            metric.update(gathered, tensors)

    def on_train_epoch_end(self) -> None:
        """Runs after the evaluation. Nothing that is not finite is ever handed on, or saved."""
        self.check_weights()
        epoch, step = self.current_epoch + 1, self.global_step
        val_loss = self.val_loss.compute().item() if self.program.evaluated_loss else None
        if val_loss is not None and not math.isfinite(val_loss):
            self._give_up(f"the validation loss is {val_loss} after epoch {epoch}")
        measured = zip(self.program.metric_names, self.gathered, strict=True)
        self.watcher.finished(
            Epoch(
                epoch,
                step,
                self.train_loss.compute().item(),
                val_loss,
                {name: gathered.compute().item() for name, gathered in measured},
                self.program.optimizer.lr * self.program.schedule.factor(step - 1, self.length),
                time.monotonic() - self.began,
            )
        )

    def check_weights(self) -> None:
        """Raises `Failed` (E507) if any of the weights is not finite."""
        if not all(bool(tensor.isfinite().all()) for tensor in self.network.state_dict().values()):
            self._give_up(f"the weights are not finite after step {self.global_step}")

    def _tensors(self, batch: Batch, mode: Literal["train", "infer"]) -> Tensors:
        """The inputs, targets and heads of a batch, by the values of the graph."""
        graph = self.program.graph
        output = self.network(*(batch[value.name] for value in graph.inputs))
        tensors = {value: batch[value.name] for value in (*graph.inputs, *graph.targets)}
        for head in graph.heads_in(mode):
            tensors[head.value] = output[head.name] if isinstance(output, dict) else output
        return tensors

    def _give_up(self, message: str) -> NoReturn:
        help = "a lower learning rate often helps; the last checkpoint is of the last whole epoch"
        raise Failed(Diagnostic("E507", message, self.program.loss_span, help=help))


def fit(
    learner: Learner,
    training: DataLoader[Batch],
    test: DataLoader[Batch],
    device: Literal["auto", "cpu", "cuda"],
) -> None:
    """Trains to the end. What the learner's watcher raises ends training and is raised again."""
    on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        with _silence():
            trainer = lightning.Trainer(
                accelerator="cpu" if on_cpu else "gpu",
                devices=1,
                max_epochs=learner.length.epochs,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                # Some gradients have no deterministic form on a GPU; there it is a wish.
                deterministic=True if on_cpu else "warn",
            )
            trainer.fit(learner, training, test)
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps Lightning's advertisement, advice on workers and own deprecations off the screen."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", "GPU available but not used.*")
            warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="lightning")
            yield
    finally:
        logger.setLevel(level)


def _sum(terms: tuple[Term, ...], tensors: Tensors) -> torch.Tensor:
    """The loss of a batch, a scalar."""
    return torch.stack([term.weight * term.loss.value(tensors) for term in terms]).sum()


def _samples(batch: Batch) -> int:
    return len(next(iter(batch.values())))
