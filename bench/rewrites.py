"""What each rewrite of the ONNX emission brings when ONNX Runtime's own optimiser is on.

Each network is emitted with all rewrites, without the one that is measured, and by PyTorch's
exporter. Latency and the making of a session, one thread. The last table is a rewrite that the
compiler does not do: the 1x1 convolutions of an inception block that read one tensor as one
convolution and a `Split`.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch

from bench.exporters import export_dynamo, folder, write
from bench.networks import Subject, named
from bench.report import Goal, Table, at_most, compared, show
from bench.rounds import calls
from bench.sessions import check_equal, inference, session
from netloom.emit import onnx
from netloom.emit.onnx.files import pieces_of_one_file
from netloom.emit.onnx.lowering import constant_of, lowered, tensor_of
from netloom.emit.onnx.program import Program, Step, without
from netloom.emit.onnx.rewrites import REWRITES

SUBJECTS: dict[str, tuple[str, str, Goal | None]] = {
    "batchnorm": ("resnet18", "fold_batchnorm", None),
    "branches": ("repvgg_a0", "merge_branches", at_most(0.90)),
    "chain of matrices": ("matrices", "merge_chains", at_most(0.30)),
    "chain of convolutions": ("pairs", "merge_chains", at_most(0.92)),
    "padding": ("padded", "fold_padding", None),
    "scaling": ("scaled", "fold_scaling", None),
    "constants": ("cropped", "fold_constants", None),
}
"""For each rewrite a network on which it acts, its function, and what its latency should be."""

ALL = "netloom"
NONE = "netloom, not folded"
WITHOUT = "netloom, without this rewrite"
DYNAMO = "torch.onnx.export, dynamo"
SPLIT = "1x1 convolutions merged, and split"


def write_program(program: Program, path: Path) -> None:
    """A program that was rewritten here as a file."""
    write(path, (piece.read() for piece in pieces_of_one_file(program, {})))


def rewritten(subject: Subject, left_out: str) -> Program:
    """A network with all rewrites but one."""
    program = lowered(subject.graph, subject.weights)
    for rewrite in REWRITES:
        if rewrite.__name__ != left_out:
            rewrite(program)
    program.prune()
    return program


def write_sides(subject: Subject, left_out: str, place: Path) -> dict[str, Path]:
    """The network in all forms that are compared."""
    graph, weights, module = subject
    programs = {
        ALL: onnx.program(graph, weights)[0],
        WITHOUT: rewritten(subject, left_out),
        NONE: onnx.program(graph, weights, fold=False)[0],
    }
    paths: dict[str, Path] = {}
    for name, program in programs.items():
        paths[name] = place / f"{len(paths)}.onnx"
        write_program(program, paths[name])
    paths[DYNAMO] = place / "dynamo.onnx"
    export_dynamo(module, subject.image(2), paths[DYNAMO])
    return paths


def measured(name: str, rounds: int, batch: int) -> list[Table]:
    """One rewrite: latency, and the making of a session."""
    network, function, goal = SUBJECTS[name]
    subject = named(network)
    with folder() as place:
        paths = write_sides(subject, function, place)
        run = latency(f"{name}, {network}", subject, paths, rounds, batch, DYNAMO, goal)
        return [run, creation(f"{name}, {network}", paths, rounds)]


def latency(
    title: str,
    subject: Subject,
    paths: dict[str, Path],
    rounds: int,
    batch: int,
    reference: str,
    goal: Goal | None,
) -> Table:
    """Running every form, over that of the reference."""
    image = subject.image(batch)
    sessions = {side: session(path) for side, path in paths.items()}
    runs = {side: inference(model, image) for side, model in sessions.items()}
    check_equal(runs)
    # What takes less than a few milliseconds is run several times, so that the clock can tell it.
    shortest = calls(runs, 3).seconds(ALL)
    times = max(1, round(0.01 / shortest))
    found = calls({side: partial(repeated, run, times) for side, run in runs.items()}, rounds)
    milliseconds = found.seconds(reference) * 1e3 / times
    return Table(
        f"{title}: latency, batch {batch}, {milliseconds:.1f} ms",
        reference,
        compared(found, reference, {ALL: goal} if goal else {}),
    )


def repeated(run: Callable[[], Any], times: int) -> None:
    """Several runs as one."""
    for _ in range(times):
        run()


def creation(title: str, paths: dict[str, Path], rounds: int) -> Table:
    """Making a session of every form."""
    found = calls({side: partial(session, path) for side, path in paths.items()}, rounds)
    notes = {side: f"{path.stat().st_size / 1e6:.2f} MB" for side, path in paths.items()}
    milliseconds = found.seconds(DYNAMO) * 1e3
    rows = compared(found, DYNAMO, {}, notes)
    return Table(f"{title}: making a session, {milliseconds:.1f} ms", DYNAMO, rows)


def merge_siblings(program: Program) -> int:
    """1x1 convolutions with ReLU that read one tensor become one, and a split; returns how many."""
    relus = {step.inputs[0]: step for step in program.steps if step.op_type == "Relu"}
    siblings: dict[str, list[Step]] = {}
    for step in program.steps:
        if step.op_type == "Conv" and step.attributes["kernel_shape"] == (1, 1):
            siblings.setdefault(step.inputs[0], []).append(step)
    merged = [group for group in siblings.values() if len(group) > 1]
    for group in merged:
        _merge_group(program, group, [relus[step.outputs[0]] for step in group])
    program.prune()
    return len(merged)


def _merge_group(program: Program, group: list[Step], relus: list[Step]) -> None:
    first, name = group[0], group[0].name
    inputs = [first.inputs[0], f"{name}/weights", f"{name}/biases"]
    for index in (1, 2):
        parts = [program.tensors[step.inputs[index]].array() for step in group]
        program.tensors[inputs[index]] = tensor_of(numpy.concatenate(parts))
    widths = [program.tensors[step.inputs[1]].shape[0] for step in group]
    program.tensors[f"{name}/widths"] = constant_of("int64", (len(widths),), widths)
    together = [
        Step("Conv", inputs, [f"{name}/all"], first.attributes, f"{name}/conv", ()),
        Step("Relu", [f"{name}/all"], [f"{name}/positive"], {}, f"{name}/relu", ()),
        Step(
            "Split",
            [f"{name}/positive", f"{name}/widths"],
            [relu.outputs[0] for relu in relus],
            {"axis": 1},
            f"{name}/split",
            (),
        ),
    ]
    at = min(program.steps.index(step) for step in group)
    replaced = without(program.steps, {id(step) for step in (*group, *relus)})
    program.steps = [*replaced[:at], *together, *replaced[at:]]


def split(rounds: int, batch: int) -> Table:
    """GoogLeNet with its sibling convolutions merged, beside what the compiler emits."""
    subject = named("googlenet")
    plain, program = (onnx.program(subject.graph, subject.weights)[0] for _ in range(2))
    count = merge_siblings(program)
    with folder() as place:
        paths = {ALL: place / "plain.onnx", SPLIT: place / "split.onnx"}
        write_program(plain, paths[ALL])
        write_program(program, paths[SPLIT])
        title = f"not done: {count} inception blocks of GoogLeNet with one 1x1 convolution"
        return latency(title, subject, paths, rounds, batch, ALL, None)


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench rewrites", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=[*SUBJECTS, "split"], default=[])
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    tables: list[Table] = []
    for name in SUBJECTS:
        if not options.only or name in options.only:
            tables += map(show, measured(name, options.rounds, options.batch))
    if not options.only or "split" in options.only:
        tables.append(show(split(options.rounds, options.batch)))
    return tables


if __name__ == "__main__":
    main()
