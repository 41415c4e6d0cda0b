"""The parser of a grammar, as data: tokens, rules and LALR(1) tables."""

from typing import NamedTuple

END = "$END"
"""The kind of the token behind the last one."""


class Rule(NamedTuple):
    """One way to reduce `length` symbols to the symbol `name`.

    `action` is "pass" where the value is that of the only part, "list" for the parts of a `*`, else
    the method of the tree builder that makes it. `kept` are the parts that it is made from, -1
    standing for an optional part that is absent; `has_list` says that one of them is a list, whose
    elements count as parts.
    """

    action: str
    name: str
    length: int
    kept: tuple[int, ...]
    has_list: bool


class Automaton(NamedTuple):
    """A parser: in a state, the kind of the next token decides.

    `actions` hold for each state and kind the next state, or the complement of a rule's number;
    `gotos` hold where to go on after a reduction. The kind of a keyword or of punctuation is its
    own text; other tokens have a regular expression in `shaped`.
    """

    grammar: str
    ignored: list[str]
    shaped: dict[str, str]
    words: list[str]
    rules: list[Rule]
    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]
    start: int
    end: int
