"""Rewrites of an ONNX graph that leave every result as it is, up to rounding.

Each is one file and one walk over the nodes, and tells what it did. What ONNX Runtime merges itself
whenever it loads a model is merged here too where that makes loading faster (batch norm, padding);
the others are merged by neither ONNX Runtime nor an exporter. `bench/rewrites.py` measures each:
docs/rewrites.md has the rules and the figures.
"""

from collections.abc import Callable

from netloom.emit.onnx.program import Program
from netloom.emit.onnx.rewrites.batchnorm import fold_batchnorm
from netloom.emit.onnx.rewrites.branches import merge_branches
from netloom.emit.onnx.rewrites.chains import merge_chains
from netloom.emit.onnx.rewrites.change import Change as Change
from netloom.emit.onnx.rewrites.constants import fold_constants
from netloom.emit.onnx.rewrites.padding import fold_padding
from netloom.emit.onnx.rewrites.scaling import fold_scaling

REWRITES: tuple[Callable[[Program], list[Change]], ...] = (
    fold_constants,
    fold_padding,
    fold_batchnorm,
    fold_scaling,
    merge_branches,
    merge_chains,
)
"""In this order: what one merges, the next may merge with more."""


def rewrite(program: Program) -> list[Change]:
    """Applies all rewrites, and takes out what nobody reads then; tells what was done, in order."""
    changes = [change for each in REWRITES for change in each(program)]
    program.prune()
    return changes
