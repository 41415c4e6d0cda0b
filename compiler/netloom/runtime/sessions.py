"""ONNX Runtime sessions, with a plain answer where a model or a provider cannot be had."""

from pathlib import Path
from typing import Any, Literal

from netloom.diagnostics import Diagnostic, Failed
from netloom.extras import need

Device = Literal["auto", "cpu", "cuda"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(model: Path | bytes, device: Device = "cpu", optimise: bool = True) -> Any:
    """An inference session.

    "auto" takes CUDA where a session really gets it, else the CPU. Raises `Failed`: E001 and E604
    for a file that is missing or no model, E607 if CUDA was asked for and cannot be had.
    """
    runtime = need("onnxruntime", "gpu")
    content = _content(model)
    runtime.set_default_logger_severity(4)  # what fails is told below, in our words
    options = runtime.SessionOptions()
    if not optimise:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    wanted = ["cpu"] if device == "cpu" else ["cuda", "cpu"]
    if device != "cpu" and hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls(directory="")
    known = runtime.get_available_providers()
    providers = [_PROVIDERS[each] for each in wanted if _PROVIDERS[each] in known]
    try:
        session = runtime.InferenceSession(content, options, providers=providers)
    except Exception as problem:  # ONNX Runtime raises a class of its own for each kind
        reason = str(problem).splitlines()[0]
        what = f"`{model}`" if isinstance(model, Path) else "the model"
        raise Failed(Diagnostic("E604", f"ONNX Runtime cannot load {what}: {reason}")) from None
    if device == "cuda" and _PROVIDERS["cuda"] not in session.get_providers():
        message = "CUDA was asked for, but ONNX Runtime cannot use it here"
        help = "`netloom doctor` shows what is missing; `--device cpu` runs without it"
        raise Failed(Diagnostic("E607", message, help=help))
    return session


def device_of(session: Any) -> str:
    """Where a session runs: "cuda" or "cpu"."""
    return "cuda" if _PROVIDERS["cuda"] in session.get_providers() else "cpu"


def _content(model: Path | bytes) -> bytes:
    if isinstance(model, bytes):
        return model
    try:
        return model.read_bytes()
    except OSError as problem:
        reason = (problem.strerror or "").lower()
        raise Failed(Diagnostic("E001", f"cannot read `{model}`: {reason}")) from None
