"""What a model takes and gives, read from its session and from what it says about itself."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from netloom.diagnostics import Diagnostic, Failed
from netloom.ir.dims import Dim, Symbolic, size, sizes
from netloom.passes.admissible import Admissible, Bounds
from netloom.runtime.metadata import admissible_from

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({each})": each for each in ("int8", "int16", "int32", "int64")},
    **{f"tensor({each})": each for each in ("uint8", "uint16", "uint32", "uint64")},
}


class Wanted(NamedTuple):
    """What one input takes: a dtype as numpy names it, and its axes as the model declares them."""

    dtype: str
    shape: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(str(each) for each in self.shape)}]"


class Interface(NamedTuple):
    """What a model takes and gives.

    `batch` is the size that counts samples, where all inputs begin with the same one; the samples
    of a model without it come one by one, as they are. `separable` says that the outputs begin
    with it too, so that what came together can be told apart. `heads` has the kinds of those
    outputs of which the spec says what they are, as `HeadKind`.
    """

    network: str
    inputs: Mapping[str, Wanted]
    outputs: tuple[str, ...]
    admissible: Admissible
    batch: Dim | None
    separable: bool
    preprocessing: Mapping[str, Any]
    classes: tuple[str, ...]
    heads: Mapping[str, Any] = MappingProxyType({})


def interface_of(session: Any) -> Interface:
    """The interface of a session's model.

    Raises `Failed`: E604 for metadata that is damaged, E605 for a model that takes what files do
    not hold.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    inputs = {each.name: _wanted(each) for each in session.get_inputs()}
    if not inputs:
        raise Failed(Diagnostic("E605", "the model has no inputs, so there is nothing to give it"))
    admissible = admissible_from(metadata) or _declared(inputs)
    batch = _batch(admissible, inputs)
    firsts = [each.shape[0] if each.shape else None for each in session.get_outputs()]
    return Interface(
        metadata.get("netloom.network", "the model"),
        inputs,
        tuple(each.name for each in session.get_outputs()),
        admissible,
        batch,
        batch is not None and all(_is_size(first, batch) for first in firsts),
        _json(metadata, "netloom.preprocessing", dict),
        tuple(map(str, _json(metadata, "netloom.classes", list))),
        _json(metadata, "netloom.heads", dict),
    )


def _wanted(given: Any) -> Wanted:
    if given.type not in _DTYPES:
        message = f"input `{given.name}` is {given.type}, which cannot be given in a file"
        raise Failed(Diagnostic("E605", message))
    return Wanted(_DTYPES[given.type], tuple(given.shape))


def _declared(inputs: Mapping[str, Wanted]) -> Admissible:
    """What a model that does not know its admissible sizes declares of its inputs.

    A size is one and the same wherever its name stands, unless that is no name, as in `?`.
    """
    shapes = {
        name: tuple(_dim(name, index, dim) for index, dim in enumerate(wanted.shape))
        for name, wanted in inputs.items()
    }
    letters = {each.name for shape in shapes.values() for dim in shape for each in sizes(dim)}
    return Admissible(shapes, {letter: Bounds() for letter in sorted(letters)})


def _dim(name: str, index: int, dim: Any) -> Dim:
    if isinstance(dim, int):
        return dim
    is_named = isinstance(dim, str) and dim.isidentifier()
    return size(dim if is_named else f"axis {index} of {name}")


def _batch(admissible: Admissible, inputs: Mapping[str, Wanted]) -> Dim | None:
    shapes = [admissible.inputs.get(name) for name in inputs]
    firsts = {shape[0] for shape in shapes if shape}
    if len(firsts) != 1 or not all(shapes):
        return None
    (first,) = firsts
    is_bare = isinstance(first, Symbolic) and first == size(str(first))
    return first if is_bare or first == 1 else None


def _is_size(declared: Any, batch: Dim) -> bool:
    return isinstance(batch, Symbolic) and declared == str(batch)


def _json(metadata: Mapping[str, str], key: str, kind: type) -> Any:
    try:
        found = json.loads(metadata.get(key, "null"))
    except ValueError:
        found = ""
    if found is None:
        return kind()
    if not isinstance(found, kind):
        message = f"the model's metadata `{key}` is damaged"
        raise Failed(Diagnostic("E604", message, help="export the model again"))
    return found
