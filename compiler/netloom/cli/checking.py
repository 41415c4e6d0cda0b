"""Checking specs and saying how it went: what `netloom check` does, without its options.

This is all that `netloom check SPEC…` loads besides the compiler: no option parser, and a renderer
only if there is something to render.
"""

import os
import sys
from collections.abc import Sequence

from netloom.compile import Spec, check_file
from netloom.diagnostics import Diagnostic, Failed
from netloom.ir.dims import number
from netloom.limits import DEFAULT, Limits
from netloom.syntax import ast

LONGEST_FORMULA = 60
"""Longer ones say nothing at a glance."""


def check_all(
    paths: Sequence[str | os.PathLike[str]],
    settings: Sequence[str] = (),
    limits: Limits = DEFAULT,
) -> int:
    """Checks specs, and the specs in folders; prints a line for each network that is sound.

    Returns the exit code: 1 if there were mistakes, which are printed on stderr.
    """
    code = 0
    for path in paths:
        try:
            for each in specs_in(path):
                spec = check_file(each, settings, limits)
                if spec.warnings:
                    report(Failed(*spec.warnings))
                print_sound(each, spec)
        except Failed as failure:
            report(failure)
            code = 1
    return code


def specs_in(path: str | os.PathLike[str]) -> list[str]:
    """The specs that a path means: a file as it is, a folder by its `*.loom`, at any depth.

    Hidden folders in it, such as that of a virtual environment, are left out.

    Raises `Failed` (E001) for a folder without specs.
    """
    name = os.fspath(path)
    if not os.path.isdir(name):
        return [name]
    found = [
        os.path.join(folder, file)
        for folder, _, files in os.walk(name)
        if not _is_hidden(os.path.relpath(folder, name))
        for file in files
        if file.endswith(".loom")
    ]
    if not found:
        raise Failed(Diagnostic("E001", f"there is no spec (`*.loom`) in `{name}`"))
    return sorted(found)


def _is_hidden(folder: str) -> bool:
    """Whether a path leads through a hidden folder."""
    return any(part[:1] == "." and part != "." for part in folder.split(os.sep))


def print_sound(path: str, spec: Spec) -> None:
    """One line for each network, with what it costs."""
    if not spec.networks:
        blocks = sum(isinstance(item, ast.Block) for item in spec.file.items)
        has = f"{blocks} block{'s' * (blocks != 1)}" if blocks else "nothing"
        print(f"{path}: no network, {has}; a block is checked where it is called")
    for name, network in spec.networks.items():
        macs = number(network.cost.macs)
        if len(macs) > LONGEST_FORMULA:
            macs = "MACs by a formula that `explain` shows"
        else:
            macs += " MACs"
        cost = f"{number(network.cost.params)} parameters, {macs}"
        print(f"{path}: {name} is sound, {cost}")


def report(failure: Failed) -> None:
    """Prints diagnostics on stderr, in colour where a person reads."""
    from netloom.diagnostics.render import render

    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(render(failure.diagnostics, colour), end="", file=sys.stderr)
