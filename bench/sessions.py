"""ONNX Runtime as a user starts it: one thread, its own optimiser on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import torch
from torch import Tensor, nn

Array = numpy.ndarray[Any, Any]

SAME = 1e-3
"""The largest difference of outputs, over the largest output, of two graphs that are compared."""


def session(path: Path) -> Any:
    """A session on the CPU."""
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def inference(model: Any, image: Tensor) -> Callable[[], Array]:
    """A call that runs a session on an image, whatever it calls its input."""
    (entry,) = model.get_inputs()
    feeds = {entry.name: image.numpy()}

    def run() -> Array:
        result: Array = model.run(None, feeds)[0]
        return result

    return run


def eager(module: nn.Module, image: Tensor) -> Callable[[], Array]:
    """A call that runs a module on an image."""

    def run() -> Array:
        with torch.inference_mode():
            result: Array = module(image).numpy()
        return result

    return run


def check_equal(runs: dict[str, Callable[[], Array]]) -> None:
    """Refuses to compare what does not compute the same; all are warm after this."""
    (first, expected), *others = ((name, run()) for name, run in runs.items())
    scale = numpy.abs(expected).max()
    if not 0 < scale < numpy.inf:
        raise ValueError(f"{first} gives {scale}, so nothing can be compared")
    for name, found in others:
        difference = numpy.abs(found - expected).max() / scale
        if not difference < SAME:
            raise ValueError(f"{name} differs from {first} by {difference:.1e}")


def file_size(path: Path) -> int:
    """Bytes of a model with the weights that lie beside it."""
    data = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (data.stat().st_size if data.exists() else 0)
