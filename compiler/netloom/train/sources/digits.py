"""The handwritten digits that scikit-learn brings along: real data without a download."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netloom.extras import need
from netloom.ir.declared import arg
from netloom.ir.types import Type
from netloom.train.sources.dataset import ArraySamples, Dataset, DataSource, Field, image_size

if TYPE_CHECKING:
    from netloom.train.preprocessing import Array

# ruff: noqa: D102  the base of the family documents its rules

SPLIT_SEED = 0
"""Of the split into training and test samples, which no training seed changes."""

NATURAL_SIZE = 8


class Digits(DataSource, name="digits"):
    """1,797 handwritten digits of 8x8 pixels, from scikit-learn (UCI Optical Recognition, 1998).

    A quarter of each class, 450 digits in all, is for testing. `image` is float32 [1, h, w] from 0
    (black) to 1, drawn at the size that the network's input has; `label` is int64.
    """

    size: int | None = arg(
        "height and width in pixels; that of the network's input if not given",
        default=None,
        minimum=1,
        maximum=1024,
    )

    def open(self, wanted: Mapping[str, Type]) -> Dataset:
        import numpy

        from netloom.train.preprocessing import Preprocessing

        natural = (NATURAL_SIZE, NATURAL_SIZE)
        asked = (self.size, self.size) if self.size else image_size(wanted.get("image"))
        height, width = asked or natural
        preprocessing = Preprocessing("grey", height, width)
        pixels, labels = read_digits()
        images = numpy.stack([preprocessing.apply(image) for image in pixels])
        train, test = split(labels)
        classes = tuple(str(digit) for digit in range(10))
        drawn = "" if (height, width) == natural else f" drawn at {width}x{height}"
        return Dataset(
            (
                Field("image", "float32", (1, height, width), preprocessing=preprocessing),
                Field("label", "int64", (), classes),
            ),
            ArraySamples({"image": images[train], "label": labels[train]}),
            ArraySamples({"image": images[test], "label": labels[test]}),
            (f"{NATURAL_SIZE}x{NATURAL_SIZE}{drawn}",),
        )


def read_digits() -> "tuple[Array, Array]":
    """All digits: images as uint8 [1797, 8, 8], white on black, and labels as int64 [1797]."""
    import numpy

    digits = need("sklearn.datasets", "train").load_digits()
    # The file counts ink in 4x4 cells, 0 to 16.
    images = numpy.rint(digits.images * (255 / 16)).astype(numpy.uint8)
    return images, digits.target.astype(numpy.int64)


def split(labels: "Array") -> "tuple[Array, Array]":
    """Indices of the training and of the test samples; each class is split alike."""
    import numpy

    selection = need("sklearn.model_selection", "train")
    train, test = selection.train_test_split(
        numpy.arange(len(labels)), test_size=0.25, stratify=labels, random_state=SPLIT_SEED
    )
    return train, test
