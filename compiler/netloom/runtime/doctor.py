"""What is installed, and what it can use."""

import importlib.metadata
import platform
import shutil
import subprocess
from typing import Any

from netloom.runtime.devices import PROVIDERS

PACKAGES = {
    "core": ("lark", "numpy", "onnx", "typer", "rich"),
    "train": ("torch", "torchvision", "lightning", "torchmetrics", "safetensors", "scikit-learn",
              "matplotlib", "tensorboard", "pillow"),
    "gpu or cpu": ("onnxruntime-gpu", "onnxruntime"),
}  # fmt: skip


def examine() -> dict[str, Any]:
    """Versions of the packages by extra, ONNX Runtime's devices, GPUs, and problems in words."""
    versions = {
        extra: {package: _version(package) for package in packages}
        for extra, packages in PACKAGES.items()
    }
    problems = []
    runtimes = [name for name, version in versions["gpu or cpu"].items() if version]
    if len(runtimes) == 2:
        problems.append(
            "onnxruntime and onnxruntime-gpu share one module and break each other: "
            "pip uninstall both, then install one"
        )
    if not runtimes:
        problems.append("no ONNX Runtime: pip install 'netloom[gpu]', or 'netloom[cpu]'")
    missing = [package for package, version in versions["train"].items() if not version]
    if missing:
        problems.append(f"training needs {', '.join(missing)}: pip install 'netloom[train]'")
    devices = _devices() if runtimes else {}
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": versions,
        "providers": [PROVIDERS[device] for device, reason in devices.items() if not reason],
        "devices": devices,
        "gpus": _gpus(),
        "problems": problems,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, str | None]:
    """Each device, and why ONNX Runtime cannot be had on it; None where a session really runs.

    A package lists CUDA also where it cannot run.
    """
    from netloom.runtime.sessions import session_or_reason

    model = _smallest_model()
    found = {device: session_or_reason(model, device) for device in PROVIDERS}
    return {device: each if isinstance(each, str) else None for device, each in found.items()}


def _smallest_model() -> bytes:
    from netloom.compile import check
    from netloom.diagnostics import Source
    from netloom.emit import onnx

    spec = check(Source("smallest", "network smallest { input x: float32[N, 1]  head y = relu }"))
    return onnx.model_bytes(spec.networks["smallest"].graph, {})


def _gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]
