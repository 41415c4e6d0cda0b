"""The function of an emitted file that refuses inputs on which the network cannot be run."""

import re

from netloom.emit.names import identifier
from netloom.emit.sizes import Check, InputChecks, Wrong, input_checks
from netloom.emit.torch.expressions import INDENT, WIDTH, literal
from netloom.ir.dims import Dim
from netloom.ir.graph import Graph
from netloom.passes.admissible import admissible_sizes

NAME = "check_sizes"


def check_function(graph: Graph) -> list[str]:
    """The lines of `check_sizes`, which takes the inputs of a network in their order."""
    inputs = input_checks(graph.name, admissible_sizes(graph))
    parameters = [f"{identifier(each.name)}: Tensor" for each in inputs]
    lines = [*_signature(parameters), f'    """Refuses what `{graph.name}` cannot be run on."""']
    for each in inputs:
        lines += ["", *_input(each)] if len(inputs) > 1 else _input(each)
    return lines


def _signature(parameters: list[str]) -> list[str]:
    line = f"def {NAME}({', '.join(parameters)}) -> None:"
    if len(line) <= WIDTH:
        return [line]
    inside = f"{INDENT}{', '.join(parameters)}"
    if len(inside) <= WIDTH:
        return [f"def {NAME}(", inside, ") -> None:"]
    return [f"def {NAME}(", *(f"{INDENT}{each}," for each in parameters), ") -> None:"]


def _input(checks: InputChecks) -> list[str]:
    axes = f"{identifier(checks.name)}.dim()"
    lines = [
        *_assigned("takes", literal(checks.takes)),
        f"{INDENT}if {axes} != {checks.rank}:",
        *_raised(f"it must have {checks.rank} axes, but has {{{axes}}}"),
    ]
    for check in checks.checks:
        lines += _check(check)
    return lines


def _assigned(name: str, value: str) -> list[str]:
    line, inside = f"{INDENT}{name} = {value}", f"{INDENT * 2}{value}"
    if len(line) > WIDTH >= len(inside):
        return [f"{INDENT}{name} = (", inside, f"{INDENT})"]
    return [line]


def _check(check: Check) -> list[str]:
    tests = [_test(wrong) for wrong in check.wrong]
    line = f"{INDENT}if {' or '.join(tests)}:"
    lines = [line]
    if len(line) > WIDTH:
        first, *others = tests
        inside = [f"{INDENT * 2}{first}", *(f"{INDENT * 2}or {each}" for each in others)]
        lines = [f"{INDENT}if (", *inside, f"{INDENT}):"]
    return lines + _raised(f"{check.subject} must be {check.words}, but is {{{code(check.value)}}}")


def _test(wrong: Wrong) -> str:
    left, right = code(wrong.left), code(wrong.right)
    if wrong.operator == "%":
        return f"({left}) % {right}" if " " in left else f"{left} % {right}"
    return f"{left} {wrong.operator} {right}"


def _raised(reason: str) -> list[str]:
    message = f'f"{{takes}}: {reason}"'
    line = f"{INDENT * 2}raise ValueError({message})"
    if len(line) <= WIDTH:
        return [line]
    return [f"{INDENT * 2}raise ValueError(", f"{INDENT * 3}{message}", f"{INDENT * 2})"]


def code(dim: Dim) -> str:
    """A dimension as Python, in ruff's layout."""
    return re.sub(r"//|\*", r" \g<0> ", str(dim))
