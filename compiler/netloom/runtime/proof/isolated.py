"""ONNX Runtime in a child process, so that native code cannot take this one down.

A stranger's model may crash it, never end, or ask for all memory. Then the child is ended, and a
diagnostic says in which run that was.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.extras import need
from netloom.runtime.proof import onnx_process

Array = numpy.ndarray[Any, Any]


NO_MEMORY = ("MemoryError", "bad_alloc", "Memory allocation still failed")
"""What Python, C++ and OpenBLAS say last where there is not even enough to start with."""


class Limits(NamedTuple):
    """What the child may take: bytes of address space, and seconds for each answer."""

    memory: int
    seconds: float


class Tensor(NamedTuple):
    """An input or output of a model, with the element type as ONNX Runtime writes it."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


class Interface(NamedTuple):
    """What a model takes and gives."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class IsolatedRuntime:
    """A child process with open sessions; a context manager, which ends it.

    Raises `Failed` where it ends before its answer, or takes longer or more memory than the limits
    allow (E613).
    """

    def __init__(self, limits: Limits) -> None:
        need("onnxruntime", "gpu")
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="netloom-")
        self.folder = Path(self._folder.name)
        self._errors = self.folder / "stderr"
        command = [sys.executable, "-P", str(Path(onnx_process.__file__).resolve())]
        command += [str(limits.memory), str(int(limits.seconds) + 1)]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()

    def open(
        self, session: str, model: Path, optimise: bool, exposed: Sequence[str] = ()
    ) -> Interface:
        """Opens a session under a name; `exposed` are tensors inside that become outputs.

        Raises `Failed` (E604) for what is no model.
        """
        request = {
            "do": "open",
            "session": session,
            "model": str(model),
            "optimise": optimise,
            "exposed": list(exposed),
        }
        answer = self._ask(request, f"loading the model, {session}")
        if "failed" in answer:
            message = f"ONNX Runtime cannot load `{model.name}`: {answer['failed']}"
            raise Failed(Diagnostic("E604", message))
        return Interface(_tensors(answer["inputs"]), _tensors(answer["outputs"]))

    def run(
        self, session: str, inputs: Mapping[str, Array], wanted: Sequence[str], during: str
    ) -> dict[str, Array]:
        """Some outputs by name; `during` names the run. Raises `Failed` (E606) where it fails."""
        given, made = self.folder / "inputs.npz", self.folder / "outputs.npz"
        numpy.savez(given, *inputs.values())
        request = {
            "do": "run",
            "session": session,
            "names": list(inputs),
            "inputs": str(given),
            "wanted": list(wanted),
            "outputs": str(made),
        }
        where = f"{during}, {session}"
        answer = self._ask(request, where)
        if "failed" in answer:
            message = f"ONNX Runtime cannot run the model ({where}): {answer['failed']}"
            raise Failed(Diagnostic("E606", message))
        with numpy.load(made, allow_pickle=False) as arrays:
            return {name: arrays[f"arr_{index}"] for index, name in enumerate(wanted)}

    def _ask(self, request: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The answer to a request, which is waited for as long as the limits allow."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timer = Timer(self._limits.seconds, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            was_late = timer.finished.is_set()
            timer.cancel()
        if not line:
            self.process.wait()
            raise self._ended(was_late, where)
        answer: dict[str, Any] = json.loads(line)
        if answer.get("lacks_memory"):
            raise self._lacks_memory(where)
        return answer

    def _ended(self, was_late: bool, where: str) -> Failed:
        """Why there is no answer."""
        if was_late:
            message = f"ONNX Runtime took longer than {self._limits.seconds:g} s ({where})"
            help = "more time is given with `--seconds`; or does the model contain an endless loop?"
            return Failed(Diagnostic("E613", message, help=help))
        last = self._errors.read_text(errors="replace").strip().splitlines()[-1:]
        if any(words in line for line in last for words in NO_MEMORY):
            return self._lacks_memory(where)
        message = f"ONNX Runtime crashed: {ending(self.process.returncode)} ({where})"
        return Failed(Diagnostic("E613", message, help="\n".join(last) or None))

    def _lacks_memory(self, where: str) -> Failed:
        most = f"{self._limits.memory / 2**30:.1f} GiB"
        message = f"ONNX Runtime needs more memory than the {most} that it is given ({where})"
        help = "more is given with `--memory`, in GiB; or is this a model of another network?"
        return Failed(Diagnostic("E613", message, help=help))


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was ended by the signal {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def _tensors(described: Sequence[Sequence[Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, kind, tuple(shape)) for name, kind, shape in described)
