"""`netloom check`: is the spec right?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from netloom.cli.app import Json, app, print_json, report
from netloom.cli.arguments import specs_in
from netloom.diagnostics import Failed


@app.command()
def check(
    paths: Annotated[
        list[Path], typer.Argument(metavar="SPEC", help="Specs, or folders with specs.")
    ],
    json: Json = False,
) -> None:
    """Check specs: syntax, names, shapes, contracts, training. Every mistake is reported."""
    results = [_check_one(path, quiet=json) for path in specs_in(paths, json)]
    if json:
        print_json({"ok": all(result["ok"] for result in results), "files": results})
    if not all(result["ok"] for result in results):
        raise typer.Exit(1)


def _check_one(path: Path, quiet: bool) -> dict[str, Any]:
    from netloom.compile import check_file
    from netloom.emit.summary import number

    try:
        spec = check_file(path)
    except Failed as failure:
        if not quiet:
            report(failure)
        found = [diagnostic.as_json() for diagnostic in failure.diagnostics]
        return {"file": str(path), "ok": False, "networks": {}, "diagnostics": found}
    networks = {}
    for name, network in spec.networks.items():
        macs = network.cost.macs
        networks[name] = {
            "params": network.cost.params,
            "macs": macs if isinstance(macs, int) else str(macs),
        }
        if not quiet:
            cost = f"{number(network.cost.params)} parameters, {number(macs)} MACs"
            print(f"{path}: {name} is sound, {cost}")
    return {"file": str(path), "ok": True, "networks": networks, "diagnostics": []}
