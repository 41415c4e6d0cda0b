"""ONNX Runtime sessions, with a plain answer where a model or a provider cannot be had."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from netloom.diagnostics import Diagnostic, Failed
from netloom.extras import need
from netloom.runtime.devices import (
    ORDER,
    PROVIDERS,
    WORDS,
    Device,
    hindrance,
    load_libraries,
    missing_library,
    providers_for,
)
from netloom.runtime.external_data import external_files


class Opened(NamedTuple):
    """A session, the device that it really has, and why those tried before it were not taken."""

    session: Any
    device: str
    not_taken: Mapping[str, str]


class Placed(NamedTuple):
    """A node of the model and the device on which it runs."""

    name: str
    operator: str
    device: str


def open_session(model: Path | bytes, device: Device = "cpu", optimise: bool = True) -> Any:
    """An inference session; `opened` also tells which device it has."""
    return opened(model, device, optimise).session


def opened(
    model: Path | bytes, device: Device = "cpu", optimise: bool = True, threads: int = 0
) -> Opened:
    """An inference session on a device; 0 threads are as many as there are cores.

    "auto" takes CUDA where a session really gets it, else the CPU; a device that is named is never
    replaced. Raises `Failed`: E001 and E604 for a file that is missing or no model, or whose
    weights lie where they must not, E607 if the device cannot be had.
    """
    not_taken: dict[str, str] = {}
    for each in ORDER[device]:
        session = session_or_reason(model, each, optimise, threads)
        if not isinstance(session, str):
            return Opened(session, each, not_taken)
        not_taken[each] = session
    message = f"{WORDS[device]} was asked for and cannot be had: {not_taken[device]}"
    help = "`netloom doctor` shows what is there; `--device cpu` runs without it"
    raise Failed(Diagnostic("E607", message, help=help))


def session_or_reason(
    model: Path | bytes, device: str, optimise: bool = True, threads: int = 0
) -> Any | str:
    """A session on exactly this device, or why that cannot be had. Raises as `opened` does."""
    runtime = need("onnxruntime", "gpu")
    runtime.set_default_logger_severity(4)  # what fails is told in our words
    outside = external_files(model)
    reason = hindrance(runtime, device)
    if reason:
        return reason
    session = _session(runtime, model, device, _options(runtime, optimise, threads), outside)
    if session is None or PROVIDERS[device] not in session.get_providers():
        return missing_library(runtime, device)
    return session


def device_of(session: Any) -> str:
    """The first of its devices: "tensorrt", "cuda" or "cpu"."""
    first = session.get_providers()[0]
    return next(device for device, provider in PROVIDERS.items() if provider == first)


def placement_of(session: Any) -> list[Placed] | None:
    """Each node of a model and where it runs, as the model has them before they are fused.

    None where the version of ONNX Runtime does not tell.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    devices = {provider: device for device, provider in PROVIDERS.items()}
    return [
        Placed(node.name, node.op_type, devices.get(part.ep_name, part.ep_name))
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def left_on_cpu(nodes: list[Placed]) -> str:
    """The operators that run on the CPU with their numbers: `2 MaxUnpool, 1 Shape`."""
    counts = Counter(node.operator for node in nodes if node.device == "cpu")
    return ", ".join(f"{count} {operator}" for operator, count in counts.most_common())


def reason_in(problem: Exception) -> str:
    """What ONNX Runtime says, without its own codes, paths and functions."""
    text = str(problem).strip().split("\n", 1)[0] or type(problem).__name__
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed:", "", text)
    return re.sub(r"/onnxruntime_src/\S+:\d+ .*?\) (?=[A-Z])", "", text)


def _options(runtime: Any, optimise: bool, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    # An `.ort` file is another format, which is not looked into here.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # Threads that wait for work between two runs take the cores from everything else.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not optimise:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _session(
    runtime: Any, model: Path | bytes, device: str, options: Any, outside: Mapping[str, Any]
) -> Any | None:
    """A session; None where TensorRT's libraries are missing, for which it raises."""
    if device != "cpu":
        load_libraries(runtime)
    content = str(model) if isinstance(model, Path) else model
    if outside and hasattr(options, "add_external_initializers_from_files_in_memory"):
        # What was checked is what is loaded, also if the files are replaced in between.
        names, files = list(outside), list(outside.values())
        options.add_external_initializers_from_files_in_memory(names, files, list(map(len, files)))
    try:
        return runtime.InferenceSession(
            content, options, providers=providers_for(device), enable_fallback=False
        )
    except Exception as problem:  # ONNX Runtime raises a class of its own for each kind
        if device == "tensorrt" and type(problem) is RuntimeError:
            return None
        what = f"`{model}`" if isinstance(model, Path) else "the model"
        message = f"ONNX Runtime cannot load {what}: {reason_in(problem)}"
        help = "export it again; a model from elsewhere may need a newer ONNX Runtime"
        raise Failed(Diagnostic("E604", message, help=help)) from None
