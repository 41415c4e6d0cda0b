"""The safetensors format: which tensors a file holds, and where their bytes lie.

The library that reads this format does not say where a tensor lies, and an exported model may refer
to those bytes instead of holding a copy. The format is eight bytes of length, a JSON header of that
length, then the tensors' bytes: https://github.com/huggingface/safetensors, "Format".
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from netloom.diagnostics import Diagnostic, Failed

if TYPE_CHECKING:
    import numpy

_DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}

PICKLED = (".pt", ".pth")
"""The endings of what PyTorch pickles."""

_PICKLE_BEGINS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")
"""How such a file begins: as an archive since PyTorch 1.6, as a pickle before."""

_LONGEST_HEADER = 100_000_000
"""The limit of the format itself."""


class Stored(NamedTuple):
    """A tensor in a file: its element type, its shape, and where its bytes lie."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


class Checkpoint(Mapping[str, "numpy.ndarray[Any, Any]"]):
    """The tensors of a safetensors file by name; each is read when it is asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads the header only.

        Raises `Failed`: E001 if there is no such file, E602 if it is none of that format, or cut
        off, or if its header tells of bytes that it does not have.
        """
        self.path = os.fspath(path)
        self.tensors = _tensors(self.path)

    def __getitem__(self, name: str) -> "numpy.ndarray[Any, Any]":
        import numpy

        stored = self.tensors[name]
        count = stored.length // numpy.dtype(stored.dtype).itemsize
        array = numpy.fromfile(self.path, stored.dtype, count, offset=stored.offset)
        return array.reshape(stored.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def is_pickled(path: str | os.PathLike[str]) -> bool:
    """Whether PyTorch has pickled a file, by its first bytes, or else by its name."""
    with open(path, "rb") as file:
        return file.read(4).startswith(_PICKLE_BEGINS) or os.fspath(path).endswith(PICKLED)


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a whole checkpoint of that format."""
    try:
        return bool(_tensors(os.fspath(path)))
    except Failed:
        return False


def _tensors(path: str) -> dict[str, Stored]:
    try:
        if is_pickled(path):
            raise _pickled(path)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise ValueError("its header is cut off")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise Failed(Diagnostic("E001", f"there is no file `{path}`")) from None
    except OSError as problem:
        reason = (problem.strerror or "").lower()
        raise Failed(Diagnostic("E001", f"cannot read `{path}`: {reason}")) from None
    except ValueError as problem:
        raise _no_checkpoint(path, f"{problem}") from None
    try:
        found = {
            name: _stored(path, name, entry, 8 + length)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise _no_checkpoint(path, f"its header is damaged ({problem})") from None
    _check_extents(path, found, 8 + length, size)
    return found


def _stored(path: str, name: str, entry: Mapping[str, Any], start: int) -> Stored:
    first, last = entry["data_offsets"]
    shape = tuple(entry["shape"])
    dtype, item = _DTYPES[entry["dtype"]]
    if not all(isinstance(each, int) and each >= 0 for each in (first, last, *shape)):
        raise TypeError(f"`{name}`")
    length = item
    for each in shape:
        length *= each
    if last - first != length:
        raise _no_checkpoint(path, f"`{name}` has {last - first} bytes instead of {length}")
    return Stored(path, dtype, shape, start + first, length)


def _check_extents(path: str, found: Mapping[str, Stored], start: int, size: int) -> None:
    """The tensors stand one behind the other and end with the file, as the format demands."""
    at = start
    for name, stored in sorted(found.items(), key=lambda each: (each[1].offset, each[1].length)):
        if stored.offset != at:
            raise _no_checkpoint(path, f"the bytes of `{name}` overlap others, or leave a gap")
        at += stored.length
    if at > size:
        raise _no_checkpoint(path, f"it is cut off: {size:,} bytes, but {at:,} are announced")
    if at < size:
        raise _no_checkpoint(path, f"{size - at:,} bytes follow the last tensor")


def _pickled(path: str) -> Failed:
    message = f"`{path}` was pickled by PyTorch; weights are read from safetensors files"
    into = f"{os.path.splitext(path)[0]}.safetensors"
    help = (
        f"`netloom import-weights SPEC {path} -o {into}` converts it\n"
        "with `--keys MAP` if another library made it"
    )
    return Failed(Diagnostic("E602", message, help=help))


def _no_checkpoint(path: str, reason: str) -> Failed:
    return Failed(Diagnostic("E602", f"`{path}` is not a safetensors checkpoint: {reason}"))
