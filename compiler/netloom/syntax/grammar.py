"""Where the grammar file is, and the parser made from it."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from lark import Lark


def grammar_directory() -> Traversable:
    """The grammar shipped in the wheel, or the checkout's own."""
    shipped = files("netloom") / "grammar"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "grammar"


@cache
def parser() -> Lark:
    """The LALR(1) parser of `grammar/netloom.lark`, built once a process."""
    text = (grammar_directory() / "netloom.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", propagate_positions=True)
