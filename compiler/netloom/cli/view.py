"""`netloom view`: a spec as a picture, in one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.app import app, note, reporting
from netloom.cli.arguments import LimitTexts, NetworkName, Settings, SpecPath
from netloom.diagnostics import Diagnostic, Failed


@app.command()
def view(
    spec: SpecPath,
    network: NetworkName = None,
    set: Settings = None,
    limit: LimitTexts = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page; SPEC's name with .html if not given."),
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a file of other origin.")
    ] = False,
) -> None:
    """Write a page that shows the graph, and what each position sees of the input."""
    from netloom.compile import check_file, chosen
    from netloom.emit.files import write_atomically
    from netloom.emit.view.page import page
    from netloom.limits import raised

    with reporting():
        checked = check_file(spec, set or (), raised(limit or ()))
        names = [chosen(checked, network)] if network else list(checked.networks)
        if not names:
            message = f"`{spec}` has no network, so there is nothing to show"
            raise Failed(Diagnostic("E608", message, help="a block is shown where it is called"))
        path = out or Path(f"{network or spec.stem}.html")
        if not force:
            _refuse_foreign(path)
        write_atomically(path, [page(checked, names).encode()])
        note(f"wrote {path} ({path.stat().st_size:,} bytes)")
    if open:
        typer.launch(path.absolute().as_uri())


def _refuse_foreign(path: Path) -> None:
    """Refuses to overwrite a file that is not such a page, as far as its beginning tells."""
    from netloom.emit.view.page import MARK

    if not path.is_file():
        return
    with path.open("rb") as file:
        beginning = file.read(400)
    if MARK.encode() not in beginning:
        message = f"`{path}` exists and was not written by `netloom view`"
        raise Failed(Diagnostic("E004", message, help="`--force` overwrites it"))
