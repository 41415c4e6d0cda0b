"""The parser beside lark's own, which shares the tables' grammar with it and no code."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lark import Lark, Token, Tree
from lark.exceptions import LarkError

from netloom.diagnostics import Diagnostic, Failed, Source, Span
from netloom.limits import DEFAULT
from netloom.syntax import ast, tables
from netloom.syntax.grammar import grammar_text, parser
from netloom.syntax.lalr import automaton, source
from netloom.syntax.parse import _Run, parse
from netloom.syntax.tokens import tokens
from random_specs import random_spec
from specimens import ROOT
from test_robustness import _mutated

FILES = [*sorted((ROOT / "specs").glob("*.loom")), ROOT / "tests" / "specs" / "strain.loom"]
LARK = Lark(grammar_text(), parser="lalr")


def test_the_tables_are_those_of_the_grammar() -> None:
    shipped = Path(tables.__file__).read_text(encoding="utf-8")
    assert shipped == source(automaton(grammar_text())), "make tables"


@pytest.mark.parametrize(
    "grammar",
    [
        'start: "a" b?  b: "c" start "c" | "c"',
        'start: x | y  x: "a"  y: "a"',
        'start: "if" start "else" start | "if" start | "a"',
    ],
)
def test_a_grammar_with_two_readings_is_refused(grammar: str) -> None:
    with pytest.raises((ValueError, LarkError)):
        automaton(grammar.replace("  ", "\n"))


class _Plain:
    """Builds nested tuples of rule names and parts, as lark's trees are."""

    mistakes: tuple[()] = ()

    def __getattr__(self, rule: str) -> Callable[..., Any]:
        return lambda _, *parts: (rule, *parts)


def ours(text: str) -> Any:
    """The parse tree of a text, as our loop reduces it; names are their text."""
    run = _Run(Source("net.loom", text), parser(), DEFAULT)
    run.builder = _Plain()  # type: ignore[assignment]
    tree = run.file()
    assert not run.mistakes
    return _plain(tree)


def _plain(node: Any) -> Any:
    if isinstance(node, ast.Name):
        return node.text
    return tuple(map(_plain, node)) if isinstance(node, tuple) else node


def theirs(node: Any) -> Any:
    """lark's parse tree in the same form."""
    if isinstance(node, Tree):
        return (str(node.data), *map(theirs, node.children))
    return str(node) if isinstance(node, Token) else node


def test_specs_are_read_as_lark_reads_them() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert ours(text) == theirs(LARK.parse(text)), path


@pytest.mark.parametrize("seed", range(100))
def test_random_specs_are_read_as_lark_reads_them(seed: int) -> None:
    text = random_spec(seed)
    assert ours(text) == theirs(LARK.parse(text))


@pytest.mark.parametrize("seed", range(300))
def test_what_lark_refuses_is_refused_and_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    text = _mutated(FILES[seed % len(FILES)].read_text(encoding="utf-8"), chance)
    try:
        LARK.parse(text)
    except LarkError:
        with pytest.raises(Failed):
            parse(Source("net.loom", text))
        return
    # What lark does not know: versions, and the size of numbers.
    assert {found.code for found in _refusals(text)} <= {"E104", "E105"}


def _refusals(text: str) -> tuple[Diagnostic, ...]:
    try:
        parse(Source("net.loom", text))
    except Failed as failure:
        return failure.diagnostics
    return ()


def test_spans_are_exact() -> None:
    text = 'let a = [1, "x"][0]\nnetwork n(b: int = 2) { c, d = conv(4, kernel=[1, 3]).e -> f }\n'
    found = {}

    def gather(node: Any) -> None:
        if not isinstance(node, tuple) or isinstance(node, Span):
            return
        for each in node:
            if isinstance(each, Span):
                found[type(node).__name__] = text[each.start : each.end]
            gather(each)

    gather(parse(Source("net.loom", text)))
    assert found["Let"] == 'let a = [1, "x"][0]'
    assert found["Element"] == '[1, "x"][0]'
    assert found["Parameter"] == "b: int = 2"
    assert found["Flow"] == "c, d = conv(4, kernel=[1, 3]).e -> f"
    assert found["Pipeline"] == "conv(4, kernel=[1, 3]).e -> f"
    assert found["File"] == text.strip()


PUMPS = {
    "names": lambda n: "a" * n,
    "digits": lambda n: "1" * n,
    "underscores": lambda n: "1_" * n,
    "decimals": lambda n: "1." + "0" * n + "x",
    "exponents": lambda n: "1e" + "9" * n + "x",
    "a string without end": lambda n: '"' + "a" * n,
    "escapes": lambda n: '"' + "\\n" * n,
    "backslashes": lambda n: '"' + "\\" * n,
    "blanks": lambda n: " " * n + "?",
    "comments": lambda n: "#\n" * n + "?",
    "a comment": lambda n: "#" * n,
    "plain calls": lambda n: "a(" * n,
    "a plain call without end": lambda n: "a(" + "1, " * n,
    "a plain call with names": lambda n: "a(" + "b=1, " * n + "c)",
    "a plain call with blanks": lambda n: "a(" + " " * n + "1" + " " * n + "!",
    "brackets": lambda n: "[" * n,
    "arrows": lambda n: "->" * n,
}


@pytest.mark.parametrize("pump", PUMPS)
def test_tokens_take_time_in_proportion_to_the_text(pump: str) -> None:
    def seconds(length: int) -> float:
        text = PUMPS[pump](length)
        begin = time.process_time()
        for _ in tokens(text, parser()):
            pass
        return time.process_time() - begin

    seconds(1_000)
    small, large = (min(seconds(length) for _ in range(3)) for length in (4_000, 64_000))
    assert large < 16 * 4 * max(small, 0.0005)
