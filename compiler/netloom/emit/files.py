"""Writing files so that a reader never sees half of one."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
    with written(contents):
        pass


@contextmanager
def written(contents: Mapping[Path, Iterable[Chunk]]) -> Iterator[dict[Path, Path]]:
    """Files of one folder that are on the disk, and take their places when the context ends.

    Gives where each is until then. A single file has another name in the same folder. Several lie
    in a folder of their own under the names that they will have, because they may refer to one
    another by them. If anything is raised, all is as it was before. Raises `Failed` as
    `write_atomically`.
    """
    with ExitStack() as stack:
        path = next(iter(contents))
        with _told(path):
            places = stack.enter_context(_places(list(contents)))
        for path, chunks in contents.items():
            with _told(path):
                _write(places[path], chunks)
                os.chmod(places[path], _permissions(path))
        yield places
        for path, place in places.items():
            with _told(path):
                os.replace(place, path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise Failed(Diagnostic("E005", f"cannot write `{path}`: {reason}")) from None


@contextmanager
def _places(paths: list[Path]) -> Iterator[dict[Path, Path]]:
    """Where files are before they take their places; what is there in the end is removed.

    Names are known before anything is made, so an interruption leaves nothing either.
    """
    (first, *others) = paths
    first.parent.mkdir(parents=True, exist_ok=True)
    beside = first.with_name(f".{first.name}.{os.urandom(6).hex()}")
    places = {path: beside / path.name for path in paths} if others else {first: beside}
    try:
        if others:
            beside.mkdir(0o700)
        yield places
    finally:
        for place in places.values():
            place.unlink(missing_ok=True)
        if others and beside.exists():
            beside.rmdir()


def _write(place: Path, chunks: Iterable[Chunk]) -> None:
    with open(place, "xb", opener=_private) as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    """Until it takes its place, nobody else may read what takes that of a private file."""
    return os.open(path, flags, 0o600)


def _permissions(path: Path) -> int:
    """Those of the file that is there, else what a new file gets."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    """The process's mask for new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
