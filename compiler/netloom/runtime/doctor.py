"""What is installed, and what it can use."""

import importlib.metadata
import platform
import shutil
import subprocess
from typing import Any

PACKAGES = {
    "core": ("lark", "numpy", "onnx", "typer", "rich"),
    "train": ("torch", "torchvision", "lightning", "torchmetrics", "safetensors", "scikit-learn",
              "matplotlib", "tensorboard", "pillow"),
    "gpu or cpu": ("onnxruntime-gpu", "onnxruntime"),
}  # fmt: skip


def examine() -> dict[str, Any]:
    """Versions of the packages by extra, ONNX Runtime's providers, GPUs, and problems in words."""
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
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": versions,
        "providers": _usable_providers() if runtimes else [],
        "gpus": _gpus(),
        "problems": problems,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _usable_providers() -> list[str]:
    """The providers that a session really gets; a wheel lists CUDA also where it cannot run."""
    from netloom.runtime.sessions import open_session

    session = open_session(_smallest_model(), "auto")
    return list(session.get_providers())


def _smallest_model() -> bytes:
    from onnx import TensorProto, helper

    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "smallest", described[:1], described[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def _gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]
