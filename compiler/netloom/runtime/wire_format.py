"""Protobuf's wire format, read without trusting it and without copying what it holds.

Lengths are followed and checked, so a large file costs nothing, and a strange one no more than its
size. The writer of the same format is emit/onnx/wire.py.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from netloom.diagnostics import Diagnostic, Failed

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def mapped(path: Path) -> memoryview:
    """A file's bytes, mapped into memory.

    Raises OSError, ValueError if it is empty, and `Failed` (E001) for a folder, which is often that
    of the model that was meant.
    """
    if path.is_dir():
        message = f"`{path}` is a folder, not a model"
        raise Failed(Diagnostic("E001", message, help=_models_in(path)))
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError("it is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _models_in(folder: Path) -> str | None:
    """A help that names the models in a folder, or says how there will be one."""
    models = ", ".join(f"`{each}`" for each in sorted(folder.glob("*.onnx"))[:6])
    if models:
        return f"models in that folder: {models}"
    if (folder / "checkpoints").is_dir():
        return f"`netloom export {folder}` writes the model of that run"
    return None


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message by number: numbers as they are, everything else as its bytes.

    Raises ValueError where these are not the bytes of a message, or not all of them.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("its bytes are not those of a protobuf message")
        if length > end - at:
            raise ValueError("it is cut off")
        yield number, message[at : at + length]
        at += length


def messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields that are no numbers: texts, bytes and messages."""
    for number, value in fields(message):
        if not isinstance(value, int):
            yield number, value


def numbers(value: int | memoryview) -> list[int]:
    """A repeated number, which is written one by one or packed."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(number)
    return found


def text(value: memoryview) -> str:
    """Bytes as text. Raises ValueError where they are none."""
    return bytes(value).decode()


def entry(message: memoryview) -> tuple[str, str]:
    """The key and the value of a StringStringEntryProto."""
    found = {number: text(value) for number, value in messages(message)}
    return found.get(1, ""), found.get(2, "")


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number and where it ends: seven bits a byte, the lowest first."""
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ValueError("it is cut off" if shift < 70 else "its bytes are not those of protobuf")
