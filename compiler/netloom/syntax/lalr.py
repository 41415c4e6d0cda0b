"""From the grammar to the tables of its LALR(1) parser, which lark computes.

`make tables` writes them into `syntax/tables.py`, so that a check need not import lark, which
takes several times as long as the check itself. Run as a module, this prints that file.
"""

import logging
from typing import Any

from lark import Lark, logger
from lark.grammar import Rule as LarkRule
from lark.grammar import Terminal
from lark.parsers.lalr_analysis import Shift

from netloom.syntax.automaton import Automaton, Rule


def automaton(grammar: str) -> Automaton:
    """The parser of a grammar, as data.

    Raises:
        ValueError: the grammar is ambiguous with one token of lookahead.
    """
    conflicts = _Conflicts()
    logger.addHandler(conflicts)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        lark = Lark(grammar, parser="lalr")
    finally:
        logger.removeHandler(conflicts)
        logger.setLevel(level)
    if conflicts.found:
        raise ValueError("\n".join(conflicts.found))
    terminals = sorted(lark.terminals, key=lambda terminal: -terminal.priority)
    patterns = {terminal.name: terminal.pattern for terminal in terminals}
    words = {name: p.value for name, p in patterns.items() if p.type == "str"}
    rules = [_rule(rule) for rule in lark.rules]
    numbers = {id(rule): number for number, rule in enumerate(lark.rules)}
    same = {(r.origin.name, tuple(s.name for s in r.expansion)): id(r) for r in lark.rules}
    table = lark.parser.parser._parse_table
    nonterminals = {rule.origin.name for rule in lark.rules}
    order = _numbered(table)
    actions: list[dict[str, int]] = [{} for _ in order]
    gotos: list[dict[str, int]] = [{} for _ in order]
    for state, own in order.items():
        for symbol, (action, argument) in sorted(table.states[state].items(), key=_symbol):
            if symbol in nonterminals:
                gotos[own][str(symbol)] = order[argument]
            elif action is Shift:
                actions[own][words.get(symbol, str(symbol))] = order[argument]
            else:
                key = (argument.origin.name, tuple(s.name for s in argument.expansion))
                number = numbers.get(id(argument), numbers[same[key]])
                actions[own][words.get(symbol, str(symbol))] = ~number
    ignored = [patterns[name].to_regexp() for name in lark.ignore_tokens]
    shaped = {
        name: pattern.to_regexp()
        for name, pattern in patterns.items()
        if name not in words and name not in lark.ignore_tokens
    }
    return Automaton(
        grammar=grammar,
        ignored=ignored,
        shaped=shaped,
        words=sorted(words.values(), key=lambda word: (-len(word), word)),
        rules=rules,
        actions=actions,
        gotos=gotos,
        start=order[table.start_states["start"]],
        end=order[table.end_states["start"]],
    )


def _numbered(table: Any) -> dict[int, int]:
    """The states in an order that does not change from run to run: as they are reached."""
    order = {table.start_states["start"]: 0}
    waiting = list(order)
    for state in waiting:
        for _, (action, argument) in sorted(table.states[state].items(), key=_symbol):
            if action is Shift and argument not in order:
                order[argument] = len(order)
                waiting.append(argument)
    return order


def _symbol(entry: tuple[str, Any]) -> str:
    return entry[0]


class _Conflicts(logging.Handler):
    """Gathers what lark resolves silently: shifts where it could also have reduced."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "conflict" in message.lower():
            self.found.append(message)


def _rule(rule: LarkRule) -> Rule:
    """How a rule's value is made of its parts."""
    name = str(rule.origin.name)
    absent = rule.options.empty_indices or ()
    kept: list[int] = []
    position = 0
    for missing in absent or [False] * len(rule.expansion):
        if missing:
            kept.append(-1)
            continue
        symbol = rule.expansion[position]
        if not (
            isinstance(symbol, Terminal) and symbol.filter_out and not rule.options.keep_all_tokens
        ):
            kept.append(position)
        position += 1
    lists = [
        symbol for symbol in rule.expansion if not symbol.is_term and symbol.name.startswith("__")
    ]
    if name.startswith("__"):
        action = "list"
    elif rule.options.expand1 and len(kept) == 1:
        action = "pass"
    else:
        action = str(rule.alias or name)
    return Rule(action, name, len(rule.expansion), tuple(kept), bool(lists))


def source(made: Automaton) -> str:
    """The tables as a Python module."""
    lines = [
        '"""The tables of the LALR(1) parser of `grammar/netloom.lark`; made by `make tables`."""',
        "",
        "from netloom.syntax.automaton import Automaton, Rule",
        "",
        "AUTOMATON = Automaton(",
        f"    grammar={made.grammar!r},",
        f"    ignored={made.ignored!r},",
        f"    shaped={made.shaped!r},",
        f"    words={made.words!r},",
    ]
    lines += ["    rules=["]
    lines += [f"        Rule{tuple(rule)!r}," for rule in made.rules]
    lines += ["    ],", "    actions=["]
    lines += [f"        {row!r}," for row in made.actions]
    lines += ["    ],", "    gotos=["]
    lines += [f"        {row!r}," for row in made.gotos]
    lines += ["    ],", f"    start={made.start},", f"    end={made.end},", ")", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    from netloom.syntax.grammar import grammar_text

    print(source(automaton(grammar_text())), end="")
