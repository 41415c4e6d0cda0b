"""What an export may write over: models, and nothing that it reads."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from netloom.diagnostics import Diagnostic, Failed
from netloom.runtime.external_data import external_files
from netloom.runtime.trained import CONFIG_FILE, Trained
from netloom.runtime.wire_format import fields, mapped

_GRAPH = 7
"""The field of a model that holds its graph, in onnx.proto."""


def refuse_to_lose(trained: Trained, model: Path, files: Iterable[Path], force: bool) -> None:
    """Refuses to write a model's `files` over what is no model, or what it is made from.

    Raises `Failed`: E004 for a file that is read here, however its path is written, and, unless
    `force` is given, for one that is neither a model nor the weights of the model that is there.
    """
    for path in files:
        _refuse_input(trained, path)
        if force or not _holds_something(path):
            continue
        if path == model and not _is_model(path):
            raise _exists(f"`{path}` exists and is not an ONNX model")
        if path != model and not _belongs_to(path, model):
            raise _exists(f"`{path}` exists and does not hold the weights of `{model}`")


def _exists(message: str) -> Failed:
    return Failed(Diagnostic("E004", message, help="`--force` overwrites it"))


def _refuse_input(trained: Trained, path: Path) -> None:
    for what, source in _inputs(trained):
        if _is_same(path, source):
            message = f"`{path}` is {what}, which is read here"
            help = "name another file with `--out`"
            raise Failed(Diagnostic("E004", message, help=help))


def _inputs(trained: Trained) -> Iterable[tuple[str, str]]:
    """The files that an export reads, each with what it is."""
    spec, *imported = trained.spec.sources
    yield "the spec", spec.name
    yield from (("imported by the spec", each.name) for each in imported)
    checkpoint = getattr(trained.weights, "path", None)
    if checkpoint:
        yield "the checkpoint", checkpoint
    if trained.run:
        yield "the record of the run", str(trained.run / CONFIG_FILE)


def _is_same(path: Path, source: str) -> bool:
    try:
        return os.path.samefile(path, source)
    except OSError:  # one of them is not there
        return False


def _holds_something(path: Path) -> bool:
    """Whether there is a file with anything in it; what is no file cannot be written over."""
    try:
        found = path.stat()
    except OSError:
        return False
    if not stat.S_ISREG(found.st_mode):
        message = f"cannot write `{path}`: it exists and is not an ordinary file"
        raise Failed(Diagnostic("E005", message, help="name a file with `--out`"))
    return found.st_size > 0


def _is_model(path: Path) -> bool:
    """Whether the file is laid out as a model; what its graph holds is stepped over."""
    try:
        return any(number == _GRAPH for number, _ in list(fields(mapped(path))))
    except (OSError, ValueError):
        return False


def _belongs_to(path: Path, model: Path) -> bool:
    """Whether a model refers to the file."""
    try:
        return path.name in external_files(model)
    except Failed:
        return False
