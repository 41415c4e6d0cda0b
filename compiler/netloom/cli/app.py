"""The application object, and how every command ends."""

import json as json_format
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

import netloom
from netloom.cli.checking import report
from netloom.diagnostics import Failed

app = typer.Typer(
    name="netloom",
    help="Checks, trains and exports neural networks that are written as specs.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"netloom {netloom.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Checks, trains and exports neural networks that are written as specs."""


def run() -> int:
    """Runs one command; its exit code."""
    # Each command registers itself; the heavy imports are inside the functions.
    from netloom.cli import (  # noqa: F401
        bench,
        check,
        compile,
        doctor,
        explain,
        explain_error,
        export,
        fmt,
        import_weights,
        run,
        train,
        verify,
        view,
    )

    # Threads that spin while waiting make training ten times slower where anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(143)


@contextmanager
def reporting(json: bool = False, interrupted: str = "interrupted") -> Iterator[None]:
    """Turns diagnostics into exit code 1 and output: text on stderr, or JSON on stdout.

    Ctrl-C is exit code 130 and a line, `interrupted`, that says what has become of the work.
    """
    try:
        yield
    except KeyboardInterrupt:
        note(interrupted)
        raise typer.Exit(130) from None
    except Failed as failure:
        if json:
            found = [diagnostic.as_json() for diagnostic in failure.diagnostics]
            print_json({"ok": False, "diagnostics": found})
        else:
            report(failure)
        raise typer.Exit(1) from None


def print_json(document: Any) -> None:
    """The result as one JSON document."""
    print(json_format.dumps(document, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
