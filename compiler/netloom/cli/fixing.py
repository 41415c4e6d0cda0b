"""Putting a spec's file right: what `netloom check --fix` does to it."""

import os
from collections.abc import Sequence
from pathlib import Path

from netloom.compile import Spec, check
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.diagnostics.fixing import Fixed, fix
from netloom.emit.files import write_atomically
from netloom.limits import Limits
from netloom.syntax.source import from_bytes, read


def fix_file(
    path: str, settings: Sequence[str], limits: Limits, write: bool
) -> tuple[bytes, Fixed, Spec | None]:
    """What a file held, what it holds once it is fixed, and the checked spec if that is sound.

    A file in which nothing changes is not written; a link stays one, and permissions stay. Raises
    `Failed` for a file that cannot be read (E001, E002, E003) or written (E005).
    """
    read(path, limits.text)
    before = Path(path).read_bytes()
    sound: list[Spec] = []

    def mistakes(source: Source) -> tuple[Diagnostic, ...]:
        sound.clear()
        try:
            sound.append(check(source, settings, limits))
        except Failed as failure:
            return failure.diagnostics
        return ()

    fixed = fix(before, lambda content: from_bytes(path, content, limits.text), mistakes)
    if write and fixed.content != before:
        target = Path(os.path.realpath(path))
        write_atomically(target, [fixed.content])
    return before, fixed, sound[0] if sound and not fixed.left else None


def unified_diff(path: str, before: bytes, after: bytes) -> str:
    """Both contents of a file as `diff -u` would show them."""
    import difflib

    texts = [from_bytes(path, content, len(content)).text for content in (before, after)]
    old, new = (text.splitlines(keepends=True) for text in texts)
    lines = difflib.unified_diff(old, new, path, path)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
