"""`netloom run`: an exported model on a file."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netloom.cli.app import Json, app, note, print_json, reporting

if TYPE_CHECKING:
    from netloom.runtime.predict import Prediction


class DeviceChoice(StrEnum):
    """Where to run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@app.command()
def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An exported model, `*.onnx`.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Images or .npy files.")],
    top: Annotated[int, typer.Option(help="How many classes to print.", min=1)] = 3,
    device: Annotated[DeviceChoice, typer.Option(help="Where to run.")] = DeviceChoice.AUTO,
    json: Json = False,
) -> None:
    """Run an exported model in ONNX Runtime and print the top classes."""
    from netloom.runtime.predict import predict
    from netloom.runtime.sessions import device_of, open_session

    with reporting(json):
        session = open_session(model, device.value)
        predictions = predict(session, inputs, top)
        if json:
            found = [_prediction_json(each) for each in predictions]
            print_json({"ok": True, "device": device_of(session), "predictions": found})
            return
        note(f"ONNX Runtime on {device_of(session)}")
        for each in predictions:
            _print_prediction(each)


def _prediction_json(prediction: "Prediction") -> dict[str, Any]:
    return {
        "source": prediction.source,
        "classes": [{"label": label, "score": score} for label, score in prediction.classes],
        "outputs": {name: array.tolist() for name, array in prediction.outputs.items()},
    }


def _print_prediction(prediction: "Prediction") -> None:
    print(prediction.source)
    width = max((len(label) for label, _ in prediction.classes), default=0)
    for label, score in prediction.classes:
        bar = "█" * round(30 * score) if 0 <= score <= 1 else ""
        print(f"  {label:<{width}}  {score:8.4f}  {bar}".rstrip())
    if not prediction.classes:
        for name, array in prediction.outputs.items():
            print(f"  {name}: {array.dtype}{list(array.shape)}")
