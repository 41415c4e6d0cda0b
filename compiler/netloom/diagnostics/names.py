"""Names that are not known: which known one was meant, and whether that is certain."""

import re
from collections.abc import Container, Iterable

from netloom.diagnostics.diagnostic import Diagnostic, Edit, Span

_ARGUMENTS_ELSEWHERE = {
    "kernelsize": "kernel",
    "ksize": "kernel",
    "padding": "pad",
    "strides": "stride",
    "dilations": "dilation",
    "outchannels": "out",
    "outfeatures": "out",
    "filters": "out",
    "usebias": "bias",
    "negativeslope": "slope",
    "scalefactor": "factor",
    "outputpadding": "output_pad",
    "learningrate": "lr",
    "dim": "axis",
    "hiddensize": "units",
    "numgroups": "groups",
    "droprate": "p",
    "rate": "p",
}
"""What other frameworks call an argument, without capitals and underscores, and what we call it."""

_OPERATORS_ELSEWHERE = {
    "conv1d": "conv",
    "conv2d": "conv",
    "convolution": "conv",
    "convtranspose": "deconv",
    "convtranspose2d": "deconv",
    "conv2dtranspose": "deconv",
    "upconv": "deconv",
    "maxpool2d": "maxpool",
    "maxpooling2d": "maxpool",
    "avgpool2d": "avgpool",
    "averagepooling2d": "avgpool",
    "gap": "global_avgpool",
    "adaptiveavgpool2d": "global_avgpool",
    "globalaveragepooling2d": "global_avgpool",
    "batchnorm2d": "batchnorm",
    "batchnormalization": "batchnorm",
    "bn": "batchnorm",
    "dense": "linear",
    "fc": "linear",
    "fullyconnected": "linear",
    "innerproduct": "linear",
    "cat": "concat",
    "concatenate": "concat",
    "sum": "add",
    "multiply": "mul",
    "swish": "silu",
    "hswish": "hardswish",
    "hsigmoid": "hardsigmoid",
    "leakyrelu": "leaky_relu",
    "localresponsenorm": "lrn",
    "maxunpool": "unpool",
    "maxunpool2d": "unpool",
    "interpolate": "upsample",
    "upsampling2d": "upsample",
    "dropout2d": "dropout",
    "stochasticdepth": "drop_path",
    "droppath": "drop_path",
    "chunk": "split",
    "view": "flatten",
    "reshape": "flatten",
}
"""What other frameworks call an operator, and the nearest one here."""

_NEEDLESS = dict.fromkeys(
    ("inchannels", "infeatures", "inputsize", "numfeatures", "inputshape"),
    "what enters has its channels; only those that come out are given",
)
"""Arguments of other frameworks that have no counterpart, and why."""


def unknown_name(
    code: str,
    message: str,
    span: Span,
    name: str,
    known: Iterable[str],
    given: Container[str] = (),
) -> Diagnostic:
    """The diagnostic of a name that is not one of those that are known here.

    `given` are the known names that the spec itself gives.
    """
    names = _comparable(name, known)
    edit = respelling(span, name, names, given)
    return Diagnostic(code, message, span, help=did_you_mean(name, names), edit=edit)


MANY = 500
"""Among more names than that, only another notation of a name is proposed for it."""


def _comparable(name: str, known: Iterable[str]) -> list[str]:
    """The known names with which a name is compared, of which it may be a misspelling."""
    names = list(known)
    if len(names) > MANY:
        # One search through a text of all names, as there may be thousands of such mistakes.
        plain = _plain("\n".join(names)).split("\n")
        if plain.count(_plain(name)) != 1:
            return []
        names = [names[plain.index(_plain(name))]]
    return sorted(names)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A `help` line that names the nearest known name, or lists all when they are few."""
    names = _comparable(name, known)
    plain = _plain(name)
    if plain in _NEEDLESS:
        return _NEEDLESS[plain]
    elsewhere = (_ARGUMENTS_ELSEWHERE.get(plain), _OPERATORS_ELSEWHERE.get(plain))
    near = next((each for each in elsewhere if each in names), None)
    near = near or meant(name, names) or _nearest(name, names) or _nearest(name.lower(), names)
    if near:
        return f"did you mean `{near}`?"
    if 0 < len(names) <= 12:
        return "one of " + ", ".join(f"`{known_name}`" for known_name in names)
    return None


def respelling(
    span: Span, name: str, known: Iterable[str], given: Container[str] = ()
) -> Edit | None:
    """The edit that puts a name right, where it is certain which one was meant.

    Of a name that a spec gives and never uses, it may be the giving that is misspelt. `span` may
    hold the name in quotes; where it holds something else, such as a constant that stands for the
    name, nothing is certain.
    """
    text = span.source.text
    written = text[span.start : span.end]
    right = meant(name, known)
    if right is None or written not in (name, f'"{name}"'):
        return None
    if right in given and _is_written_once(right, text):
        return None
    return Edit(span, written.replace(name, right))


def _is_written_once(name: str, text: str) -> bool:
    """Whether a name stands in a text no more than once, as a word of its own."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    place, found = text.find(name), 0  # which is faster than to search for the pattern
    while place >= 0 and found < 2:
        begin = max(0, place - 1)
        found += word.search(text, begin, place + len(name) + 1) is not None
        place = text.find(name, place + 1)
    return found < 2


def meant(name: str, known: Iterable[str]) -> str | None:
    """The one known name that can have been meant: the same but for notation, or one slip away."""
    names = list(known)
    same = [each for each in names if _plain(each) == _plain(name)]
    near = same or [each for each in names if _is_slip(name, each)]
    return near[0] if len(near) == 1 else None


def _nearest(name: str, names: list[str]) -> str | None:
    import difflib  # which costs a check without mistakes more than it would take to render one

    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


def _plain(name: str) -> str:
    """A name without capitals and underscores: `BatchNorm` and `batch_norm` are `batchnorm`."""
    return name.replace("_", "").lower()


def _is_slip(one: str, other: str) -> bool:
    """Whether two names differ by one slip of the finger, and not by intent.

    Names that differ in digits or capitals, `conv1` and `conv2`, are meant to differ, and very
    short names are all near one another.
    """
    if max(len(one), len(other)) < 4 or _marks(one) != _marks(other):
        return False
    if len(one) < len(other):
        one, other = other, one
    pairs = zip(one, other, strict=False)
    start = next((i for i, (a, b) in enumerate(pairs) if a != b), len(other))
    one, other = one[start:], other[start:]
    if len(one) > len(other):
        return one[1:] == other
    swapped = one[1::-1] == other[:2] and one[2:] == other[2:]
    return swapped or one[1:] == other[1:]


def _marks(name: str) -> list[str]:
    return re.findall(r"[A-Z0-9]", name)
