"""How a proof is printed: tables of 80 columns, and the verdict."""

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.checking import report
from netloom.diagnostics import Failed

if TYPE_CHECKING:
    from netloom.runtime.proof.per_node import NodeComparison, NodeProof
    from netloom.runtime.verify import Comparison, Proof

MOST_NODES = 10
"""How many of the layers that differ, or are reported, are shown."""

WIDTH = 80
"""Columns of a line."""

NARROWEST = 16
"""Names have at least so much room, also where a row becomes longer than a line."""

Row = Sequence[str] | str
"""Cells, or a line that has none."""


def print_proof(proof: "Proof", path: Path | None) -> None:
    """The comparisons as a table, and the verdict; what is not proved is told on stderr."""
    from netloom.runtime.proof.cases import sizes_words

    _say(f"{path or 'a fresh export'} against PyTorch in float64: relative errors")
    rows: list[Row] = []
    sizes = None
    for each in proof.comparisons:
        if each.sizes != sizes:
            rows += [""] * (sizes is not None) + [sizes_words(each.sizes)]
            sizes = each.sizes
        rows.append((f"  {each.head}", each.inputs, *_errors(each), each.verdict))
    _print(("head", "inputs", *_error_headings(proof.precision), "verdict"), rows)
    for case in proof.left_out:
        _say(f"not tried, as it takes too long: {case}")
    _say(
        f"{_verdict(proof)}: largest error {_number(proof.onnx_error)}, "
        f"PyTorch's own {_number(proof.torch_error)}"
    )
    if proof.weights:
        _say(proof.weights.words)
    if proof.not_finite and proof.holds:
        _say(f"not all numbers are finite in the weights {', '.join(proof.not_finite)}")
    if proof.diagnostics():
        report(Failed(*proof.diagnostics()))


def _verdict(proof: "Proof") -> str:
    if proof.differs:
        return "the model DIFFERS"
    if proof.precision == "int8":
        return "int8 is reported, not judged; the accuracy gate of `export` does that"
    if proof.silent:
        return "nothing differs"
    if proof.weights and proof.weights.different:
        return "the outputs are equal, but the weights DIFFER"
    return "the model equals the network"


def print_node_proof(proof: "NodeProof", precision: str) -> None:
    """The first layers that differ, or the worst that are reported, and what that comes to."""
    print()
    _say(f"layer by layer, at {proof.case}")
    different = _of(proof, "DIFFERENT")
    reported = sorted(_of(proof, "reported"), key=lambda each: -each.onnx_error)
    shown = (different or reported)[:MOST_NODES]
    if shown:
        rows = [(each.value, each.operator, _place(each), *_errors(each)) for each in shown]
        _print(("layer", "operator", "place", *_error_headings(precision)), rows)
    if len(different) > MOST_NODES:
        _say(f"and {len(different) - MOST_NODES} more behind them")
    elif len(reported) > MOST_NODES and not different:
        _say(f"and {len(reported) - MOST_NODES} more with smaller errors")
    _say(_node_verdict(proof))
    if proof.absent:
        values = "1 value" if len(proof.absent) == 1 else f"{len(proof.absent)} values"
        _say(f"not in the model: {values} of the network")


def _of(proof: "NodeProof", verdict: str) -> "list[NodeComparison]":
    return [each for each in proof.comparisons if each.verdict == verdict]


def _node_verdict(proof: "NodeProof") -> str:
    first, largest, count = proof.first, proof.largest, len(proof.comparisons)
    if first:
        different = len(_of(proof, "DIFFERENT"))
        where = f"the first is `{first.value}`: {_description(first)}"
        return f"{different} of {count} values differ; {where}"
    if largest is None:
        return "the model contains no value of the network"
    same, reported = len(_of(proof, "same")), len(_of(proof, "reported"))
    parts = [f"{same} of {count} values are the same"] if same < count else []
    parts += [f"{reported} are reported, not judged"] if reported else []
    parts += [f"{count - same - reported} say nothing"] if same + reported < count else []
    return (
        f"{', '.join(parts) or f'all {count} values are the same'}; the largest error, "
        f"{_number(largest.onnx_error)}, is that of `{largest.value}`: {_description(largest)}"
    )


def _description(node: "NodeComparison") -> str:
    shape = ", ".join(map(str, node.shape))
    return f"{node.operator} at {node.place}, [{shape}]"


def _place(node: "NodeComparison") -> str:
    """The file's name and the line, without folders."""
    return Path(node.place).name


def _error_headings(precision: str) -> tuple[str, ...]:
    own = "float16" if precision == "float16" else "float32"
    return f"PyTorch\n{own}", "ONNX\nplain", "ONNX\noptimised"


def _errors(compared: "Comparison | NodeComparison") -> tuple[str, str, str]:
    errors = compared.torch_error, compared.plain_error, compared.optimised_error
    own, plain, optimised = map(_number, errors)
    return own, plain, optimised


def _number(error: float | None) -> str:
    """An error in few characters; "unequal" where no difference can be stated."""
    if error is None:
        return "-"
    return "unequal" if math.isinf(error) else f"{error:.1e}"


def _print(headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Prints a table; its first column is folded where a line would be too long.

    A heading of two lines belongs to a column of numbers, which stand to the right.
    """
    parts = [heading.split("\n") for heading in headings]
    cells = [row for row in rows if not isinstance(row, str)]
    lines = [[part[-2] if len(part) > 1 else "" for part in parts], [part[-1] for part in parts]]
    widths = [max(map(len, column)) for column in zip(*lines, *cells, strict=True)]
    room = WIDTH - sum(2 + width for width in widths[1:])
    widths[0] = min(widths[0], max(room, NARROWEST))
    is_number = [len(part) > 1 for part in parts]

    def line(row: Sequence[str]) -> str:
        placed = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ]
        return "  ".join(placed).rstrip()

    print()
    print(*map(line, lines), "─" * (sum(widths) + 2 * (len(widths) - 1)), sep="\n")
    for row in rows:
        if isinstance(row, str):
            print(row)
            continue
        first, *more = _folded(row[0], widths[0])
        print(line((first, *row[1:])))
        for rest in more:
            print(f"    {rest}")
    print()


def _folded(name: str, width: int) -> list[str]:
    """A name in pieces of a width, but for the indentation of all but the first; cut at points."""
    lines = [""]
    for part in re.split(r"(?<=[._])", name):
        while part:
            room = width - len(lines[-1]) - 4 * (len(lines) > 1)
            if len(part) > room and lines[-1].strip():
                lines.append("")
                continue
            lines[-1] += part[:room]
            part = part[room:]
            if part:
                lines.append("")
    return lines


def _say(text: str) -> None:
    """Lines as wide as a table."""
    print(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False), flush=True)
