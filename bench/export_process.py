"""From a checkpoint to an ONNX file as whole processes: `netloom export` beside PyTorch.

PyTorch's side is `export_script.py`: the emitted module, written to a file beforehand and made
without initial weights, loads the same checkpoint and is exported for any batch. (Torchvision's own
ResNet-50 would have to be imported, which takes a second more.) Start-up, imports, reading and
writing are counted on both sides; the proof, which PyTorch does not have, is not. Files are in
memory, so that nobody waits for a disk; how long ours takes on the disk, where it is flushed, is
shown beside.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.torch import save_file

from bench.exporters import folder
from bench.networks import FILES, HERE, named
from bench.processes import prepare, python
from bench.report import Goal, Row, Table, at_least, at_most, compared, row, show
from bench.rounds import Cost, Rounds, interleaved
from netloom.emit.torch import source

SCRIPT = HERE / "export_script.py"
PASS = "python -c pass"
FOLDED = "netloom export"
REFERENCE = "netloom export --by-reference"
DYNAMO = "python, torch.onnx.export, dynamo"
TORCHSCRIPT = "python, torch.onnx.export, TorchScript"


def measured(rounds: int, export_rounds: int) -> tuple[Rounds, Rounds]:
    """Many rounds of the quick processes, few in which PyTorch's take part."""
    with folder() as place, folder(on_disk=True) as disk:
        subject = named("resnet50")
        checkpoint = str(place / "weights.safetensors")
        save_file(subject.module.state_dict(), checkpoint)
        (place / "resnet50.py").write_text(source(subject.graph))

        def export(model: Path, *options: str) -> Callable[[], Cost]:
            plain = ("export", str(FILES["resnet50"]), "-w", checkpoint, "--no-verify")
            return python("-m", "netloom", *plain, "-o", str(model), *options)

        ours = {
            PASS: python("-c", "pass"),
            FOLDED: export(place / "a.onnx"),
            f"{FOLDED} --no-fold": export(place / "b.onnx", "--no-fold"),
            f"{FOLDED} --external": export(place / "c.onnx", "--external"),
            f"{FOLDED}, flushed to the disk": export(disk / "d.onnx"),
            REFERENCE: export(place / "e.onnx", "--by-reference"),
        }
        exports = {
            name: python(str(SCRIPT), exporter, str(place), checkpoint, str(place / "f.onnx"))
            for name, exporter in ((DYNAMO, "dynamo"), (TORCHSCRIPT, "torchscript"))
        }
        for turn in (*ours.values(), *exports.values()):
            turn()  # files and bytecode are in memory
        quick = interleaved(ours, rounds)
        chosen = {name: ours[name] for name in (FOLDED, REFERENCE)}
        return quick, interleaved(chosen | exports, export_rounds)


def tables(quick: Rounds, slow: Rounds) -> list[Table]:
    """Times and peaks of memory."""
    notes = {name: f"{quick.largest(name):.0f} MiB" for name in quick.costs}
    title = "ResNet-50, checkpoint to ONNX, whole processes"
    times = [
        _row(slow, DYNAMO, FOLDED, at_least(30)),
        _row(slow, TORCHSCRIPT, FOLDED, None),
        _row(slow, DYNAMO, REFERENCE, at_least(150)),
        _row(slow, TORCHSCRIPT, REFERENCE, None),
    ]
    peaks = [
        _peak(slow, FOLDED, DYNAMO, 0.25),
        _peak(slow, FOLDED, TORCHSCRIPT, 0.25),
        _peak(slow, REFERENCE, DYNAMO, 64 / slow.largest(DYNAMO)),
    ]
    return [
        Table(title, PASS, compared(quick, PASS, {}, notes)),
        Table(f"{title}, time", "the second", times),
        Table(f"{title}, peak of memory", "the second", peaks),
    ]


def _row(found: Rounds, name: str, reference: str, goal: Goal | None) -> Row:
    note = f"{found.seconds(name):.2f} s to {found.seconds(reference):.3f} s"
    given = row(found, name, reference, goal, note)
    return given._replace(name=f"{name} / {reference}")


def _peak(found: Rounds, name: str, reference: str, bound: float) -> Row:
    note = f"{found.largest(name):.0f} MiB to {found.largest(reference):.0f} MiB"
    return Row(f"{name} / {reference}", found.peak(name, reference), at_most(bound), note)


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench export_process", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--export-rounds", type=int, default=3)
    options = parser.parse_args(given)
    prepare()
    return [show(each) for each in tables(*measured(options.rounds, options.export_rounds))]


if __name__ == "__main__":
    main()
