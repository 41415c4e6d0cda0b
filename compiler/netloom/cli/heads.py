"""What each head of a model gave for one sample, in a few lines of text, by what it is."""

from collections.abc import Mapping, Sequence

import numpy

from netloom.diagnostics.render import printable
from netloom.runtime.inputs import Array
from netloom.runtime.interface import Interface

FEW = 8
"""So many numbers are shown in their order; of more the largest."""

BAR = 30
"""The length of a bar that stands for 1."""


def heads_text(interface: Interface, outputs: Mapping[str, Array], top: int) -> list[str]:
    """The lines of each head, in the order of the model.

    Probabilities have bars, and logits become probabilities where the model has no head for these.
    Other numbers are shown as they are: nobody says what they mean.
    """
    probable = [
        array.shape
        for name, array in outputs.items()
        if interface.heads.get(name) == "probabilities"
    ]
    lines = []
    for name, array in outputs.items():
        kind = interface.heads.get(name)
        if kind == "logits" and array.shape in probable:
            kind = "raw logits"
        lines += _head(interface, name, array, kind, top)
    return lines


def is_map(array: Array) -> bool:
    """Whether an output is more than one row of numbers."""
    return array.ndim > 2 or (array.ndim == 2 and len(array) != 1)


def _head(interface: Interface, name: str, array: Array, kind: str | None, top: int) -> list[str]:
    if is_map(array):
        return [_summary(name, array)]
    if not array.size:
        return [f"  {printable(name)}: nothing"]
    values = array.reshape(-1)
    # A model that does not know what its heads are may still know the names of its classes.
    labels = interface.classes if kind or not interface.heads else ()
    labels = labels if len(labels) == len(values) else tuple(map(str, range(len(values))))
    if kind == "logits":
        return _ranked(name, "through a softmax", _softmax(values), labels, top, bars=True)
    if kind == "probabilities" and len(values) > 1:
        return _ranked(name, "", values, labels, top, bars=True)
    if kind == "raw logits" or labels is interface.classes or len(values) > FEW:
        return _ranked(name, "raw", values, labels, top, bars=False)
    return [f"  {printable(name)}: {'  '.join(map(_number, values))}"]


def _summary(name: str, array: Array) -> str:
    text = f"  {printable(name)}: {array.dtype}{list(array.shape)}"
    if not array.size:
        return text
    if array.dtype == bool:
        return f"{text}, {int(array.sum()):,} of {array.size:,} true"
    finite = array[numpy.isfinite(array)]
    if not finite.size:
        return f"{text}, none of them finite"
    of = "" if finite.size == array.size else f", of the {finite.size:,} that are finite"
    low, high, mean = map(_number, (finite.min(), finite.max(), finite.mean(dtype="float64")))
    return f"{text}, {low} to {high}, mean {mean}{of}"


def _ranked(
    name: str, how: str, values: Array, labels: Sequence[str], top: int, bars: bool
) -> list[str]:
    """The largest values with their labels, below the name of the head and how they are shown."""
    order = numpy.argsort(-values.astype("float64"), kind="stable")[:top]
    most = f"{len(order)} largest of {len(values):,}" if len(order) < len(values) else ""
    remarks = ", ".join(filter(None, (how, most)))
    lines = [f"  {printable(name)}" + (f" ({remarks})" if remarks else "")]
    numbers = [f"{each:.4f}" if bars else _number(each) for each in values[order]]
    shown = [printable(labels[index]) for index in order]
    wide, wide_number = (max(map(len, each), default=0) for each in (shown, numbers))
    for label, number, value in zip(shown, numbers, values[order], strict=True):
        bar = "█" * round(BAR * float(value)) if bars and 0 <= value <= 1 else ""
        lines.append(f"    {label:<{wide}}  {number:>{wide_number}}  {bar}".rstrip())
    return lines


def _softmax(logits: Array) -> Array:
    with numpy.errstate(invalid="ignore"):  # where they are not finite, which is told
        powers = numpy.exp(logits.astype("float64") - logits.max())
        probabilities: Array = powers / powers.sum()
    return probabilities


def _number(value: object) -> str:
    """Four decimals where that says enough, else five digits."""
    if not isinstance(value, numpy.floating):
        return str(value)
    return f"{value:.4f}" if value == 0 or 0.01 <= abs(value) < 10_000 else f"{value:.4e}"
