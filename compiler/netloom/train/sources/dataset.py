"""What a data source gives: named fields, training and test samples, how images are read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from netloom.ir.declared import Declared
from netloom.ir.types import DType, Type

if TYPE_CHECKING:
    from netloom.train.preprocessing import Array, Preprocessing


class Field(NamedTuple):
    """One thing that every sample has; `shape` is that of one sample.

    `classes` are the names of the labels 0, 1, … if the field is a label, `preprocessing` is how an
    image becomes the field if it is one.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    preprocessing: "Preprocessing | None" = None

    def __str__(self) -> str:
        shape = ", ".join(str(size) for size in self.shape)
        text = f"{self.name}: {self.dtype}[{shape}]"
        return f"{text}, {len(self.classes)} classes" if self.classes else text


class Samples(Protocol):
    """Samples that can be had in any order."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> "Mapping[str, Array]":
        """One sample: an array for each field."""


class ArraySamples:
    """Samples that fit into memory: one array a field, the first axis counts samples."""

    def __init__(self, arrays: "Mapping[str, Array]") -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return min(len(array) for array in self.arrays.values())

    def __getitem__(self, index: int) -> "Mapping[str, Array]":
        return {name: array[index, ...] for name, array in self.arrays.items()}


class Dataset(NamedTuple):
    """Data that is ready to be used."""

    fields: tuple[Field, ...]
    train: Samples
    test: Samples
    notes: tuple[str, ...] = ()
    """What a user should know of it, for the line that says what is trained on."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the labels, if there is one field of labels."""
        labels = [field.classes for field in self.fields if field.classes]
        return labels[0] if len(labels) == 1 else ()

    @property
    def summary(self) -> str:
        """Counts and notes: `1347 train / 450 test, 8x8 drawn at 32x32, 10 classes`."""
        parts = [f"{len(self.train)} train / {len(self.test)} test", *self.notes]
        if self.classes:
            parts.append(f"{len(self.classes)} classes")
        return ", ".join(parts)


class DataSource(Declared, family="data source"):
    """A scheme of data strings: `name?option=value&…`, or `name:path?…` if it has an operand.

    The operand is what stands behind the colon, the arguments are the options.
    """

    required_rules = ("open",)

    def check(self) -> None:
        """Raises `Reject` where options contradict each other."""

    def open(self, wanted: Mapping[str, Type]) -> Dataset:
        """Reads the data.

        `wanted` are the types of the network's inputs and targets by name, for sources that can
        draw their images at any size; whether all of it fits is checked in `train/fitting.py`.
        """
        raise NotImplementedError


def image_size(wanted: Type | None) -> tuple[int, int] | None:
    """Height and width that a network wants of an image [n, c, h, w], if they are numbers."""
    if wanted is None or wanted.rank != 4:
        return None
    height, width = wanted.shape[2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
