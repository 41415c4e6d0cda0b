"""Puts right in a text what diagnostics know for certain."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from netloom.diagnostics.diagnostic import Diagnostic, Edit, Source

MAXIMUM_ROUNDS = 20
"""How often a text is put right and looked at again: one edit can bring out the next mistake."""


class Fixed(NamedTuple):
    """A file after its edits: what it holds, what was changed, the mistakes that are left."""

    content: bytes
    changes: tuple[str, ...]
    left: tuple[Diagnostic, ...]


def fix(
    content: bytes,
    read: Callable[[bytes], Source],
    mistakes: Callable[[Source], Sequence[Diagnostic]],
) -> Fixed:
    """Applies the edits of a file's mistakes, and those of what then comes to light.

    Edits of other files, such as imported ones, are not applied. A round after which less of the
    text can be read than before is taken back. Line ends and a byte order mark stay as they are.
    """
    source = read(content)
    found = tuple(mistakes(source))
    changes: list[str] = []
    for _ in range(MAXIMUM_ROUNDS):
        edits = disjoint(d.edit for d in found if d.edit and d.edit.span.source is source)
        if not edits:
            break
        changed = _applied(content, edits)
        after = read(changed)
        found_after = tuple(mistakes(after))
        if _syntax_errors(found_after) > _syntax_errors(found):
            break
        changes += [described(edit) for edit in edits]
        content, source, found = changed, after, found_after
    return Fixed(content, tuple(changes), found)


def disjoint(edits: Iterable[Edit]) -> list[Edit]:
    """The edits in the order of the text, without those that touch one before."""
    chosen: list[Edit] = []
    for edit in sorted(edits, key=lambda each: (each.span.start, each.span.end)):
        if not chosen or edit.span.start > chosen[-1].span.end:
            chosen.append(edit)
    return chosen


def described(edit: Edit) -> str:
    """What an edit does, as one line: `net.loom:4:8: conf -> conv`."""
    source, start, end = edit.span
    line, column = source.position(start)
    before, after = source.text[start:end], edit.replacement.strip()
    what = f"{before} -> {after}"
    if not before:
        what = f"add {after}"
    elif not after:
        what = f"remove {before}"
    return f"{source.name}:{line}:{column}: {what}"


def _applied(content: bytes, edits: list[Edit]) -> bytes:
    """The bytes of a file after edits that speak of its text as `Source` has it."""
    text = content.decode("utf-8")
    begin = len(text) - len(text.removeprefix("\ufeff"))
    # `Source` has each CRLF as one character: the n-th stands n characters further on in the file.
    breaks = [match.start() - begin - n for n, match in enumerate(re.finditer("\r\n", text))]
    line_end = "\r\n" if breaks else "\n"
    for edit in reversed(edits):
        start, end = (begin + at + bisect_left(breaks, at) for at in edit.span[1:])
        text = text[:start] + edit.replacement.replace("\n", line_end) + text[end:]
    return text.encode("utf-8")


def _syntax_errors(found: Iterable[Diagnostic]) -> int:
    return sum(diagnostic.code.startswith("E1") for diagnostic in found)
