"""From files to what a model is fed: images, `.npy` with one array, `.npz` with one by input."""

import glob
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic, Failed, did_you_mean
from netloom.emit.sizes import refusal
from netloom.extras import need
from netloom.runtime.interface import Interface, Wanted
from netloom.train.preprocessing import Preprocessing

Array = numpy.ndarray[Any, Any]

ARRAYS = (".npy", ".npz")
IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What is taken from folders; a file that is named is taken by any other name, as an image."""


class Sample(NamedTuple):
    """One sample: where it comes from, and an array by input, as a batch of one."""

    source: str
    feeds: Mapping[str, Array]


def files(paths: Iterable[Path]) -> list[Path]:
    """The files that paths mean: themselves, what is in folders and below, what patterns match.

    Hidden files and files that are neither images nor arrays are left out of folders. Raises
    `Failed` (E611) for a folder or pattern without any. A file that is missing is found when it is
    read.
    """
    found: list[Path] = []
    for path in paths:
        found += _files_of(path)
    return found


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        inside = (each for each in sorted(path.rglob("*")) if not _is_hidden(each, path))
        matching = [each for each in inside if each.suffix.lower() in (*ARRAYS, *IMAGES)]
        what = f"the folder `{path}`"
    elif glob.has_magic(str(path)) and not path.exists():
        names = sorted(glob.glob(str(path), recursive=True))
        matching = [Path(each) for each in names if Path(each).is_file()]
        what = f"what `{path}` matches"
    else:
        return [path]
    if not matching:
        endings = ", ".join((*ARRAYS, *IMAGES))
        message = f"there is nothing to run in {what}"
        raise Failed(Diagnostic("E611", message, help=f"a file ends in {endings}"))
    return matching


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


class Reader:
    """Reads samples for one model; whether sizes fit is decided once for each."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.refusals: dict[tuple[tuple[int, ...], ...], str | None] = {}

    def samples(self, path: Path) -> list[Sample]:
        """The samples of a file, each as a batch of one.

        Raises `Failed`: E001 for a file that cannot be read, E605 for one that does not fit.
        """
        if not path.is_file():
            raise Failed(Diagnostic("E001", f"there is no file `{path}`"))
        if path.suffix.lower() == ".npz":
            feeds = self._fitting(path, _archive(path, self.interface))
        else:
            feeds = self._only(path)
        found = self._split(path, feeds)
        for sample in found:
            self._refuse_sizes(path, sample)
        return found

    def _only(self, path: Path) -> dict[str, Array]:
        """The array of a file that holds one."""
        names = list(self.interface.inputs)
        if len(names) != 1:
            listed = ", ".join(f"`{each}`" for each in names)
            message = f"`{path}` holds one array, but the model has {len(names)} inputs: {listed}"
            keywords = ", ".join(f"{each}=…" for each in names)
            help = f"give .npz files with an array for each: numpy.savez(path, {keywords})"
            raise Failed(Diagnostic("E605", message, help=help))
        (name,) = names
        if path.suffix.lower() == ".npy":
            return self._fitting(path, {name: _array(path)})
        return {name: _image(path, name, self.interface)}

    def _fitting(self, path: Path, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {
            name: _fitting(path, name, arrays[name], wanted, self.interface.batch is not None)
            for name, wanted in self.interface.inputs.items()
        }

    def _split(self, path: Path, feeds: dict[str, Array]) -> list[Sample]:
        if self.interface.batch is None:
            return [Sample(str(path), feeds)]
        counts = {name: len(array) for name, array in feeds.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{count} of `{name}`" for name, count in counts.items())
            message = f"`{path}` holds arrays of different numbers of samples: {listed}"
            raise Failed(Diagnostic("E605", message))
        count = next(iter(counts.values()))
        if not count:
            raise Failed(Diagnostic("E605", f"`{path}` holds no samples: its first axis is 0"))
        return [
            Sample(
                str(path) if count == 1 else f"{path}[{index}]",
                {name: array[index : index + 1] for name, array in feeds.items()},
            )
            for index in range(count)
        ]

    def _refuse_sizes(self, path: Path, sample: Sample) -> None:
        shapes = {name: array.shape for name, array in sample.feeds.items()}
        key = tuple(shapes.values())
        if key not in self.refusals:
            known = self.interface.admissible
            self.refusals[key] = refusal(self.interface.network, known, shapes)
        reason = self.refusals[key]
        if reason:
            raise Failed(Diagnostic("E605", f"`{path}` does not fit: {reason}"))


def _fitting(path: Path, name: str, array: Array, wanted: Wanted, has_batch: bool) -> Array:
    """An array of the input's dtype and rank; other floating dtypes are converted."""
    if has_batch and array.ndim == len(wanted.shape) - 1:
        array = array[None]
    if numpy.issubdtype(array.dtype, numpy.floating) and wanted.dtype.startswith("float"):
        array = array.astype(wanted.dtype, copy=False)
    if array.ndim != len(wanted.shape) or str(array.dtype) != wanted.dtype:
        message = f"`{path}` holds {array.dtype}{list(array.shape)}"
        help = f"input `{name}` is {wanted}"
        if array.ndim in (len(wanted.shape), len(wanted.shape) - 1):
            help += f"; array.astype('{wanted.dtype}') converts it"
        raise Failed(Diagnostic("E605", message, help=help))
    return array


def _array(path: Path) -> Array:
    try:
        # Mapped, because a file may be larger than memory; samples are copied when they are run.
        array: Array = numpy.lib.format.open_memmap(path, mode="r")
    except Exception as problem:  # numpy raises whatever it stumbles over
        raise _unusable(path, "array", problem) from None
    return array


def _archive(path: Path, interface: Interface) -> dict[str, Array]:
    try:
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as archive:
            _refuse_names(path, list(archive.files), interface)
            return {name: archive[name] for name in interface.inputs}
    except Failed:
        raise
    except Exception as problem:  # so do zipfile and zlib
        raise _unusable(path, "archive of arrays", problem) from None


def _refuse_names(path: Path, given: list[str], interface: Interface) -> None:
    listed = ", ".join(f"`{each}`" for each in interface.inputs)
    help = f"the model's inputs are {listed}"
    for name in given:
        if name not in interface.inputs:
            message = f"`{path}` has an array `{name}`, which is no input of the model"
            near = did_you_mean(name, interface.inputs)
            raise Failed(Diagnostic("E605", message, help=near or help))
    for name in interface.inputs:
        if name not in given:
            message = f"`{path}` has no array `{name}`"
            raise Failed(Diagnostic("E605", message, help=help))


def _image(path: Path, name: str, interface: Interface) -> Array:
    if name not in interface.preprocessing:
        message = f"the model does not say how an image becomes its input `{name}`"
        help = (
            f"give `{path.stem}.npy` with {interface.inputs[name]}, or export from a run that was "
            "trained on images"
        )
        raise Failed(Diagnostic("E605", f"`{path}` cannot be used: {message}", help=help))
    pillow = need("PIL.Image", "gpu")
    try:
        prepared = Preprocessing.from_json(interface.preprocessing[name])
    except (TypeError, AttributeError):
        message = "the model's metadata `netloom.preprocessing` is damaged"
        raise Failed(Diagnostic("E604", message, help="export the model again")) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(path) as image:
                return prepared.apply(image)[None]
    except Exception as problem:  # each decoder raises what it likes, SyntaxError among others
        raise _unusable(path, "image", problem) from None


def _unusable(path: Path, what: str, problem: Exception) -> Failed:
    reason = str(problem).split("\n", 1)[0] or type(problem).__name__
    return Failed(Diagnostic("E605", f"`{path}` is not a usable {what}: {reason}"))
