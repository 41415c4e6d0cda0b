"""The `netloom` command: arguments in, calls, output, exit codes.

stdout is the result, stderr is progress and diagnostics. Exit codes: 0 ok, 1 findings, 2 usage,
130 Ctrl-C, 143 SIGTERM.
"""

from netloom.cli.app import main as main
