"""Key maps: what another library calls the weights of a network, as patterns in a text file.

    [resnet50, resnet101]                              # the networks that the lines below are for
    layer{s}.0.conv{c}.{p} -> conv{s+1}_x.bottleneck1.conv{c}.{p}
    layer{s}.{b}.conv{c}.{p} -> conv{s+1}_x.repeat1.{b-1}.conv{c}.{p}
    layer{s}.0.downsample.{0,1}.{p} -> conv{s+1}_x.bottleneck1.shortcut.{conv1,batchnorm1}.{p}
    block.3.weight -> conv2.weight reshaped            # a linear layer that is a convolution here

`{name}` is a stretch without dots, a number where the right side reckons with it. The n-th list of
the left side goes with the n-th of the right, item by item; `0..3` is short for `0,1,2,3`. The
first line that fits a key counts. `docs/python.md` describes the format.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Source, Span, did_you_mean
from netloom.syntax.source import read

ARROW = "->"
RESHAPED = " reshaped"

_BRACE = re.compile(r"\{([^{}]*)\}")
_WITH_OFFSET = re.compile(r"([A-Za-z_]\w*)(?:([+-])(\d+))?")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


class Key(NamedTuple):
    """What a foreign key is called here, and whether its shape may be another one."""

    name: str
    reshaped: bool


class Rule:
    """One line: a pattern for foreign keys, and how ours is made of what it found."""

    def __init__(self, line: str) -> None:
        """Raises `ValueError`, with the reason, for a line that says nothing."""
        left, arrow, right = (part.strip() for part in line.partition(ARROW))
        if not (left and arrow and right):
            raise ValueError("a line has the form `their key -> our key`")
        self.reshaped = right.endswith(RESHAPED)
        self._right = right.removesuffix(RESHAPED).strip()
        if re.search(r"\s", left + self._right):
            raise ValueError("a key has no blanks")
        self._lists = _paired_lists(left, self._right)
        self._pattern = re.compile(_expression(left, self._right))

    def applied(self, key: str) -> Key | None:
        """What the rule makes of a foreign key; None if it does not fit."""
        found = self._pattern.fullmatch(key)
        if found is None:
            return None
        pairs: Iterator[tuple[str, dict[str, str]]] = iter(
            (found[f"list{index}"], each) for index, each in enumerate(self._lists)
        )

        def replaced(brace: re.Match[str]) -> str:
            if _is_list(brace[1]):
                item, ours = next(pairs)
                return ours[item]
            name, sign, offset = _WITH_OFFSET.fullmatch(brace[1]).groups()  # type: ignore[union-attr]
            return str(int(found[name]) + int(sign + offset)) if sign else found[name]

        return Key(_BRACE.sub(replaced, self._right), self.reshaped)


def _is_list(inside: str) -> bool:
    return "," in inside or ".." in inside


def _items(inside: str) -> list[str]:
    """The items of a list; `0..3` are four."""
    items: list[str] = []
    for item in inside.split(","):
        numbers = _RANGE.fullmatch(item.strip())
        if numbers:
            items += map(str, range(int(numbers[1]), int(numbers[2]) + 1))
        else:
            items.append(item.strip())
    return items


def _paired_lists(left: str, right: str) -> list[dict[str, str]]:
    """For each list of the left side, our item for each of theirs."""
    theirs, ours = (
        [_items(inside) for inside in _BRACE.findall(side) if _is_list(inside)]
        for side in (left, right)
    )
    if len(theirs) != len(ours):
        raise ValueError(f"there are {len(theirs)} lists on the left and {len(ours)} on the right")
    for one, other in zip(theirs, ours, strict=True):
        if len(one) != len(other):
            raise ValueError(f"a list of {len(one)} items stands for one of {len(other)}")
        if len(set(one)) != len(one):
            raise ValueError("a list on the left has an item twice")
    return [dict(zip(one, other, strict=True)) for one, other in zip(theirs, ours, strict=True)]


def _expression(left: str, right: str) -> str:
    """The left side as a regular expression with a group for each name and list."""
    reckoned = _names_of(right)
    expression, lists = "", 0
    names = set()
    for index, part in enumerate(_BRACE.split(left)):
        if index % 2 == 0:
            expression += re.escape(part)
        elif _is_list(part):
            items = sorted(map(re.escape, _items(part)), key=len, reverse=True)
            expression += f"(?P<list{lists}>{'|'.join(items)})"
            lists += 1
        elif re.fullmatch(r"[A-Za-z_]\w*", part) and part not in names:
            names.add(part)
            expression += f"(?P<{part}>{'[0-9]+' if reckoned.get(part) else '[A-Za-z0-9_]+'})"
        else:
            raise ValueError(f"`{{{part}}}` is no name, or one that was there before")
    if names != reckoned.keys():
        (first, *_) = sorted(names ^ reckoned.keys())
        raise ValueError(f"`{{{first}}}` stands on one side only")
    return expression


def _names_of(right: str) -> dict[str, bool]:
    """The names in the braces of a right side, and whether it adds to them."""
    reckoned: dict[str, bool] = {}
    for inside in _BRACE.findall(right):
        if _is_list(inside):
            continue
        found = _WITH_OFFSET.fullmatch(inside)
        if found is None:
            raise ValueError(f"`{{{inside}}}` is no name, as `{{b}}` or `{{b-1}}`, and no list")
        reckoned[found[1]] = reckoned.get(found[1], False) or bool(found[2])
    return reckoned


class KeyMap:
    """A key map file: rules for all networks, and rules for those that a heading names."""

    def __init__(self, source: Source) -> None:
        """Reads it. Raises `Failed` (E609) with every line that says nothing."""
        self.name = source.name
        self._common: list[Rule] = []
        self._sections: dict[str, list[Rule]] = {}
        diagnostics = Diagnostics()
        into = [self._common]
        for span, line in _lines(source):
            heading = re.fullmatch(r"\[([\w\s,]+)\]", line)
            if heading:
                names = [name.strip() for name in heading[1].split(",")]
                into = [self._sections.setdefault(name, []) for name in names]
                continue
            try:
                rule = Rule(line)
            except ValueError as problem:
                message = f"this line of a key map cannot be read: {problem}"
                diagnostics.report(Diagnostic("E609", message, span))
                continue
            for rules in into:
                rules.append(rule)
        lines = sum(map(len, (self._common, *self._sections.values()))) + len(diagnostics.found)
        if len(diagnostics.found) > max(3, lines / 2):
            raise Failed(_no_key_map(diagnostics.found))
        diagnostics.raise_if_any()

    def rules(self, network: str) -> list[Rule]:
        """The rules for a network. Raises `Failed` (E610) where the map does not know it."""
        if self._common or network in self._sections:
            return [*self._sections.get(network, ()), *self._common]
        message = f"`{self.name}` says nothing about network `{network}`"
        raise Failed(Diagnostic("E610", message, help=did_you_mean(network, self._sections)))


def _no_key_map(found: Sequence[Diagnostic]) -> Diagnostic:
    """One mistake instead of many, where hardly a line is one of a key map."""
    first, *others = found
    help = f"nor can {len(others)} other lines: is this a key map?"
    return first._replace(help=f"{help}\nits lines are of the form `their key -> our key`")


def _lines(source: Source) -> Iterator[tuple[Span, str]]:
    """The lines that say something, without comments."""
    for number, start in enumerate(source.line_starts, 1):
        line = source.line(number).partition("#")[0].rstrip()
        text = line.lstrip()
        if text:
            yield Span(source, start + len(line) - len(text), start + len(line)), text


def read_key_map(path: str | os.PathLike[str]) -> KeyMap:
    """The key map in a file. Raises `Failed`: E001 to E003 as for a spec, E609."""
    return KeyMap(read(path))


def first_fitting(rules: Iterable[Rule], key: str) -> Key | None:
    """Our key by the first rule that fits a foreign one."""
    return next((made for made in (rule.applied(key) for rule in rules) if made), None)
