"""`netloom train`: the train section of a spec, carried out."""

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.app import app, note, reporting
from netloom.cli.arguments import LimitTexts, NetworkName, Settings, SpecPath
from netloom.cli.run import DeviceChoice


@app.command()
def train(
    spec: SpecPath,
    network: NetworkName = None,
    set: Settings = None,
    limit: LimitTexts = None,
    data: Annotated[
        str | None,
        typer.Option(help="Train on this instead, e.g. `digits?size=16`.", show_default=False),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.", show_default=False)] = None,
    batch: Annotated[int | None, typer.Option(help="Samples a step.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Of all chance.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The run's folder; runs/NAME/TIME if not given."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    device: Annotated[DeviceChoice, typer.Option(help="Where to train.")] = DeviceChoice.AUTO,
) -> None:
    """Train a network as its spec says, and leave weights, metrics and plots in a run's folder."""
    from netloom.compile import check_file
    from netloom.limits import raised

    with reporting():
        checked = check_file(
            spec, set or (), raised(limit or ())
        )  # before the seconds that PyTorch takes to be imported
        from netloom.train.run import Options
        from netloom.train.run import train as train_network

        if checked.programs and not quiet:
            note("loading PyTorch and Lightning …")
        options = Options(network, data, epochs, batch, seed, out, force, quiet, device.value)
        print(train_network(checked, options))
