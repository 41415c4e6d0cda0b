"""Stdout, whose failures are told apart from those of files: a full disk, a reader that left."""

import io
import os
import sys
from typing import Any

from netloom.diagnostics import Diagnostic, Failed


class StdoutLost(Exception):  # noqa: N818  what has happened, not a kind of error
    """Stdout takes no more. It is no OSError, which the option parser would end the command for."""

    def __init__(self, problem: OSError) -> None:
        super().__init__(str(problem))
        self.reader_has_gone = isinstance(problem, BrokenPipeError)
        self.reason = (problem.strerror or type(problem).__name__).lower()


class _Raw(io.FileIO):
    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as problem:
            raise StdoutLost(problem) from None


def guard_stdout() -> None:
    """Makes everything that writes to stdout from now on raise `StdoutLost` where that fails."""
    before = sys.stdout
    if before is None:  # it is closed, so nobody wants the result
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  as long as the process
    if not isinstance(before, io.TextIOWrapper):  # whose it is sees to it
        return
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Raw(before.fileno(), "wb", closefd=False)),
        before.encoding,
        before.errors,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )


def tell_lost(lost: StdoutLost) -> int:
    """Says that stdout took no more, unless its reader has gone, as `head` does; the exit code."""
    # What waits to be written would fail again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if lost.reader_has_gone:
        return 0
    from netloom.cli.checking import report

    report(Failed(Diagnostic("E005", f"cannot write to stdout: {lost.reason}")))
    return 1
