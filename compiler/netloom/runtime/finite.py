"""Numbers that are not finite, in what a model is fed and in what it gives."""

from collections.abc import Mapping

import numpy

from netloom.diagnostics import Diagnostic, Note
from netloom.runtime.inputs import Array, Sample


def not_finite(sample: Sample, outputs: Mapping[str, Array]) -> Diagnostic | None:
    """The warning W621 where a sample or its outputs are NaN or infinite somewhere.

    It is no mistake: a mask may be infinite, a missing value NaN, and the logarithm of 0 is what
    it is. But a pooling or a comparison may hide a NaN, and then a result looks sound.
    """
    fed = [words for name, each in sample.feeds.items() if (words := _words("input", name, each))]
    given = [words for name, each in outputs.items() if (words := _words("output", name, each))]
    if not fed and not given:
        return None
    message = f"`{sample.source}`: {', '.join(fed or given)}"
    if not fed:
        return Diagnostic("W621", message, help="its inputs are finite: the model itself does that")
    notes = tuple(map(Note, given or ["all outputs are finite, which hides it"]))
    help = "is a value missing, or divided by zero, where the file was made?"
    return Diagnostic("W621", message, notes=notes, help=help)


def _words(what: str, name: str, array: Array) -> str | None:
    """`3 of 64 numbers of input `x` are NaN`; None where all are finite."""
    if not numpy.issubdtype(array.dtype, numpy.inexact):
        return None
    count = array.size - int(numpy.isfinite(array).sum())
    if not count:
        return None
    nans = int(numpy.isnan(array).sum())
    kind = "NaN" if nans == count else "NaN or infinite" if nans else "infinite"
    numbers = f"{count:,} of {array.size:,} numbers" if count < array.size else "all numbers"
    return f"{numbers} of {what} `{name}` are {kind}"
