"""Trains the network of a spec: the data, the loop, and what is left in the run directory."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from netloom.compile import Spec, chosen
from netloom.diagnostics import Diagnostic, Failed, Source, Span
from netloom.emit.files import write_atomically
from netloom.extras import need
from netloom.ir.declared import Reject
from netloom.passes.binding import coerce
from netloom.train.config import describe
from netloom.train.fitting import open_for
from netloom.train.history import Epoch, History
from netloom.train.interrupts import Interrupted, interrupts
from netloom.train.plots import plot
from netloom.train.program import NUMBERS, Program
from netloom.train.progress import Report
from netloom.train.run_directory import RunDirectory, create, save_weights, write_json
from netloom.train.schedules import Length
from netloom.train.sources import Data, Dataset, resolve

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "torch",
    "torchmetrics",
    "lightning.pytorch",
    "safetensors.torch",
    "matplotlib.figure",
)


@dataclass(frozen=True)
class Options:
    """What a command line may say about training; None is what the spec says.

    `out` is exactly the run directory; without it one is made under `runs/`. `force` replaces the
    run in a directory that is not empty.
    """

    network: str | None = None
    data: str | None = None
    epochs: int | None = None
    batch: int | None = None
    seed: int | None = None
    out: Path | None = None
    force: bool = False
    quiet: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"


def train(spec: Spec, options: Options = Options()) -> Path:
    """Trains one network of a spec and returns its run directory.

    Equal seeds give equal weights on the same CPU with the same versions. Ctrl-C and SIGTERM end
    training between two steps: the weights of that moment are saved as the last checkpoint, then
    `KeyboardInterrupt` or `SystemExit(143)` is raised.

    Raises:
        Failed: E506, E608 or E201 where it is not clear what to train; E502 without data, E504 and
            E505 for data that is not there or does not fit; E206 for options out of bounds; E004
            and E005 for the run directory; E507 where the loss is no longer a number; E601 for
            packages that are missing; E607 for a device that is.
    """
    program = _with_options(_chosen(spec, options.network), options)
    data = resolve(options.data) if options.data is not None else program.data
    if data is None:
        message = f"nothing says what `{program.graph.name}` is trained on"
        help = '`data "digits"` in the train section, or `--data digits`'
        raise Failed(Diagnostic("E502", message, program.graph.span, help=help))
    dataset = open_for(program, data)
    for package in PACKAGES:
        need(package, "train")
    _check_device(options.device)
    directory = create(options.out, program.graph.name, options.force)
    run = _Run(program, dataset, directory, options)
    run.begin(spec, data)
    run.train()
    return directory.path


class _Run:
    """One training, from its first file to its last."""

    def __init__(
        self, program: Program, dataset: Dataset, directory: RunDirectory, options: Options
    ) -> None:
        from netloom.train.loading import training_loader

        self.program = program
        self.dataset = dataset
        self.directory = directory
        self.options = options
        self.loader = training_loader(dataset, program.augment, program.batch, program.seed)
        self.length = Length(program.epochs, len(self.loader))
        self.report = Report(program, self.length, options.quiet)
        self.history = History(program)
        self.network = self._new_network()

    def begin(self, spec: Spec, data: Data) -> None:
        """Writes what is known before the first step, and says it."""
        from netloom.emit.torch import source

        program, directory = self.program, self.directory
        config = describe(spec, program, data, self.dataset)
        directory.save_spec(spec)
        write_atomically(directory.model, [source(program.graph).encode()])
        write_json(directory.config, config)
        scheme = data.source.name
        self.report.line(f"{scheme}: {self.dataset.summary}")
        self.report.line(
            f"{program.graph.name}: {config['parameters_in_training']:,} parameters, "
            f"{program.epochs} epochs of {self.length.batches} steps, seed {program.seed}"
        )
        self.report.line(f"run: {directory.path}")

    def train(self) -> None:
        """Runs the epochs and writes what came out, also where training was stopped."""
        from netloom.train.engine import Learner, Watcher, fit
        from netloom.train.loading import evaluation_loader

        began = time.monotonic()
        stopped: Interrupted | None = None
        with interrupts() as signals, self.report:
            watcher = Watcher(signals.raise_if_received, self.report.step, self.finish_epoch)
            learner = Learner(self.program, self.network, self.length, watcher)
            test = evaluation_loader(self.dataset, self.program.batch)
            try:
                fit(learner, self.loader, test, self.options.device)
                signals.raise_if_received()
            except BaseException as problem:
                # A second Ctrl-C comes out of the trainer as an exit of its own.
                if signals.received is None or isinstance(problem, Failed):
                    raise
                stopped = Interrupted(signals.received)
                learner.check_weights()
                save_weights(self.directory.last, self.program.graph, self.network)
            self.finish(time.monotonic() - began, stopped)
        if stopped:
            raise stopped.as_exit()

    def finish_epoch(self, epoch: Epoch) -> None:
        """Saves what an epoch has come to."""
        directory, graph = self.directory, self.program.graph
        is_best = self.history.add(epoch)
        save_weights(directory.last, graph, self.network)
        if is_best:
            save_weights(directory.best, graph, self.network)
        self.history.write(directory.metrics)
        self.report.epoch(epoch, is_best)

    def finish(self, seconds: float, stopped: Interrupted | None) -> None:
        """Writes result and picture, if at least one epoch is whole, and says how it went."""
        last, best = self.history.last, self.history.best
        result = {
            "status": f"stopped by {stopped}" if stopped else "finished",
            "seconds": round(seconds, 3),
            "best_by": self.history.best_by,
            "last": last.row() if last else None,
            "best": best.row() if best else None,
        }
        write_json(self.directory.result, result)
        if stopped:
            self.report.line(f"stopped by {stopped}; the weights are in {self.directory.last}")
        elif best:
            self.report.result(self.history, seconds)
            self.report.line(f"weights: {self.directory.best}")
        if best:
            plot(self.history, self.directory.plot, self._title())

    def _title(self) -> str:
        return f"{self.program.graph.name}, seed {self.program.seed}"

    def _new_network(self) -> "torch.nn.Module":
        """The emitted module with fresh weights, which the seed alone decides."""
        import torch

        from netloom.emit.torch import module

        torch.manual_seed(self.program.seed)
        return module(self.program.graph)


def _chosen(spec: Spec, network: str | None) -> Program:
    """The train section of the network that is meant, or the only one there is."""
    if network is not None:
        chosen(spec, network)
    meant = {name: each for name, each in spec.programs.items() if network in (None, name)}
    if len(meant) > 1:
        message = f"`{spec.source.name}` has {len(meant)} train sections"
        help = "choose one with --network: " + ", ".join(f"`{name}`" for name in meant)
        raise Failed(Diagnostic("E608", message, help=help))
    if not meant:
        subject = f"network `{network}`" if network else f"`{spec.source.name}`"
        help = f"add one: `train {network or next(iter(spec.networks), 'name')} {{ loss … }}`"
        raise Failed(Diagnostic("E506", f"{subject} has no train section", help=help))
    (program,) = meant.values()
    return program


def _with_options(program: Program, options: Options) -> Program:
    """The program with the numbers that the options give. Raises `Failed` for bad ones (E206)."""
    for name, field in NUMBERS.items():
        number = getattr(options, name)
        if number is not None:
            text = str(number)
            place = Span(Source(f"--{name}", text), 0, len(text))
            coerce(number, field, place, "the command line")
            program = program._replace(**{name: number})
    try:
        program.schedule.check(program.epochs)
    except Reject as reject:
        message = f"`{program.schedule.name}`: {reject.message}"
        raise Failed(Diagnostic(reject.code, message)) from None
    return program


def _check_device(device: str) -> None:
    if device == "cuda" and not need("torch", "train").cuda.is_available():
        help = "`--device auto` takes what there is"
        raise Failed(Diagnostic("E607", "there is no CUDA device to train on", help=help))
