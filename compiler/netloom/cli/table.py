"""The table of `netloom explain`, as wide as the terminal allows."""

from collections.abc import Iterable
from textwrap import TextWrapper

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from netloom.emit.rows import COMPARED_AT, Explained, Row
from netloom.emit.sizes import sizes_text
from netloom.emit.view.sizes import opening_sizes
from netloom.emit.words import field_words
from netloom.ir.dims import Dim, evaluate_to_int, number, sizes
from netloom.ir.graph import Value
from netloom.ir.types import shape_text
from netloom.passes.admissible import admissible_sizes
from netloom.passes.cost import total
from netloom.passes.memory import PARAMETER_BYTES, Peak
from netloom.passes.sizes import free_sizes

ENDLESS = 100_000
"""A width that no line has."""

COLUMNS = (
    *("value", "operator", "shape", "field", "stride", "offset"),
    *("parameters", "MACs", "bytes", "note"),
)
"""In the order in which they stand; one that is empty in all rows is not there."""

WORDS = ("value", "operator", "shape", "note")
"""Columns of words; all others are numbers and stand to the right."""

GAPS = (3, 2)
"""Blanks between columns, and between those that would not fit otherwise."""

SPARED = ("shape", "field", "MACs", "operator", "stride", "offset", "bytes")
"""What a narrow terminal can do without, the most important first."""

HEADING_WIDTH = 11
"""Of what stands before the lines below the table."""

MOST_PEAKS = 3
"""How many peaks that sizes choose from are told one by one."""

Cells = dict[str, str]
"""What a row shows, by column; an empty cell may be absent."""

Lines = list[tuple[Cells, str]]
"""Rows with their styles."""


def print_table(explained: Explained, rows: list[Row], width: int | None) -> None:
    """Prints a network row by row, and below that what it costs as a whole.

    What does not fit into a terminal's width is left out column by column, and said to be; nothing
    is broken, because a formula in pieces is not read. A file or pipe has no width.
    """
    heads = {head.value for head in explained.network.graph.heads}
    lines = [(_cells(explained, row), _style(row, heads)) for row in rows]
    totals = _totals(explained)
    columns = [each for each in COLUMNS if any(each in cells for cells, _ in (*lines, *totals))]
    left_out, gap = _too_many(columns, lines + totals, width) if width else ([], GAPS[0])
    shown = [each for each in columns if each not in left_out]
    _print(Text(_title(explained)), _table(shown, lines, totals, gap))
    if left_out:
        print(_filled("  ", f"not shown for want of width: {', '.join(left_out)}", width) + "\n")
    for heading, text in _lines_below(explained, totals if "MACs" in left_out else ()):
        print(_filled(f"  {heading:<{HEADING_WIDTH}}", text, width))
    print()


def _title(explained: Explained) -> str:
    graph = explained.network.graph
    inputs = ", ".join(f"{value.name}: {value.type}" for value in graph.inputs)
    given = ", ".join(f"{name} = {number(size)}" for name, size in explained.sizes.items())
    return f"{graph.name}    {inputs}" + (f"    at {given}" if given else "")


def _style(row: Row, heads: set[Value]) -> str:
    if row.use in ("train", "unused"):
        return "dim"
    return "bold" if row.value in heads and not row.is_scope else ""


def _cells(explained: Explained, row: Row) -> Cells:
    cells = {"value": f"{'  ' * row.depth}{row.label}", "operator": row.operator}
    if row.value:
        cells["shape"] = shape_text(explained.shape(row.value))
        words = field_words(explained.network.fields[row.value])
        cells |= zip(("field", "stride", "offset"), words, strict=True)
    cells |= _cost_cells(row.params, row.macs)
    cells |= {"bytes": number(row.memory), "note": row.note}
    return {name: text for name, text in cells.items() if text}


def _cost_cells(params: int, macs: Dim) -> Cells:
    return {"parameters": number(params) if params else "", "MACs": number(macs) if macs else ""}


def _totals(explained: Explained) -> Lines:
    """What the exported graph costs, and training, where that is another."""
    network = explained.network
    exported = network.cost
    trained = total(network.graph.layers_in("train"), network.costs)
    lines = [({"value": "exported", **_cost_cells(exported.params, exported.macs)}, "bold")]
    if (trained.params, trained.macs) != (exported.params, exported.macs):
        lines.append(({"value": "in training", **_cost_cells(trained.params, trained.macs)}, ""))
    return lines


def _too_many(columns: list[str], lines: Lines, width: int) -> tuple[list[str], int]:
    """The columns to leave out, so that the others fit into a width, and the gap between these."""
    widths = {
        name: max(len(name), *(len(cells.get(name, "")) for cells, _ in lines)) for name in columns
    }
    left_out: list[str] = []
    for gap in GAPS:
        left_out = []
        room = width - sum(gap + each for name, each in widths.items() if name not in SPARED)
        for name in (each for each in SPARED if each in widths):
            if gap + widths[name] <= room:
                room -= gap + widths[name]
            else:
                left_out.append(name)
        if not left_out:
            break
    return left_out, gap


def _table(columns: list[str], lines: Lines, totals: Lines, gap: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, gap - 2))
    for name in columns:
        justify: JustifyMethod = "left" if name in WORDS else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for section in (lines, totals):
        for cells, style in section:
            table.add_row(*(Text(cells.get(name, "")) for name in columns), style=style)
        table.add_section()
    return table


def _print(*parts: Text | Table) -> None:
    """Prints lines as long as they are, without blanks at their ends."""
    console = Console(width=ENDLESS)
    with console.capture() as printed:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text))
    for line in printed.get().splitlines():
        print(line.rstrip())


def _filled(before: str, text: str, width: int | None) -> str:
    """A text behind what stands before it, in lines that fit into a width where words allow."""
    if width is None:
        return before + text
    indent = " " * len(before)
    wide = max(width, 2 * len(before))
    filled = TextWrapper(wide, before, indent, break_long_words=False, break_on_hyphens=False)
    return filled.fill(text)


def _lines_below(
    explained: Explained, totals: Iterable[tuple[Cells, str]]
) -> list[tuple[str, str]]:
    """What it takes, its weights, and what the activations of one sample need beside them.

    `totals` are those whose MACs the table has no room for.
    """
    memory = explained.memory
    weights = PARAMETER_BYTES * explained.network.cost.params
    takes = sizes_text(admissible_sizes(explained.network.graph))
    macs = [f"{cells['MACs']} ({cells['value']})" for cells, _ in totals if "MACs" in cells]
    return [
        *(("takes", line) for line in takes),
        *_sizes_to_give(explained),
        *(("MACs", each) for each in macs),
        ("weights", f"{number(weights)} bytes"),
        ("training", f"{number(memory.training)} bytes of activations are kept"),
        ("inference", _peak_words(memory.peaks)),
    ]


def _sizes_to_give(explained: Explained) -> list[tuple[str, str]]:
    """How to have numbers instead of formulas, where sizes are free."""
    graph = explained.network.graph
    free = [name for name in free_sizes(graph) if name not in explained.sizes]
    if not free:
        return []
    numbers = opening_sizes(graph)
    example = ",".join(f"{name}={numbers[name]}" for name in free)
    are = "are" if len(free) > 1 else "is"
    return [("sizes", f"{', '.join(free)} {are} free; `--size {example}` gives numbers")]


def _peak_words(peaks: tuple[Peak, ...]) -> str:
    if len(peaks) > MOST_PEAKS:
        return _one_of_many(peaks)
    sums = ", ".join(number(peak.bytes) for peak in peaks)
    made = " or ".join(f"`{peak.made}`" for peak in peaks if peak.made)
    when = f", when {made} is made" if made else ""
    largest = sums if len(peaks) == 1 else f"max({sums})"
    return f"{largest} bytes of activations at the peak{when}"


def _one_of_many(peaks: tuple[Peak, ...]) -> str:
    """The peak of large inputs, where a list of all would not be read."""
    names = sorted({each.name for peak in peaks for each in sizes(peak.bytes)})
    large = dict.fromkeys(names, COMPARED_AT)
    peak = max(peaks, key=lambda each: evaluate_to_int(each.bytes, large))
    at = ", ".join(f"{name} = {number(size)}" for name, size in large.items())
    return (
        f"at {at}: {_peak_words((peak,))}; {len(peaks) - 1} other moments may be the peak "
        f"at other sizes, for which there is `--size`"
    )
