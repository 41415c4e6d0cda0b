"""Feeding files to an exported model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.sizes import refusal
from netloom.extras import need
from netloom.ir.dims import size, sizes
from netloom.passes.admissible import Admissible, Bounds
from netloom.runtime.metadata import admissible_from
from netloom.train.preprocessing import Preprocessing

Array = numpy.ndarray[Any, Any]


@dataclass(frozen=True)
class Prediction:
    """What a model gave for one sample: outputs by name, and the best classes if it has classes."""

    source: str
    outputs: dict[str, Array]
    classes: tuple[tuple[str, float], ...]


def predict(session: Any, paths: Sequence[Path], top: int) -> list[Prediction]:
    """Runs a model that has one input on images or `.npy` files, one sample each.

    Raises `Failed`: E001 for a file that cannot be read, E605 for one that does not fit the input.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    inputs = session.get_inputs()
    if len(inputs) != 1:
        listed = ", ".join(f"`{each.name}`" for each in inputs)
        message = f"the model has {len(inputs)} inputs ({listed}); `run` feeds models with one"
        raise Failed(Diagnostic("E605", message))
    (wanted,) = inputs
    preprocessing = json.loads(metadata.get("netloom.preprocessing", "{}")).get(wanted.name)
    admissible = admissible_from(metadata) or _declared(wanted)
    network = metadata.get("netloom.network", "the model")
    names = [each.name for each in session.get_outputs()]
    predictions = []
    for path in paths:
        for position, sample in enumerate(_samples(path, wanted, preprocessing)):
            reason = refusal(network, admissible, {wanted.name: sample.shape})
            if reason:
                raise Failed(Diagnostic("E605", f"`{path}` does not fit: {reason}"))
            outputs = dict(zip(names, session.run(names, {wanted.name: sample}), strict=True))
            source = str(path) if position == 0 else f"{path}[{position}]"
            predictions.append(Prediction(source, outputs, _best(outputs, metadata, top)))
    return predictions


def _declared(wanted: Any) -> Admissible:
    """What a model that does not know its admissible sizes declares of its input."""
    shape = tuple(
        dim if isinstance(dim, int) else size(str(dim or f"axis{index}"))
        for index, dim in enumerate(wanted.shape)
    )
    return Admissible(
        {wanted.name: shape}, {each.name: Bounds() for d in shape for each in sizes(d)}
    )


def _samples(path: Path, wanted: Any, preprocessing: Any) -> list[Array]:
    """The samples of a file, each as a batch of one."""
    if not path.is_file():
        raise Failed(Diagnostic("E001", f"there is no file `{path}`"))
    if path.suffix == ".npy":
        return _array_samples(path, wanted)
    if preprocessing is None:
        message = f"the model does not say how an image becomes its input `{wanted.name}`"
        help = "give an .npy file, or export from a run that was trained on images"
        raise Failed(Diagnostic("E605", message, help=help))
    pillow = need("PIL.Image", "gpu")
    try:
        with pillow.open(path) as image:
            sample = Preprocessing.from_json(preprocessing).apply(image)
    except (OSError, ValueError) as problem:
        raise Failed(Diagnostic("E605", f"`{path}` is not a usable image: {problem}")) from None
    return [sample[None]]


def _array_samples(path: Path, wanted: Any) -> list[Array]:
    try:
        array: Array = numpy.load(path, allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise Failed(Diagnostic("E605", f"`{path}` is not a usable array: {problem}")) from None
    shape = wanted.shape
    if array.ndim == len(shape) - 1:
        array = array[None]
    elements = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(bool)": "bool"}
    expected = elements.get(wanted.type, wanted.type)
    if numpy.issubdtype(array.dtype, numpy.floating) and expected == "float32":
        array = array.astype("float32")
    if array.ndim != len(shape) or str(array.dtype) != expected:
        message = f"`{path}` holds {array.dtype}{list(array.shape)}"
        help = f"input `{wanted.name}` is {expected}[{', '.join(str(each) for each in shape)}]"
        raise Failed(Diagnostic("E605", message, help=help))
    return [array[index : index + 1] for index in range(len(array))]


def _best(
    outputs: dict[str, Array], metadata: dict[str, str], top: int
) -> tuple[tuple[str, float], ...]:
    """The classes of the head that scores them; one that sums to 1 is preferred to raw scores."""
    labels = json.loads(metadata.get("netloom.classes", "[]"))
    scores = [output[0] for output in outputs.values() if output.ndim == 2 and len(output) == 1]
    scores = [each for each in scores if not labels or len(each) == len(labels)]
    if not scores:
        return ()
    chosen = max(scores, key=lambda each: numpy.isclose(each.sum(), 1, atol=1e-4))
    order = numpy.argsort(-chosen, kind="stable")[:top]
    return tuple((labels[i] if labels else str(i), float(chosen[i])) for i in order)
