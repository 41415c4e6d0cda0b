"""Optional dependencies: imported where needed, and a clear error where they are missing."""

import importlib
from typing import Any, Literal

from netloom.diagnostics import Diagnostic, Failed


def need(module: str, extra: Literal["train", "gpu", "cpu"]) -> Any:
    """Imports a module of an extra. Raises `Failed` (E601) naming the command that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or not module.startswith(missing.name.split(".")[0]):
            raise
        package = module.split(".")[0]
        command = f"pip install 'netloom[{extra}]'"
        if package == "onnxruntime":
            command = "pip install 'netloom[gpu]', or 'netloom[cpu]' where there is no gpu wheel"
        message = f"this needs the package `{package}`, which is not installed"
        raise Failed(Diagnostic("E601", message, help=command)) from None
