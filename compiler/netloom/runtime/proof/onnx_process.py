"""ONNX Runtime in a process of its own: the program that `isolated.py` starts.

It is started with the bytes of memory and the seconds of computing that it may take, reads requests
from stdin and answers each on stdout, as JSON in lines; arrays are in files. It imports nothing of
netloom, so that it starts quickly.
"""

import json
import os
import sys
from typing import Any, TextIO

try:
    import resource
except ImportError:  # not on Windows, where there are no such limits
    resource = None  # type: ignore[assignment]

Request = dict[str, Any]

_DATA_FOLDER = "session.model_external_initializers_file_folder_path"

_NO_MEMORY = ("allocate memory", "bad_alloc", "bad allocation")


def main() -> None:
    """Answers requests until stdin ends."""
    memory, seconds = map(int, sys.argv[1:])
    limit_memory(memory)
    import numpy  # noqa: F401  what fails here has nothing to do with a request
    import onnxruntime  # noqa: F401

    answers = _own_stdout()
    runtime = Runtime()
    for line in sys.stdin:
        limit_seconds(seconds)
        print(json.dumps(runtime.answer(json.loads(line))), file=answers, flush=True)


def limit_memory(most: int) -> None:
    """Allocations fail beyond this many bytes of address space."""
    if resource:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def limit_seconds(more: int) -> None:
    """Ends this process when all its threads have computed so long from now on.

    Whoever started it watches the clock; this is for the case that nobody does any longer.
    """
    if resource:
        used = sum(os.times()[:2])
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        soft = int(used) + more * (os.cpu_count() or 1) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _own_stdout() -> TextIO:
    """The stream of answers; what native code prints goes to stderr instead."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


class Runtime:
    """Open sessions by name."""

    def __init__(self) -> None:
        self.sessions: dict[str, Any] = {}

    def answer(self, request: Request) -> dict[str, Any]:
        """What a request comes to: its result, or why there is none."""
        try:
            return self._open(request) if request["do"] == "open" else self._run(request)
        except Exception as problem:  # ONNX Runtime raises a class of its own for each kind
            text = str(problem) or type(problem).__name__
            lacks_memory = isinstance(problem, MemoryError) or any(
                each in text for each in _NO_MEMORY
            )
            return {"failed": text.splitlines()[0], "lacks_memory": lacks_memory}

    def _open(self, request: Request) -> dict[str, Any]:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # what fails is told in the answer
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Threads that wait for work between two runs take the cores from whoever asks.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if not request["optimise"]:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        model: str | bytes = request["model"]
        if request["exposed"]:
            folder = os.path.dirname(request["model"])
            options.add_session_config_entry(_DATA_FOLDER, folder)
            with open(request["model"], "rb") as file:
                model = file.read() + _with_outputs(request["exposed"])
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.sessions[request["session"]] = session
        return {
            "inputs": [[each.name, each.type, each.shape] for each in session.get_inputs()],
            "outputs": [[each.name, each.type, each.shape] for each in session.get_outputs()],
        }

    def _run(self, request: Request) -> dict[str, Any]:
        import numpy

        with numpy.load(request["inputs"], allow_pickle=False) as given:
            arrays = [given[f"arr_{index}"] for index in range(len(request["names"]))]
        feeds = dict(zip(request["names"], arrays, strict=True))
        results = self.sessions[request["session"]].run(request["wanted"], feeds)
        numpy.savez(request["outputs"], *results)
        return {}


def _with_outputs(names: list[str]) -> bytes:
    """What to write behind a model so that it has these outputs, too.

    Where a message of protobuf has a field twice, its readers merge the two: a second graph with
    nothing but outputs adds them to the first. ONNX Runtime finds their types itself.
    """
    model_graph, graph_output, value_name = 7, 12, 1
    outputs = [_field(graph_output, _field(value_name, name.encode())) for name in names]
    return _field(model_graph, b"".join(outputs))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


if __name__ == "__main__":
    main()
