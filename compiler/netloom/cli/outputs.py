"""Where a result may be written: never over what is read, and not over what others wrote."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from netloom.diagnostics import Diagnostic, Failed


def check_output(
    path: Path,
    read: Iterable[Path],
    kind: str | None = None,
    is_of_kind: Callable[[Path], bool] | None = None,
    force: bool = False,
) -> None:
    """Refuses a path that must not be written to.

    A file of the `kind` that is written there is replaced, any other only with `force`, and one of
    the files that are `read`, under whatever name, never. No file is of the kind if there is none.

    Raises `Failed`: E620 for one of the files that are read, E004 for a file of another kind.
    """
    if not path.exists() or path.is_dir():
        return
    for each in read:
        if each.exists() and os.path.samefile(each, path):
            raise Failed(_same(path, each))
    if not path.is_file():
        message = f"`{path}` is no ordinary file, so nothing is put in its place"
        raise Failed(Diagnostic("E004", message, help="name a file"))
    if not force and not (is_of_kind and is_of_kind(path)):
        but = f" and is not {kind}" if kind else ""
        message = f"`{path}` exists{but}"
        raise Failed(Diagnostic("E004", message, help="`--force` overwrites it"))


def _same(path: Path, read: Path) -> Diagnostic:
    message = f"`{path}` would be overwritten, but is read here"
    if os.path.normpath(path) != os.path.normpath(read):
        message = f"`{path}` is the same file as `{read}`, which is read here"
    return Diagnostic("E620", message, help="name another file for the result")
