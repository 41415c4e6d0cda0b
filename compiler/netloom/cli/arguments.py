"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
