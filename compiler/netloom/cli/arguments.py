"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec, `*.loom`.")]

NetworkName = Annotated[
    str | None, typer.Option("--network", "-n", help="Which network, if the spec has several.")
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Give a parameter of the network another value, e.g. `classes=10`.",
        show_default=False,
    ),
]

LimitTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=NUMBER",
        help="Allow a spec to be larger; `netloom check --limits` shows the limits.",
        show_default=False,
    ),
]

Target = Annotated[
    Path, typer.Argument(metavar="RUN|SPEC", help="The folder of a training run, or a spec.")
]

WeightsPath = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="A checkpoint, `*.safetensors`.", show_default=False),
]
