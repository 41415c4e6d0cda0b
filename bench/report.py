"""Tables of ratios beside their goals, for a terminal and for docs/benchmarks.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.rounds import Ratio, Rounds


class Goal(NamedTuple):
    """A bound that a ratio is meant to keep."""

    bound: float
    is_least: bool

    def __str__(self) -> str:
        return f"{'>=' if self.is_least else '<='} {self.bound:.3g}"

    def verdict(self, ratio: Ratio) -> str:
        """Whether it is kept; "unsure" where the bound lies within the interval."""
        if ratio.low < self.bound < ratio.high:
            return "unsure"
        is_kept = ratio.median >= self.bound if self.is_least else ratio.median <= self.bound
        return "yes" if is_kept else "NO"


def at_least(bound: float) -> Goal:
    """A goal that larger ratios keep."""
    return Goal(bound, True)


def at_most(bound: float) -> Goal:
    """A goal that smaller ratios keep."""
    return Goal(bound, False)


class Row(NamedTuple):
    """One figure: what is compared, how, and what it should be."""

    name: str
    ratio: Ratio
    goal: Goal | None = None
    note: str = ""


class Table(NamedTuple):
    """Figures of one run; `unit` says what a ratio of 1 is."""

    title: str
    unit: str
    rows: Sequence[Row]


HEADINGS = ("", "ratio", "interval", "goal", "kept", "")


def compared(
    rounds: Rounds,
    reference: str,
    goals: Mapping[str, Goal] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Row]:
    """A row for each candidate: its time over that of the reference, and by the other clock."""
    goals, notes = goals or {}, notes or {}
    return [
        row(rounds, name, reference, goals.get(name), notes.get(name, "")) for name in rounds.costs
    ]


def row(rounds: Rounds, name: str, reference: str, goal: Goal | None = None, note: str = "") -> Row:
    """The time of a candidate over that of another."""
    other = rounds.other(name, reference)
    note = f"{other}, {note}" if note else other
    return Row(name, rounds.time(name, reference), goal, note)


def show(table: Table) -> Table:
    """Prints a table in columns, and hands it on."""
    print(f"\n{table.title}  (1 = {table.unit})" if table.unit else f"\n{table.title}")
    lines = [HEADINGS, *map(_cells, table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for name, *cells, note in lines:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:-1], strict=True))
        print("  ".join(("", f"{name:<{widths[0]}}", *numbers, note)).rstrip(), flush=True)
    return table


def markdown(tables: Iterable[Table]) -> str:
    """The same for a page of documentation."""
    return "\n".join(map(_markdown_table, tables))


def _markdown_table(table: Table) -> str:
    lines = [
        f"{table.title}. A ratio of 1 is {table.unit}.\n" if table.unit else f"{table.title}.\n",
        "| | ratio | interval | goal | kept | |",
        "| --- | ---: | ---: | ---: | --- | --- |",
        *(f"| {' | '.join(_cells(row))} |" for row in table.rows),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    ratio, goal = row.ratio, row.goal
    interval = f"{_number(ratio.low)} to {_number(ratio.high)}"
    kept = goal.verdict(ratio) if goal else ""
    return row.name, _number(ratio.median), interval, str(goal or ""), kept, row.note


def _number(value: float) -> str:
    """Three digits, as many as these figures can be trusted for."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
