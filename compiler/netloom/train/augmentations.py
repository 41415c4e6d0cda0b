"""Random changes to the training images; none of them changes their size.

An augmentation draws from the generator that it is given and from nothing else. Those that only
move what the image shows are put together where they follow one another, so that the image is
resampled, and thereby blurred, only once.
"""

import math
from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING

from netloom.extras import need
from netloom.ir.declared import Declared, Reject, arg

if TYPE_CHECKING:
    from numpy.random import Generator

    from netloom.train.preprocessing import Array

# ruff: noqa: D102, ARG002  the base of the family documents its rules and their arguments

Movement = tuple[float, float, float, float, float, float]
"""Where a point (x, y) of the result is in the image: (ax + by + c, dx + ey + f), abc before def.

Both are in pixels from the centre, x to the right and y down.
"""


class Augmentation(Declared, family="augmentation"):
    """A random change to an image, float32 [c, h, w]: it either moves or repaints."""

    required_rules = (("movement", "repaint"),)

    def check(self) -> None:
        """Raises `Reject` where arguments contradict each other."""

    @property
    def moves(self) -> bool:
        """Whether it has `movement`, and not `repaint`."""
        return type(self).movement is not Augmentation.movement

    def movement(self, random: "Generator", height: int, width: int) -> Movement:
        """A movement for an image of that size."""
        raise NotImplementedError

    def repaint(self, random: "Generator", image: "Array") -> "Array":
        """The image with other pixels; the one given stays as it is."""
        raise NotImplementedError


class Rotate(Augmentation, name="rotate"):
    """Turns the image about its centre."""

    degrees: float = arg("largest angle, in either direction", above=0, maximum=180)

    def movement(self, random: "Generator", height: int, width: int) -> Movement:
        angle = math.radians(random.uniform(-self.degrees, self.degrees))
        sine, cosine = math.sin(angle), math.cos(angle)
        return (cosine, -sine, 0, sine, cosine, 0)


class Translate(Augmentation, name="translate"):
    """Moves the image; what comes in from outside is black."""

    fraction: float = arg("farthest way, as a share of height and width", above=0, maximum=1)

    def movement(self, random: "Generator", height: int, width: int) -> Movement:
        x, y = random.uniform(-self.fraction, self.fraction, 2)
        return (1, 0, x * width, 0, 1, y * height)


class Scale(Augmentation, name="scale"):
    """Enlarges or shrinks what the image shows, about its centre."""

    low: float = arg("smallest factor", above=0)
    high: float = arg("largest factor", above=0)

    def check(self) -> None:
        if self.low > self.high:
            message = f"the smallest factor {self.low:g} exceeds the largest {self.high:g}"
            raise Reject("E206", message, "low")

    def movement(self, random: "Generator", height: int, width: int) -> Movement:
        factor = random.uniform(self.low, self.high)
        return (1 / factor, 0, 0, 0, 1 / factor, 0)


class HorizontalFlip(Augmentation, name="hflip"):
    """Mirrors left and right."""

    p: float = arg("probability", default=0.5, minimum=0, maximum=1)

    def movement(self, random: "Generator", height: int, width: int) -> Movement:
        return (-1 if random.random() < self.p else 1, 0, 0, 0, 1, 0)


class RandomCrop(Augmentation, name="random_crop"):
    """Adds a black border, then cuts a piece of the original size at a random place."""

    pad: int = arg("width of the border, in pixels", minimum=1)

    def movement(self, random: "Generator", height: int, width: int) -> Movement:
        x, y = random.integers(-self.pad, self.pad, 2, endpoint=True)
        return (1, 0, x, 0, 1, y)


class Noise(Augmentation, name="noise"):
    """Adds Gaussian noise to each pixel; the result stays between 0 and 1."""

    sigma: float = arg("standard deviation, where white is 1", above=0)

    def repaint(self, random: "Generator", image: "Array") -> "Array":
        noisy: Array = image + random.normal(0, self.sigma, image.shape)
        return noisy.clip(0, 1).astype(image.dtype)


class Erase(Augmentation, name="erase"):
    """Blackens a rectangle of 2 to 33 % of the image (Zhong 2020)."""

    p: float = arg("probability", default=0.5, minimum=0, maximum=1)

    def repaint(self, random: "Generator", image: "Array") -> "Array":
        if random.random() >= self.p:
            return image
        height, width = image.shape[1:]
        share = random.uniform(0.02, 0.33)
        # Of the paper's ratios, 0.3 to 3.3, those with which the rectangle is inside the image.
        longest = math.log(min(10 / 3, 1 / share))
        ratio = math.exp(random.uniform(-longest, longest))
        rows = round(height * math.sqrt(share * ratio))
        columns = round(width * math.sqrt(share / ratio))
        top = random.integers(0, height - rows, endpoint=True)
        left = random.integers(0, width - columns, endpoint=True)
        erased = image.copy()
        erased[:, top : top + rows, left : left + columns] = 0
        return erased


def augmented(image: "Array", augment: Sequence[Augmentation], random: "Generator") -> "Array":
    """An image, float32 [c, h, w], after all the augmentations, one after the other."""
    _, height, width = image.shape
    for moves, group in groupby(augment, key=lambda each: each.moves):
        if moves:
            movements = [each.movement(random, height, width) for each in group]
            image = _moved(image, reduce(_then, movements))
        else:
            for each in group:
                image = each.repaint(random, image)
    return image


def _then(first: Movement, second: Movement) -> Movement:
    """One movement for two: a point of the last result is found in the first, then in the image."""
    a, b, c, d, e, f = first
    p, q, r, s, t, u = second
    return (
        a * p + b * s, a * q + b * t, a * r + b * u + c,
        d * p + e * s, d * q + e * t, d * r + e * u + f,
    )  # fmt: skip


def _moved(image: "Array", movement: Movement) -> "Array":
    """The image after a movement, resampled bilinearly; what was outside is black."""
    import numpy

    pillow = need("PIL.Image", "train")
    _, height, width = image.shape
    x, y = width / 2, height / 2
    # Pillow counts from the corner.
    from_corner = _then(_then((1, 0, x, 0, 1, y), movement), (1, 0, -x, 0, 1, -y))
    how = pillow.Transform.AFFINE, from_corner, pillow.Resampling.BILINEAR
    channels = [pillow.fromarray(each).transform((width, height), *how) for each in image]
    return numpy.stack([numpy.asarray(each) for each in channels])
