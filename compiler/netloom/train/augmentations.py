"""Random changes to the training images; none of them changes their size.

Each is a transform of torchvision and draws from PyTorch's default generator, which
`loading.Augmented` seeds for each sample.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netloom.extras import need
from netloom.ir.declared import Declared, Reject, arg

if TYPE_CHECKING:
    import torch

# ruff: noqa: D102, ARG002  the base of the family documents its rules and their arguments

Transform = Callable[["torch.Tensor"], "torch.Tensor"]


class Augmentation(Declared, family="augmentation"):
    """A random change to an image, float32 [c, h, w]."""

    required_rules = ("transform",)

    def check(self) -> None:
        """Raises `Reject` where arguments contradict each other."""

    def transform(self, size: tuple[int, int]) -> Transform:
        """The transform of torchvision, for images of that height and width."""
        raise NotImplementedError


class Rotate(Augmentation, name="rotate"):
    """Turns the image about its centre."""

    degrees: float = arg("largest angle, in either direction", above=0, maximum=180)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _affine(degrees=self.degrees)


class Translate(Augmentation, name="translate"):
    """Moves the image."""

    fraction: float = arg("farthest way, as a share of height and width", above=0, maximum=1)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _affine(fraction=self.fraction)


class Scale(Augmentation, name="scale"):
    """Enlarges or shrinks what the image shows, about its centre."""

    low: float = arg("smallest factor", above=0)
    high: float = arg("largest factor", above=0)

    def check(self) -> None:
        _check_order(self.low, self.high)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _affine(low=self.low, high=self.high)


class Affine(Augmentation, name="affine"):
    """Turns, moves and scales in one step, which blurs less than three and is faster."""

    degrees: float = arg("largest angle, in either direction", default=0.0, minimum=0, maximum=180)
    fraction: float = arg("farthest way, as a share of the size", default=0.0, minimum=0, maximum=1)
    low: float = arg("smallest factor of the size", default=1.0, above=0)
    high: float = arg("largest factor of the size", default=1.0, above=0)

    def check(self) -> None:
        _check_order(self.low, self.high)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _affine(self.degrees, self.fraction, self.low, self.high)


class HorizontalFlip(Augmentation, name="hflip"):
    """Mirrors left and right."""

    p: float = arg("probability", default=0.5, minimum=0, maximum=1)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _transform("RandomHorizontalFlip", self.p)


class RandomCrop(Augmentation, name="random_crop"):
    """Adds a black border, then cuts a piece of the original size at a random place."""

    pad: int = arg("width of the border, in pixels", minimum=1)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _transform("RandomCrop", size, padding=self.pad)


class Noise(Augmentation, name="noise"):
    """Adds Gaussian noise to each pixel; the result stays between 0 and 1."""

    sigma: float = arg("standard deviation, where white is 1", above=0)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _transform("GaussianNoise", 0, self.sigma, clip=True)


class Erase(Augmentation, name="erase"):
    """Blackens a rectangle of 2 to 33 % of the image (Zhong 2020)."""

    p: float = arg("probability", default=0.5, minimum=0, maximum=1)

    def transform(self, size: tuple[int, int]) -> Transform:
        return _transform("RandomErasing", self.p)


def _affine(
    degrees: float = 0.0, fraction: float = 0.0, low: float = 1.0, high: float = 1.0
) -> Transform:
    return _transform(
        "RandomAffine",
        degrees,
        translate=(fraction, fraction),
        scale=(low, high),
        interpolation=need("torchvision.transforms.v2", "train").InterpolationMode.BILINEAR,
    )


def _transform(name: str, *arguments: Any, **options: Any) -> Transform:
    """A transform of torchvision, which has no types of its own."""
    transform: Transform = getattr(need("torchvision.transforms.v2", "train"), name)(
        *arguments, **options
    )
    return transform


def _check_order(low: float, high: float) -> None:
    if low > high:
        raise Reject("E206", f"the smallest factor {low:g} exceeds the largest {high:g}", "low")
