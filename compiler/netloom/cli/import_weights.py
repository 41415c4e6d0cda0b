"""`netloom import-weights`: another library's checkpoint as one of a spec's network."""

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.app import app, note, reporting
from netloom.cli.arguments import NetworkName, Settings, SpecPath


@app.command(name="import-weights")
def import_weights(
    spec: SpecPath,
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CHECKPOINT", help="`*.safetensors`, `*.pt` or `*.pth`."),
    ],
    keys: Annotated[
        Path,
        typer.Option(metavar="MAP", help="The key map, such as `specs/torchvision/resnet.keys`."),
    ],
    network: NetworkName = None,
    set: Settings = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write.", show_default=False)
    ] = None,
) -> None:
    """Take over the weights of a network that was trained elsewhere."""
    from netloom.compile import check_file, chosen
    from netloom.emit.files import write_atomically
    from netloom.emit.foreign import read_checkpoint, renamed
    from netloom.emit.key_map import read_key_map
    from netloom.extras import need

    with reporting():
        checked = check_file(spec, set or ())
        name = chosen(checked, network)
        key_map = read_key_map(keys)
        found = read_checkpoint(checkpoint)
        weights = renamed(found, key_map, checked.networks[name].graph, f"`{checkpoint}`")
        path = out or Path(f"{name}.safetensors")
        write_atomically(path, [need("safetensors.numpy", "train").save(dict(weights))])
        note(f"wrote {path} ({len(weights)} tensors of network `{name}`)")
