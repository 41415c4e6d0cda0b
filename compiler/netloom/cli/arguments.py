"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.app import print_json, report
from netloom.diagnostics import Diagnostic, Failed

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec, `*.loom`.")]

NetworkName = Annotated[
    str | None, typer.Option("--network", "-n", help="Which network, if the spec has several.")
]

Target = Annotated[
    Path, typer.Argument(metavar="RUN|SPEC", help="The folder of a training run, or a spec.")
]

WeightsPath = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="A checkpoint, `*.safetensors`.", show_default=False),
]


def specs_in(paths: list[Path], json: bool = False) -> list[Path]:
    """The specs that are meant: files as they are, folders by their `*.loom`, but for hidden ones.

    Ends the command where there is none in a folder.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            each for each in path.rglob("*.loom") if not _is_hidden(each.relative_to(path))
        )
        if not inside:
            failure = Failed(Diagnostic("E001", f"there is no spec (`*.loom`) in `{path}`"))
            if json:
                print_json({"ok": False, "diagnostics": [failure.diagnostics[0].as_json()]})
            else:
                report(failure)
            raise typer.Exit(1)
        found += inside
    return found


def _is_hidden(path: Path) -> bool:
    """Whether a path leads through a hidden folder, such as that of a virtual environment."""
    return any(part.startswith(".") for part in path.parts)
