"""How a proof is printed: tables of 80 columns, and the verdict."""

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.checking import report
from netloom.diagnostics import Failed

if TYPE_CHECKING:
    from rich.table import Table

    from netloom.runtime.proof.per_node import NodeComparison, NodeProof
    from netloom.runtime.verify import Comparison, Proof

MOST_NODES = 10
"""How many of the layers that differ are shown."""


def print_proof(proof: "Proof", path: Path | None) -> None:
    """The comparisons as a table, and the verdict; what is not proved is told on stderr."""
    from netloom.runtime.proof.cases import sizes_words

    _say(f"{path or 'a fresh export'} against PyTorch in float64: relative errors")
    table = _table(proof.precision, "head", "inputs")
    sizes = None
    for each in proof.comparisons:
        if each.sizes != sizes:
            table.add_section()
            table.add_row(sizes_words(each.sizes))
            sizes = each.sizes
        table.add_row(f"  {each.head}", each.inputs, *_errors(each), each.verdict)
    _print(table)
    for case in proof.left_out:
        _say(f"not tried, as it takes too long: {case}")
    words = "the model DIFFERS" if proof.differs else "the model equals the network"
    if not proof.differs and proof.silent:
        words = "nothing differs"
    if not proof.differs and proof.precision == "int8":
        words = "int8 is reported, not judged; the accuracy gate of `export` does that"
    _say(
        f"{words}: largest error {_number(proof.onnx_error)}, "
        f"PyTorch's own {_number(proof.torch_error)}"
    )
    untold = proof.diagnostic()
    if untold:
        report(Failed(untold))


def print_node_proof(proof: "NodeProof", precision: str) -> None:
    """The first layers that differ, and which is the first of them."""
    print()
    _say(f"layer by layer, at {proof.case}")
    different = [each for each in proof.comparisons if each.verdict == "DIFFERENT"]
    if different:
        table = _table(precision, "layer")
        for each in different[:MOST_NODES]:
            table.add_row(f"{each.value}\n  {_description(each)}", *_errors(each), each.verdict)
        _print(table)
    if len(different) > MOST_NODES:
        _say(f"and {len(different) - MOST_NODES} more behind them")
    _say(_node_verdict(proof, len(different)))
    if proof.absent:
        _say(f"{len(proof.absent)} values of the network are not in the model")


def _node_verdict(proof: "NodeProof", different: int) -> str:
    first, largest = proof.first, proof.largest
    if first:
        count = f"{different} of {len(proof.comparisons)} values differ"
        return f"{count}; the first is `{first.value}`: {_description(first)}"
    if largest is None:
        return "the model contains no value of the network"
    return (
        f"all {len(proof.comparisons)} values are the same; the largest error, "
        f"{_number(largest.onnx_error)}, is that of `{largest.value}`: {_description(largest)}"
    )


def _description(node: "NodeComparison") -> str:
    shape = ", ".join(map(str, node.shape))
    return f"{node.operator} at {node.place}, [{shape}]"


def _table(precision: str, *words: str) -> "Table":
    from rich import box
    from rich.table import Table

    own = "float16" if precision == "float16" else "float32"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in (f"PyTorch\n{own}", "ONNX Runtime\noptimiser off", "ONNX Runtime\noptimiser on"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    return table


def _errors(compared: "Comparison | NodeComparison") -> tuple[str, str, str]:
    errors = compared.torch_error, compared.plain_error, compared.optimised_error
    own, plain, optimised = map(_number, errors)
    return own, plain, optimised


def _number(error: float | None) -> str:
    """An error in few characters; "unequal" where no difference can be stated."""
    if error is None:
        return "-"
    return "unequal" if math.isinf(error) else f"{error:.1e}"


def _print(table: "Table") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        print(line.rstrip())


def _say(text: str) -> None:
    """Lines as wide as a table."""
    print(textwrap.fill(text, 80, break_long_words=False, break_on_hyphens=False), flush=True)
