"""`netloom doctor`: versions, providers, GPU."""

import typer

from netloom.cli.app import Json, app, print_json


@app.command()
def doctor(json: Json = False) -> None:
    """Show what is installed, which providers work, and what is missing."""
    from netloom import __version__
    from netloom.runtime.doctor import examine

    found = examine()
    if json:
        print_json({"netloom": __version__, **found})
    else:
        print(f"netloom {__version__}, Python {found['python']}, {found['machine']}")
        for extra, packages in found["packages"].items():
            print(f"{extra}:")
            for package, version in packages.items():
                print(f"  {package:<16} {version or 'not installed'}")
        print("ONNX Runtime:")
        for device, reason in found["devices"].items():
            print(f"  {device:<16} {f'no: {reason}' if reason else 'works'}")
        print("GPU:", "; ".join(found["gpus"]) or "none found")
        for problem in found["problems"]:
            print(f"problem: {problem}")
    if found["problems"]:
        raise typer.Exit(1)
