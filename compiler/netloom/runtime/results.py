"""What a model gave, as plain data, as CSV, and as arrays in files."""

import csv
import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.files import write_atomically
from netloom.runtime.inputs import Array
from netloom.runtime.predict import Prediction

SOURCES = "netloom.sources"
"""The array in an archive of outputs that says where each sample came from."""

_MEANS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins so."""


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """A prediction as plain data; what is not finite is None, which JSON has a word for."""
    return {
        "source": prediction.source,
        "classes": [
            {"label": label, "score": score if math.isfinite(score) else None}
            for label, score in prediction.classes
        ],
        "outputs": {name: _plain(array) for name, array in prediction.outputs.items()},
    }


def _plain(array: Array) -> Any:
    if numpy.issubdtype(array.dtype, numpy.floating) and not numpy.isfinite(array).all():
        plain = array.astype(object)
        plain[~numpy.isfinite(array)] = None
        return plain.tolist()
    return array.tolist()


class CsvTable:
    """Lines of CSV: a line a sample with its best classes, else a line for each number.

    The heading is that of the first prediction.
    """

    def __init__(self) -> None:
        self.places: int | None = None

    def lines(self, prediction: Prediction) -> Iterator[str]:
        """The lines of a prediction, below the heading if it is the first."""
        if self.places is None:
            self.places = len(prediction.classes)
            yield csv_line(self._heading())
        if self.places:
            yield csv_line(self._classes(prediction))
            return
        for name, array in prediction.outputs.items():
            for index, value in numpy.ndenumerate(array):
                place = " ".join(str(each) for each in index[1:])
                yield csv_line((prediction.source, name, place, value.item()))

    def _heading(self) -> list[str]:
        if not self.places:
            return ["source", "head", "index", "value"]
        suffixes = ["", *(f"_{place}" for place in range(2, (self.places or 0) + 1))]
        return ["source", *(f"{each}{end}" for end in suffixes for each in ("label", "score"))]

    def _classes(self, prediction: Prediction) -> list[object]:
        cells: list[object] = [prediction.source]
        for label, score in prediction.classes[: self.places]:
            cells += [label, f"{score:.9g}"]
        return cells


def csv_line(cells: Sequence[object]) -> str:
    """A line of CSV. Text that a spreadsheet would run as a formula gets a quote before it."""
    safe = [
        f"'{cell}" if isinstance(cell, str) and cell.startswith(_MEANS_A_FORMULA) else cell
        for cell in cells
    ]
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(safe)  # so that both are quoted in cells
    return line.getvalue().removesuffix("\r\n")


def is_archive_of_outputs(path: Path) -> bool:
    """Whether a file is an archive that `SavedOutputs` wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{SOURCES}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


class SavedOutputs:
    """Raw outputs in files: one `.npz` for all samples, or one in a folder for each."""

    def __init__(self, path: Path) -> None:
        """Raises `Failed` (E004) where a folder is meant and a file or a full folder is there."""
        self.path = path
        self.is_archive = path.suffix == ".npz"
        self.count = 0
        self.kept: list[Prediction] = []
        if self.is_archive or not path.exists():
            return
        help = "name a new folder, or a file that ends in .npz"
        if not path.is_dir():
            raise Failed(Diagnostic("E004", f"`{path}` is a file, not a folder", help=help))
        if any(path.iterdir()):
            raise Failed(Diagnostic("E004", f"the folder `{path}` is not empty", help=help))

    def add(self, prediction: Prediction) -> None:
        """Writes a prediction, or keeps it for the archive. Raises `Failed` (E005)."""
        if self.is_archive:
            self.kept.append(prediction)
            return
        stem = Path(prediction.source.partition("[")[0]).stem or "sample"
        _write(self.path / f"{self.count:05}_{stem}.npz", prediction.outputs)
        self.count += 1

    def finish(self) -> None:
        """Writes the archive: each output of all samples as one array, in order.

        Raises `Failed`: E005 if it cannot be written, E605 for outputs of different sizes.
        """
        if not self.is_archive or not self.kept:
            return
        arrays = {}
        for name, first in self.kept[0].outputs.items():
            outputs = [each.outputs[name] for each in self.kept]
            if any(each.shape != first.shape for each in outputs):
                message = f"the outputs `{name}` have different sizes: they are not one array"
                help = f"`--out {self.path.with_suffix('')}` writes one file for each sample"
                raise Failed(Diagnostic("E605", message, help=help))
            arrays[name] = numpy.concatenate([numpy.atleast_1d(each) for each in outputs])
        arrays[SOURCES] = numpy.array([each.source for each in self.kept])
        _write(self.path, arrays)


def _write(path: Path, arrays: dict[str, Array]) -> None:
    content = io.BytesIO()
    numpy.savez(content, **arrays)  # type: ignore[arg-type]
    write_atomically(path, [content.getbuffer()])
