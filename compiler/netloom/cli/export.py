"""`netloom export`: trained weights into an ONNX model, which stands there once it is proved."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netloom.cli.app import Json, app, note, print_json, reporting
from netloom.cli.arguments import NetworkName, Settings, Target, WeightsPath
from netloom.cli.precision import (
    CalibrationSamples,
    Float16,
    GateData,
    Int8,
    MaxDrop,
    path_of,
    print_lowered,
    requested,
)
from netloom.cli.proofs import print_proof

if TYPE_CHECKING:
    from netloom.runtime.export import Exported
    from netloom.runtime.precision import Lowered, Request
    from netloom.runtime.proof.policy import Precision
    from netloom.runtime.trained import Trained
    from netloom.runtime.verify import Proof


@app.command()
def export(
    target: Target,
    network: NetworkName = None,
    weights: WeightsPath = None,
    set: Settings = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The model file.", show_default=False)
    ] = None,
    proof: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare it with PyTorch afterwards.")
    ] = True,
    fold: Annotated[
        bool, typer.Option("--fold/--no-fold", help="Merge layers where the result is the same.")
    ] = True,
    explain: Annotated[
        bool, typer.Option("--explain", help="List what was done to which layer.")
    ] = False,
    external: Annotated[
        bool,
        typer.Option("--external", help="Weights in NAME.data beside it; always beyond 2 GB."),
    ] = False,
    by_reference: Annotated[
        bool,
        typer.Option(
            "--by-reference", help="Weights stay in the checkpoint; nothing is merged then."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a file that is no model.")
    ] = False,
    fp16: Float16 = False,
    int8: Int8 = False,
    max_drop: MaxDrop = None,
    calibration_samples: CalibrationSamples = None,
    data: GateData = None,
    json: Json = False,
) -> None:
    """Export a trained network to ONNX and verify that it equals the trained one.

    A model takes its place only when that is proved.
    """
    from netloom.cli.exporting import INTERRUPTED, print_changes, print_files

    request = requested(fp16, int8, max_drop, calibration_samples, data)
    if external and by_reference:
        raise typer.BadParameter("choose one of --external and --by-reference")
    if request and (external or by_reference):
        raise typer.BadParameter("models of lower precision are one file, with their weights")
    if json and explain:
        raise typer.BadParameter("it is for people; --json lists the same", param_hint="--explain")
    with reporting(json, INTERRUPTED):
        from netloom.runtime.export import export_model
        from netloom.runtime.trained import find

        trained = find(target, network, weights, set or ())
        path = out or (path_of(trained.model_path, request) if request else trained.model_path)
        done = _Export(trained, path, request, prints=not json)
        check = done.prove if proof else None
        try:
            if request:
                done.exported = _lowered(done, request, fold, force, check)
            else:
                done.exported = export_model(
                    trained, path, fold, external, by_reference, force=force, check=check
                )
        except _NotProved:
            note("nothing was written; `--no-verify` writes it all the same")
    if done.exported:
        print_files(done.exported.files)
    if json:
        print_json(done.as_json())
    elif explain and done.exported:
        print_changes(done.exported.changes)
    if not done.exported:
        raise typer.Exit(1)


class _NotProved(Exception):  # noqa: N818  what the proof came to, not a kind of error
    """The model does not equal the network, or nothing was proved of it."""


class _Export:
    """One export, and what has come of it so far."""

    def __init__(
        self, trained: "Trained", path: Path, request: "Request | None", prints: bool
    ) -> None:
        self.trained, self.path, self.prints = trained, path, prints
        self.precision: Precision = request.precision if request else "float32"
        self.exported: Exported | None = None
        self.lowered: Lowered | None = None
        self.proof: Proof | None = None

    def prove(self, place: Path) -> None:
        """Proves the model at a place, from which it is moved to its path if this raises nothing.

        Raises:
            _NotProved: it must not be moved.
        """
        from netloom.runtime.verify import verify

        assert self.trained.weights is not None
        if self.precision == "int8":
            note("int8 models are not compared with PyTorch: accuracy tells, and was measured")
            return
        self.proof = verify(
            self.trained.graph, self.trained.weights, place, precision=self.precision
        )
        if self.prints:
            print_proof(self.proof, self.path)
        if not self.proof.holds:
            raise _NotProved

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        exported = self.exported
        files = exported.files if exported else []
        return {
            "ok": exported is not None,
            "network": self.trained.network,
            "precision": self.precision,
            "files": [{"file": str(each), "bytes": each.stat().st_size} for each in files],
            "changes": [each._asdict() for each in exported.changes] if exported else [],
            "gate": self.lowered.as_json() if self.lowered else None,
            "proof": self.proof.as_json() if self.proof else None,
        }


def _lowered(
    done: _Export,
    request: "Request",
    fold: bool,
    force: bool,
    check: Callable[[Path], object] | None,
) -> "Exported":
    """Writes a model of lower precision, if the gate and the proof let it through."""
    from netloom.emit.files import written
    from netloom.runtime.export import Exported, model_of
    from netloom.runtime.overwriting import refuse_to_lose
    from netloom.runtime.precision import lower

    path = done.path
    refuse_to_lose(done.trained, path, [path], force)
    model, changes = model_of(done.trained, fold)
    done.lowered = lower(done.trained, model, request)
    if done.prints:
        print_lowered(done.lowered, path)
    with written({path: [done.lowered.content]}) as places:
        if check:
            check(places[path])
    return Exported([path], changes)
