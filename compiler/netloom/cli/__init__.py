"""The `netloom` command: arguments in, calls, output, exit codes.

stdout is the result, stderr is progress and diagnostics. Exit codes: 0 ok, 1 findings, 2 usage,
130 Ctrl-C, 143 SIGTERM.
"""

import gc
import os
import sys
from typing import NoReturn

from netloom.cli.stdout import StdoutLost, guard_stdout, tell_lost


def main() -> NoReturn:
    """Runs the command line and exits with its code."""
    # A short command makes few cycles; the default of 700 costs a tenth of its time.
    gc.set_threshold(100_000)
    guard_stdout()
    command, *arguments = sys.argv[1:] or [""]
    try:
        code = _without_option_parser(command, arguments)
        if code is not None:
            _flush()
            os._exit(code)  # there is nothing to tidy up, and taking the graphs down costs time
        from netloom.cli.app import run

        code = run()
        _flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except StdoutLost as lost:
        code = tell_lost(lost)
    sys.exit(code)


def _flush() -> None:
    sys.stdout.flush()
    if sys.stderr is not None:  # which it is where it is closed
        sys.stderr.flush()


def _without_option_parser(command: str, arguments: list[str]) -> int | None:
    """The exit code of what takes less time than loading an option parser; None for the rest."""
    if command == "check" and arguments and not any(each[:1] == "-" for each in arguments):
        from netloom.cli.checking import check_all

        return check_all(arguments)
    if command == "export" and "--no-verify" in arguments:
        from netloom.cli.exporting import export_plainly, plain_arguments

        plain = plain_arguments(arguments)
        return None if plain is None else export_plainly(plain)
    return None
