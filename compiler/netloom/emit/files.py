"""Writing files so that a reader never sees half of one."""

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from netloom.diagnostics import Diagnostic, Failed

Chunk = bytes | memoryview


def write_atomically(path: Path, chunks: Iterable[Chunk]) -> None:
    """Writes beside the target, flushes to the disk, renames; a file keeps its permissions.

    Raises `Failed` (E005) where the folder is missing, read-only or full; the target is then as it
    was before.
    """
    write_together({path: chunks})


def write_together(contents: Mapping[Path, Iterable[Chunk]]) -> None:
    """The same for several files: only when all of them are on the disk is the first renamed."""
    written: dict[Path, str] = {}
    path = Path()
    try:
        for path, chunks in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, written[path] = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(written[path], _permissions(path))
        for path, temporary in list(written.items()):
            os.replace(temporary, path)
            del written[path]
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise Failed(Diagnostic("E005", f"cannot write `{path}`: {reason}")) from None
    finally:
        for temporary in written.values():
            Path(temporary).unlink(missing_ok=True)


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
