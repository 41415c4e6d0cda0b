"""The folder of one training run: what is where, and who may write to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.compile import Spec
from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.files import write_atomically
from netloom.emit.weights import expected
from netloom.extras import need
from netloom.ir.graph import Graph

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RunDirectory:
    """The places in a run directory. Every file is replaced as a whole, never written in place."""

    path: Path

    @property
    def spec(self) -> Path:
        """A copy of the spec's text, where it is one file."""
        return self.path / "spec.loom"

    @property
    def specs(self) -> Path:
        """The folder of the spec and its imports, where there are any."""
        return self.path / "spec"

    def save_spec(self, spec: Spec) -> None:
        """Keeps the text of a spec and of what it imports, as they lie to one another."""
        if len(spec.sources) == 1:
            write_atomically(self.spec, [spec.source.text.encode()])
            return
        write_atomically(self.specs / "netloom.toml", [b""])  # nothing outside can be imported
        for source in spec.sources:
            write_atomically(self.specs / spec.place_of(source), [source.text.encode()])

    @property
    def config(self) -> Path:
        """What was trained, on what, and with which settings and versions."""
        return self.path / "config.json"

    @property
    def model(self) -> Path:
        """The network as PyTorch source."""
        return self.path / "model.py"

    @property
    def exported(self) -> Path:
        """The network as ONNX model, where `netloom export` puts it."""
        return self.path / "model.onnx"

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def result(self) -> Path:
        """The last and the best epoch."""
        return self.path / "result.json"

    @property
    def last(self) -> Path:
        """The weights after the last epoch, or where training was stopped."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights after the best epoch."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def plot(self) -> Path:
        """Losses and metrics against epochs."""
        return self.path / "plots" / "loss.png"

    def clear(self) -> None:
        """Removes the files of an earlier run, so that none is taken for one of this run."""
        files = (self.spec, self.config, self.model, self.metrics, self.result, self.exported)
        lowered = self.path.glob(f"{self.exported.stem}.*{self.exported.suffix}")
        for file in (*files, *lowered, self.last, self.best, self.plot):
            file.unlink(missing_ok=True)
        for file in (*self.specs.rglob("*.loom"), self.specs / "netloom.toml"):
            file.unlink(missing_ok=True)


def create(out: Path | None, network: str, force: bool) -> RunDirectory:
    """Makes the folder of a new run: exactly `out`, or one named after network and time.

    With `force`, the files of an earlier run in `out` are removed; all others stay.

    Raises:
        Failed: E004 if `out` is a file or holds anything, E005 if it cannot be written.
    """
    try:
        if out is None:
            return RunDirectory(_numbered(Path("runs") / network))
        if out.exists() and not out.is_dir():
            raise Failed(Diagnostic("E004", f"`{out}` is a file, so no run can be put there"))
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            if not force:
                help = "name another folder, or replace the run with `--force`"
                raise Failed(Diagnostic("E004", f"the folder `{out}` is not empty", help=help))
            RunDirectory(out).clear()
        return RunDirectory(out)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        place = out or Path("runs") / network
        raise Failed(Diagnostic("E005", f"cannot write `{place}`: {reason}")) from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes plain data for people and programs. Raises `Failed` (E005) if that is impossible."""
    write_atomically(path, [json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"])


def save_weights(path: Path, graph: Graph, network: "torch.nn.Module") -> None:
    """Writes the weights of a network in training, by the names of `emit.weights.expected`.

    Raises:
        Failed: E005 if they cannot be written; what was at `path` is then still there.
    """
    state = network.state_dict()
    names = list(expected(graph))
    assert set(names) == set(state), "the emitted module has exactly the weights of its graph"
    tensors = {name: state[name].detach().cpu().contiguous() for name in names}
    content = need("safetensors.torch", "train").save(tensors, {"network": graph.name})
    write_atomically(path, [content])


def _numbered(parent: Path) -> Path:
    """A new folder named after the time; a number tells runs of the same second apart."""
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while True:
        path = parent / (stamp if number == 1 else f"{stamp}_{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return path
