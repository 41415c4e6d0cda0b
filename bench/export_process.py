"""From a checkpoint to an ONNX file as whole processes: `netloom export` beside PyTorch.

PyTorch's side is `export_torchvision.py`: torchvision's own ResNet-50, made without initial
weights, loads the same tensors and is exported for any batch. Start-up, imports, reading and
writing are counted on both sides; the proof, which PyTorch does not have, is not. Files are in
memory, so that nobody waits for a disk; how long ours takes on the disk, where it is flushed, is
shown beside.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file
from torchvision.models import resnet50

from bench.exporters import folder
from bench.networks import FILES, HERE, named
from bench.processes import prepare, process, python
from bench.report import Goal, Row, Table, at_least, at_most, compared, row, show
from bench.rounds import Rounds, interleaved

SPEC = FILES["resnet50"]
SCRIPT = HERE / "export_torchvision.py"
PASS = "python -c pass"
FOLDED = "netloom export"
REFERENCE = "netloom export --by-reference"
DYNAMO = "python, torch.onnx.export, dynamo"
TORCHSCRIPT = "python, torch.onnx.export, TorchScript"


def save_checkpoints(ours: Path, torchvisions: Path) -> None:
    """The same weights under the names of either side."""
    theirs = resnet50().state_dict()
    own = named("resnet50").module.state_dict()
    for tensor, name in zip(own.values(), theirs, strict=True):  # both in the order of the layers
        assert tensor.shape == theirs[name].shape
        theirs[name] = tensor
    save_file(own, ours)
    save_file(theirs, torchvisions)


def measured(rounds: int, export_rounds: int) -> tuple[Rounds, Rounds]:
    """Many rounds of the quick processes, few in which PyTorch's take part."""
    with folder() as place, folder(on_disk=True) as disk:
        checkpoint, theirs = place / "netloom.safetensors", place / "torchvision.safetensors"
        save_checkpoints(checkpoint, theirs)
        plain = ["export", str(SPEC), "-w", str(checkpoint), "--no-verify", "-o"]
        script = str(Path(sys.executable).with_name("netloom"))
        ours = {
            PASS: python("-c", "pass"),
            FOLDED: process(script, *plain, str(place / "a.onnx")),
            "python -m netloom export": python("-m", "netloom", *plain, str(place / "b.onnx")),
            f"{FOLDED} --no-fold": process(script, *plain, str(place / "c.onnx"), "--no-fold"),
            f"{FOLDED} --external": process(script, *plain, str(place / "d.onnx"), "--external"),
            f"{FOLDED}, flushed to the disk": process(script, *plain, str(disk / "e.onnx")),
            REFERENCE: process(script, *plain, str(place / "f.onnx"), "--by-reference"),
        }
        exports = {
            name: python(str(SCRIPT), exporter, str(theirs), str(place / f"{exporter}.onnx"))
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
        _row(slow, TORCHSCRIPT, FOLDED, at_least(18)),
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
