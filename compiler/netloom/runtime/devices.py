"""The devices that ONNX Runtime can be asked for, and why one cannot be had."""

import ctypes
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Literal

Device = Literal["auto", "cpu", "cuda", "tensorrt"]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

ORDER = {
    "auto": ("cuda", "cpu"),  # TensorRT builds its engines for minutes, so it is taken by name only
    "cpu": ("cpu",),
    "cuda": ("cuda",),
    "tensorrt": ("tensorrt",),
}
"""What is tried for a device, in order."""

WORDS = {"cpu": "the CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}

_FULL_FLOAT32 = {"use_tf32": "0"}
"""CUDA rounds the factors of products to 10 bits unless told otherwise, and a model's proof holds
for float32."""


def providers_for(device: str) -> list[Any]:
    """The execution providers of a session, with what they leave to one another behind them."""
    if device == "cpu":
        return [PROVIDERS["cpu"]]
    cuda = (PROVIDERS["cuda"], _FULL_FLOAT32)
    first = [PROVIDERS["tensorrt"]] if device == "tensorrt" else []
    return [*first, cuda, PROVIDERS["cpu"]]


def hindrance(runtime: Any, device: str) -> str | None:
    """What is missing for a device before a session is tried; None if nothing is.

    `runtime` is the module onnxruntime. A package lists the providers that it was built with,
    also where they cannot run.
    """
    if device == "cpu":
        return None
    if PROVIDERS[device] not in runtime.get_available_providers():
        return f"the installed ONNX Runtime was built without {WORDS[device]}"
    return _missing_gpu()


def _missing_gpu() -> str | None:
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return f"there is no NVIDIA driver ({name} is not found)"
    count = ctypes.c_int(0)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code:
        return f"the NVIDIA driver gives no GPU (its error {code})"
    return None if count.value else "the NVIDIA driver finds no GPU"


def load_libraries(runtime: Any) -> None:
    """Loads the CUDA libraries that came as Python packages, which ONNX Runtime does not look for.

    What it prints about those that it cannot load is found again by `missing_library`.
    """
    if hasattr(runtime, "preload_dlls"):
        with redirect_stdout(StringIO()):
            runtime.preload_dlls(directory="")


_LOADING = """
import ctypes, io, sys
from contextlib import redirect_stdout
import onnxruntime
with redirect_stdout(io.StringIO()):
    getattr(onnxruntime, "preload_dlls", lambda directory: None)(directory="")
try:
    ctypes.CDLL(sys.argv[1])
except OSError as problem:
    print(problem)
"""


def missing_library(runtime: Any, device: str) -> str:
    """Why a provider that there is a GPU for was not loaded, after a session has gone without it.

    Its library is loaded by another process: in this one ONNX Runtime must be the one to do it.
    """
    library = Path(runtime.__file__).parent / "capi" / f"libonnxruntime_providers_{device}.so"
    unknown = f"ONNX Runtime did not take {WORDS[device]} and does not say why"
    if not library.exists():
        return unknown
    command = [sys.executable, "-c", _LOADING, str(library)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return unknown
    return found.stdout.strip() or unknown
