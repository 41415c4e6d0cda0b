"""The grammar's parser: the tables that were made from it, or new ones where it has changed."""

import os
from functools import cache

from netloom.syntax.automaton import Automaton
from netloom.syntax.tables import AUTOMATON

_PACKAGE = os.path.dirname(os.path.dirname(__file__))


def grammar_text() -> str:
    """The grammar shipped in the wheel, or the checkout's own."""
    shipped = os.path.join(_PACKAGE, "grammar", "netloom.lark")
    checkout = os.path.join(_PACKAGE, "..", "..", "grammar", "netloom.lark")
    with open(shipped if os.path.exists(shipped) else checkout, encoding="utf-8") as file:
        return file.read()


@cache
def parser() -> Automaton:
    """The LALR(1) parser of `grammar/netloom.lark`.

    An edited grammar takes effect at once, at the price of lark's start-up; `make tables` saves it.
    """
    text = grammar_text()
    if AUTOMATON.grammar == text:
        return AUTOMATON
    from netloom.syntax.lalr import automaton

    return automaton(text)
