"""Whole processes as candidates of interleaved rounds."""

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.rounds import Cost

ROOT = Path(__file__).parents[1]
LAUNCHER = Path(__file__).with_name("launcher.py")


def prepare() -> None:
    """Compiles the compiler's modules, as an installation does."""
    compileall.compile_dir(ROOT / "compiler", quiet=2)
    # An environment that forbids Python to write would have it compile all others each time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def python(*arguments: str) -> Callable[[], Cost]:
    """A candidate that is a process of Python: its times, and its peak of resident memory."""
    command = [sys.executable, "-I", "-S", str(LAUNCHER), sys.executable, *arguments]

    def turn() -> Cost:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return Cost(*json.loads(done.stdout))

    return turn
