"""Text to syntax tree.

The parser is the usual loop over LALR(1) tables: shift a token, or reduce the topmost symbols by a
rule. The tables are lark's, made from `grammar/netloom.lark`; the tree is built as rules are
reduced, with no parse tree in between. A token that fits nowhere is a mistake; the parser then goes
on at the next line, brace or item that it can make sense of, so that every mistake is told.
"""

import gc
import itertools
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from netloom.diagnostics import Diagnostic, Failed, Source, Span
from netloom.limits import DEFAULT, Limits
from netloom.syntax import ast
from netloom.syntax.automaton import END, Automaton, Rule
from netloom.syntax.grammar import parser
from netloom.syntax.tokens import Token, begins_line, tokens
from netloom.syntax.tree import TreeBuilder

LANGUAGE_VERSION = 1
MAXIMUM_MISTAKES = 50

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_ITEM_WORDS = frozenset(("from", "let", "network", "block", "train"))
_LISTS = frozenset(("item", "statement", "clause", "branch"))
"""What stands in lists, at whose next element the parser can go on after a mistake."""


def parse(source: Source, limits: Limits = DEFAULT) -> ast.File:
    """The syntax tree of a spec.

    Raises `Failed` with one diagnostic for each statement that does not parse.
    """
    file, mistakes = parse_damaged(source, limits)
    if mistakes:
        raise Failed(*mistakes)
    return file


def parse_damaged(source: Source, limits: Limits) -> tuple[ast.File, list[Diagnostic]]:
    """What can be read of a spec, and the mistakes in the rest.

    Raises `Failed` (E217) for brackets that are nested too deep, (E105) for a version of the
    language that is newer than this reader.
    """
    run = _Run(source, parser(), limits)
    file = run.file()
    if file.version is not None and file.version > LANGUAGE_VERSION:
        message = f"this spec is written in version {file.version} of the language"
        help_line = f"this netloom reads version {LANGUAGE_VERSION}; upgrade it"
        raise Failed(Diagnostic("E105", message, file.span, help=help_line))
    if not run.mistakes:
        return file, []
    return file._replace(damaged=_damaged(run.places, source)), run.mistakes


class _Run:
    def __init__(self, source: Source, automaton: Automaton, limits: Limits) -> None:
        self.source = source
        self.automaton = automaton
        self.limits = limits
        self.builder = TreeBuilder(source)
        self.mistakes: list[Diagnostic] = []
        self.places: list[int] = []
        self.states = [automaton.start]
        self.values: list[Any] = []
        self.starts: list[int] = []
        self.end = 0
        self.depth = 0

    def file(self) -> ast.File:
        """Parses the whole text."""
        collecting = gc.isenabled()
        gc.disable()  # it would look again and again through a growing tree that has no cycles
        try:
            return self._file()
        finally:
            if collecting:
                gc.enable()

    def _file(self) -> ast.File:
        # Everything that is used once a token is a local name: this loop is the time of parsing.
        source, actions, gotos = self.source, self.automaton.actions, self.automaton.gotos
        states, values, starts, final = self.states, self.values, self.starts, self.automaton.end
        steps = [(rule.name, rule.length, self._builder(rule)) for rule in self.automaton.rules]
        landings: dict[tuple[int, int, str], int] = {}
        new = tuple.__new__  # as Span(…) would, at half the cost
        stream = tokens(source.text, self.automaton)
        token: tuple[str, str, int, int] | None = next(stream)
        row = actions[states[-1]]
        while token is not None:
            kind, text, start, end = token
            if kind == "NAME" and (
                text in row or (text in _ITEM_WORDS and begins_item(source.text, start))
            ):
                kind = text
            action = row.get(kind)
            while action is not None and action < 0:
                name, length, build = steps[~action]
                if build is None:
                    here = (states[-2], states[-1], kind)
                    if here not in landings:
                        landings[here] = self._landing(*here)
                    states[-1] = landings[here]
                    row = actions[landings[here]]
                    action = row.get(kind)
                    continue
                base = len(values) - length
                begin = starts[base] if length else self.end
                values[base:] = (build(new(Span, (source, begin, self.end)), values[base:]),)
                starts[base:] = (begin,)
                del states[base + 1 :]
                state = gotos[states[-1]][name]
                states.append(state)
                row = actions[state]
                action = row.get(kind)
            if action is None:
                if kind == END and states[-1] == final:
                    found = self.builder.mistakes
                    self.places += [each.span.start for each in found if each.span]
                    self.mistakes += found[: max(0, MAXIMUM_MISTAKES - len(self.mistakes))]
                    return values[-1]  # type: ignore[no-any-return]
                token = self._recover(Token(kind, text, start, end), stream)
                row = actions[states[-1]]
                continue
            if kind in _OPENING:
                self.depth += 1
                if self.depth > self.limits.brackets:
                    raise Failed(self._too_deep(start))
            elif kind in _CLOSING:
                self.depth -= 1
            states.append(action)
            starts.append(start)
            self.end = end
            if kind == "NAME":
                values.append(new(ast.Name, (text, new(Span, (source, start, end)))))
            else:
                values.append(text)
            row = actions[action]
            token = next(stream, None)
        raise AssertionError("the end of the text is always reached")

    def _builder(self, rule: Rule) -> Callable[[Span, list[Any]], Any] | None:
        """What makes a rule's value of its place and parts; None where it is the only part."""
        method, last = getattr(self.builder, rule.action, None), rule.kept[-1:]
        if rule.action == "pass":
            return (lambda _, parts: parts[last[0]]) if rule.length > 1 else None
        if rule.action == "list":
            added = rule.kept[1:] if rule.has_list else rule.kept
            return _longer(added) if rule.has_list else _list_of(added)
        assert method, f"the tree builder has no method for rule {rule.action}"
        if rule.has_list:
            chosen = rule.kept[:-1]
            return lambda span, parts: method(
                span, *[parts[index] if index >= 0 else None for index in chosen], *parts[last[0]]
            )
        if rule.kept == tuple(range(rule.length)):
            return lambda span, parts: method(span, *parts)
        return lambda span, parts: method(
            span, *[parts[index] if index >= 0 else None for index in rule.kept]
        )

    def _landing(self, below: int, state: int, kind: str) -> int:
        """Where a chain of rules ends that each have the one before as their only part."""
        while True:
            action = self.automaton.actions[state].get(kind)
            rule = self.automaton.rules[~action] if action is not None and action < 0 else None
            if rule is None or rule.action != "pass" or rule.length != 1:
                return state
            state = self.automaton.gotos[below][rule.name]

    def _recover(
        self, found: Token, stream: Iterator[tuple[str, str, int, int]]
    ) -> tuple[str, str, int, int] | None:
        """Tells the mistake and finds a token to go on with; None if the text has no more.

        It is the first of these: an item that begins at the margin, a line that can continue an
        enclosing list, a brace that closes one, the end.
        """
        from netloom.syntax.mistakes import explain

        if len(self.mistakes) < MAXIMUM_MISTAKES:
            expected = frozenset(filter(self._accepts, self.automaton.actions[self.states[-1]]))
            mistake = explain(self.source, found, expected, self.end)
            self.mistakes.append(mistake)
            self.places.append(mistake.span.start if mistake.span else found.start)
        else:
            self.places.append(found.start)
        depth = 0
        token: tuple[str, str, int, int] | None = found
        while token is not None:
            kind, text, start, _ = token
            word = text if text in self.automaton.words else kind
            if kind == END or begins_item(self.source.text, start):
                self._drop(self._top())
                return token
            can_begin = depth == 0 and (kind == "}" or begins_line(self.source.text, start))
            height = self._list_that_takes(word) if can_begin else None
            if height is not None and (height < len(self.states) or start > found.start):
                self._drop(height)
                return token
            depth += (kind in _OPENING) - (kind in _CLOSING and depth > 0)
            token = next(stream, None)
        return None

    def _list_that_takes(self, word: str) -> int | None:
        """The height of the innermost list that can go on with a token."""
        actions, gotos = self.automaton.actions, self.automaton.gotos
        for height in range(len(self.states), 0, -1):
            state = self.states[height - 1]
            if not _LISTS.isdisjoint(gotos[state]) and word in actions[state]:
                return height
        return None

    def _top(self) -> int:
        """The height of the list of items."""
        gotos = self.automaton.gotos
        return max(
            height for height, state in enumerate(self.states, start=1) if "item" in gotos[state]
        )

    def _drop(self, height: int) -> None:
        """Gives up what has been begun above a height."""
        self.depth -= sum(
            value in _OPENING for value in self.values[height - 1 :] if isinstance(value, str)
        )
        del self.states[height:], self.values[height - 1 :], self.starts[height - 1 :]

    def _accepts(self, kind: str) -> bool:
        """Whether a token of that kind could come next: reductions before it are tried out."""
        actions, gotos = self.automaton.actions, self.automaton.gotos
        states = list(self.states)
        while True:
            action = actions[states[-1]].get(kind)
            if action is None:
                return kind == END and states[-1] == self.automaton.end
            if action >= 0:
                return True
            rule = self.automaton.rules[~action]
            if rule.length:
                del states[-rule.length :]
            states.append(gotos[states[-1]][rule.name])

    def _too_deep(self, start: int) -> Diagnostic:
        message = f"brackets are nested more than {self.limits.brackets} deep"
        span = Span(self.source, start, start + 1)
        return Diagnostic("E217", message, span, help=self.limits.raised_by("brackets"))


def _list_of(kept: tuple[int, ...]) -> Callable[[Span, list[Any]], Any]:
    return lambda _, parts: [parts[index] for index in kept]


def _longer(added: tuple[int, ...]) -> Callable[[Span, list[Any]], Any]:
    def extend(_: Span, parts: list[Any]) -> Any:
        for index in added:
            parts[0].append(parts[index])
        return parts[0]

    return extend


_ITEM = re.compile(
    r"(?:network|block|train|let)\s+([A-Za-z_]\w*)\s*(?:[({=]|$)|from\s*\"", re.MULTILINE
)


def begins_item(text: str, offset: int) -> bool:
    """Whether an item of the file begins at an offset: at the margin, and worded like one."""
    at_margin = offset == 0 or text[offset - 1] == "\n"
    return at_margin and _ITEM.match(text, offset) is not None


def _damaged(places: list[int], source: Source) -> frozenset[str]:
    """The names of the items that were lost, or that have lost a part, at places of mistakes."""
    places = sorted(places)
    begins = [m.start() for m in re.finditer(r"^(?=\S)", source.text, re.MULTILINE)]
    starts = [offset for offset in begins if begins_item(source.text, offset)]
    names = set()
    for start, end in itertools.pairwise([*starts, len(source.text) + 1]):
        match = _ITEM.match(source.text, start)
        if match and match[1] and bisect_left(places, start) < bisect_left(places, end):
            names.add(match[1])
    return frozenset(names)
