"""`netloom explain-error`: the page of a diagnostic code."""

from typing import Annotated

import typer

from netloom.cli.app import app, reporting


@app.command("explain-error")
def explain_error(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Such as E208, or shape-mismatch.")],
) -> None:
    """Explain a diagnostic code: what it means, a wrong spec, and how to put it right."""
    from netloom.diagnostics.catalogue import code_of, page

    with reporting():
        _print_markdown(page(code_of(code)))


def _print_markdown(text: str) -> None:
    """Laid out where a person reads; as it is where a program does."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        print(text, end="")
