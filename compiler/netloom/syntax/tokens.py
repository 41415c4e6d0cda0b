"""The text of a spec as tokens."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from netloom.syntax.automaton import END, Automaton

UNKNOWN = "?"
"""The kind of a character, or of a word, that is no token.

A word is taken as a whole, so that the time for a long one grows with its length only.
"""


class Token(NamedTuple):
    """A token: its kind, which is its own text for punctuation, and its place."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: str, automaton: Automaton) -> Iterator[tuple[str, str, int, int]]:
    """The tokens of a text as (kind, text, start, end), an `END` behind the last.

    A word that is a keyword somewhere has the kind NAME too; only the parser knows which it is.
    """
    pattern, kinds = _pattern(automaton)
    for match in pattern.finditer(text):
        group = match.lastindex
        assert group is not None
        start, end = match.span(group)
        found = match[group]
        yield kinds[group] or found, found, start, end


def begins_line(text: str, offset: int) -> bool:
    """Whether only blanks stand before an offset in its line; looks at those blanks only."""
    while offset and text[offset - 1] != "\n":
        offset -= 1
        if not text[offset].isspace():
            return False
    return True


@cache
def _pattern_of(
    ignored: tuple[str, ...], shaped: tuple[tuple[str, str], ...], words: tuple[str, ...]
) -> tuple[re.Pattern[str], list[str | None]]:
    """One expression for all tokens, and the kind of each of its groups; None for the own text."""
    punctuation = "|".join(re.escape(word) for word in words if not word.isidentifier())
    groups = [*shaped, (None, punctuation), (END, r"\Z"), (UNKNOWN, r"\w+|.")]
    alternatives = "|".join(f"({expression})" for _, expression in groups)
    pattern = re.compile(f"(?:{'|'.join(ignored)})*(?:{alternatives})")
    return pattern, [None, *(kind for kind, _ in groups)]


def _pattern(automaton: Automaton) -> tuple[re.Pattern[str], list[str | None]]:
    shaped = tuple(automaton.shaped.items())
    return _pattern_of(tuple(automaton.ignored), shaped, tuple(automaton.words))
