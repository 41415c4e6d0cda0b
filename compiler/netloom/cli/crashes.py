"""A command whose native code may crash tells so, instead of ending without a word."""

import os
import signal
import sys
import threading

from netloom.diagnostics import Diagnostic, Failed


def outlive_crashes() -> None:
    """Goes on in a child process; this one waits for it and ends as it does.

    That costs a fork, while nothing heavy is loaded: a probe of its own would load ONNX Runtime and
    the model twice. Nothing happens where there is no fork, or where the process has begun other
    things, as in tests.

    Raises `Failed` (E613) where the child was ended by a signal.
    """
    if not hasattr(os, "fork") or not _is_fresh():
        return
    sys.stdout.flush()
    child = os.fork()
    if not child:
        return
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the child, which says what it does
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGINT, -signal.SIGTERM):  # somebody wanted it to end
        code = 128 - code
    if code >= 0:
        os._exit(code)  # there is nothing to tidy up, and taking modules down takes time
    from netloom.runtime.proof.isolated import ending

    message = f"ONNX Runtime crashed on the model: {ending(code)}"
    help = "another version of ONNX Runtime may take it; `netloom verify` says how far it comes"
    raise Failed(Diagnostic("E613", message, help=help))


def _is_fresh() -> bool:
    """Whether this process does nothing else than a command."""
    is_alone = threading.active_count() == 1 and "onnxruntime" not in sys.modules
    return is_alone and _has_own_stdout()


def _has_own_stdout() -> bool:
    """Whether what is printed goes to the process's stdout, and not to a test."""
    try:
        return sys.stdout.fileno() == 1
    except (AttributeError, OSError, ValueError):
        return False
