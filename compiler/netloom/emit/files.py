"""Writing files so that a reader never sees half of one."""

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from netloom.diagnostics import Diagnostic, Failed


def write_atomically(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Writes beside the target, flushes to the disk, renames; a file keeps its permissions.

    Raises `Failed` (E005) where the folder is missing, read-only or full; the target is then as it
    was before.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _permissions(path))
        os.replace(temporary, path)
    except OSError as problem:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        reason = (problem.strerror or type(problem).__name__).lower()
        raise Failed(Diagnostic("E005", f"cannot write `{path}`: {reason}")) from None


def _permissions(path: Path) -> int:
    """Those of the file that is there, else what a new file gets."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    """The process's mask for new files, which mkstemp does not heed."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
