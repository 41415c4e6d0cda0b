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
        Path | None,
        typer.Option(
            metavar="MAP",
            help="The key map, such as `specs/torchvision/resnet.keys`; "
            "without it the keys are those of the spec.",
            show_default=False,
        ),
    ] = None,
    strip_prefix: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Leave this out at the beginning of their keys, e.g. `module.`.",
            show_default=False,
        ),
    ] = "",
    network: NetworkName = None,
    set: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write; NETWORK.safetensors if not given."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a file of another kind.")
    ] = False,
) -> None:
    """Take over the weights of a network that was trained elsewhere, in float32."""
    from netloom.cli.outputs import check_output
    from netloom.compile import check_file, chosen
    from netloom.emit.checkpoint import is_safetensors
    from netloom.emit.files import write_atomically
    from netloom.emit.foreign import read_checkpoint, renamed
    from netloom.emit.key_map import read_key_map
    from netloom.extras import need

    with reporting():
        checked = check_file(spec, set or ())
        name = chosen(checked, network)
        path = out or Path(f"{name}.safetensors")
        read = [checkpoint, *filter(None, [keys]), *(Path(each.name) for each in checked.sources)]
        check_output(path, read, "a safetensors file", is_safetensors, force)
        key_map = read_key_map(keys) if keys else None
        found = read_checkpoint(checkpoint)
        graph = checked.networks[name].graph
        weights = renamed(found, key_map, graph, f"`{checkpoint}`", strip_prefix)
        for dtype, count in found.converted.items():
            note(f"converted {count} tensors from {dtype}: weights to float32, counters to int64")
        write_atomically(path, [need("safetensors.numpy", "train").save(dict(weights))])
        note(f"wrote {path} ({len(weights)} tensors of network `{name}`)")
