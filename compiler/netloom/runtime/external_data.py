"""Weights that lie outside of a model's file, found without trusting what the file says.

A model names other files by their place below its own folder. That a name leads out of the folder,
through a link or otherwise, was how models read what was not theirs (CVE-2022-25882,
CVE-2024-27318, CVE-2026-34446). Only the model's messages are read here, as protobuf lays them out,
and weights inside it are stepped over: a model of 500 MB takes no longer than one of 5 MB.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Failed
from netloom.runtime.wire_format import entry, fields, mapped, numbers

_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""By kind of message the fields that hold tensors, at any distance; numbers as in onnx.proto."""

_BITS = {
    each: width
    for width, types in (
        *((4, (21, 22, 23)), (8, (2, 3, 9, 17, 18, 19, 20, 24)), (16, (4, 5, 10, 16))),
        *((32, (1, 6, 12)), (64, (7, 11, 13, 14)), (128, (15,))),
    )
    for each in types
}
"""Of one element, by onnx.TensorProto.DataType."""

_DEEPEST = 100
"""Protobuf's own limit for messages inside one another."""

_SMALL_NODE = 4096
"""Bytes; nodes up to this size are searched as a whole before they are read field by field."""


class Outside(NamedTuple):
    """Where a model says that a tensor lies. `nbytes` follows from its type and shape."""

    tensor: str
    location: str
    offset: int
    length: int | None
    nbytes: int | None


def external_files(model: Path | bytes) -> dict[str, memoryview]:
    """The files that a model's weights lie in, by the names that it has for them, in memory.

    All of them are checked; they are mapped, not read. A model in memory has no folder, so it may
    have none. Raises `Failed`: E001 for a model that cannot be read, E604 for one that is no model,
    or whose weights are not where it says, or not where it may look.
    """
    files: dict[str, memoryview] = {}
    for each in _all_outside(model):
        try:
            if not isinstance(model, Path):
                raise ValueError("a model in memory has no folder in which that could be")
            if each.location not in files:
                files[each.location] = mapped(_place(model.parent, each.location))
            _check_extent(each, len(files[each.location]))
        except (OSError, ValueError) as problem:
            raise _not_there(model, each, problem) from None
    return files


def _all_outside(model: Path | bytes) -> list[Outside]:
    try:
        content = mapped(model) if isinstance(model, Path) else memoryview(model)
        return [found for each in _tensors(content, "model", _DEEPEST) if (found := outside(each))]
    except OSError as problem:
        reason = (problem.strerror or "").lower()
        raise Failed(Diagnostic("E001", f"cannot read {_words(model)}: {reason}")) from None
    except ValueError as problem:
        message = f"{_words(model)} is not a whole ONNX model: {problem}"
        raise Failed(Diagnostic("E604", message)) from None


def _not_there(model: Path | bytes, each: Outside, problem: OSError | ValueError) -> Failed:
    reason = problem.strerror if isinstance(problem, OSError) else str(problem)
    help = "a model may name ordinary files in its own folder and below; export it again"
    if isinstance(problem, FileNotFoundError) and isinstance(model, Path):
        reason = "there is no such file beside the model"
        help = f"it has to come along when the model is moved, to `{model.parent / each.location}`"
    where = f"the weights `{each.tensor}` of {_words(model)}"
    message = f"{where} are said to lie in {each.location!r}: {reason}"
    return Failed(Diagnostic("E604", message, help=help))


def _words(model: Path | bytes) -> str:
    return f"`{model}`" if isinstance(model, Path) else "the model"


def _place(folder: Path, location: str) -> Path:
    """The file below a folder that a location means. Raises ValueError for any other location."""
    parts = location.split("/")
    if "\0" in location or "\\" in location or PureWindowsPath(location).drive:
        raise ValueError("this is not a relative path with `/` between its parts")
    if location.startswith("/"):
        raise ValueError("an absolute path leads out of the model's folder")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError("no part of the path may be empty, `.` or `..`")
    place = folder
    for part in parts:
        place /= part
        found = os.lstat(place)
        if stat.S_ISLNK(found.st_mode):
            raise ValueError(f"`{place}` is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("that is not an ordinary file")
    if found.st_nlink != 1:
        raise ValueError(f"the file has {found.st_nlink} names (hard links), of which one is safe")
    return place


def _check_extent(outside: Outside, size: int) -> None:
    given, needed = outside.length, outside.nbytes
    if given is not None and needed is not None and given != needed:
        raise ValueError(f"it gives {given:,} bytes to a tensor of {needed:,}")
    end = outside.offset + (given if given is not None else needed or 0)
    if end > size:
        raise ValueError(f"they would end at byte {end:,}, but the file has {size:,}")


def _tensors(message: memoryview, kind: str, deepest: int) -> Iterator[memoryview]:
    """All tensors in a message, wherever they stand."""
    if not deepest:
        raise ValueError("its graphs are nested too deep")
    inside = _INSIDE[kind]
    for number, value in fields(message):
        inner = inside.get(number)
        if inner is None or isinstance(value, int):
            continue
        if inner == "tensor":
            yield value
        elif inner != "node" or len(value) > _SMALL_NODE or b"location" in bytes(value):
            yield from _tensors(value, inner, deepest - 1)


def outside(tensor: memoryview) -> Outside | None:
    """Where a tensor lies; None for one whose bytes are in the model.

    Raises ValueError for a place that is none.
    """
    dims: list[int] = []
    entries: dict[str, str] = {}
    name, element_type, is_outside = "", 0, False
    for number, value in fields(tensor):
        if number == 1:
            dims += numbers(value)
        elif number == 2 and isinstance(value, int):
            element_type = value
        elif number == 14 and isinstance(value, int):
            is_outside = bool(value)
        elif number == 8 and not isinstance(value, int):
            name = bytes(value).decode(errors="replace")
        elif number == 13 and not isinstance(value, int):
            key, given = entry(value)
            entries[key] = given
    if not is_outside and not entries:
        return None
    length = entries.get("length")
    return Outside(
        name,
        entries.get("location", ""),
        _whole(entries.get("offset", "0")),
        None if length is None else _whole(length),
        _nbytes(dims, element_type),
    )


def _nbytes(dims: list[int], element_type: int) -> int | None:
    if element_type not in _BITS:
        return None
    bits = _BITS[element_type]
    for each in dims:
        bits *= each
    return -(-bits // 8)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError(f"`{text}` is no offset or length in a file")
    return int(text)
