"""From an image to what a network is fed: the one way, in training, in evaluation and in use.

It needs NumPy and Pillow only, so a trained network can be run without PyTorch. What it did in
training is written beside the weights and into exported models.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy

from netloom.extras import need

if TYPE_CHECKING:
    from PIL.Image import Image

Array = numpy.ndarray[Any, Any]

Colours = Literal["grey", "rgb"]


@dataclass(frozen=True)
class Preprocessing:
    """How an image of 8 bits a channel becomes float32 [c, height, width].

    1. to grey (ITU-R 601 luma) or RGB; an alpha channel is dropped;
    2. to `height` x `width` pixels, the pixels still being bytes;
    3. to floats: `(byte * scale - mean) / std`, mean and std by channel.
    """

    colours: Colours
    height: int
    width: int
    resample: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return 1 if self.colours == "grey" else 3

    def apply(self, image: "Image | Array") -> Array:
        """The image as float32 [c, height, width].

        Takes a Pillow image, or an array of uint8 [h, w], [h, w, 3] or [h, w, 4].

        Raises:
            ValueError: the image has more than 8 bits a channel, or the array is not such an array.
        """
        drawn = _as_image(image).convert("L" if self.colours == "grey" else "RGB")
        if drawn.size != (self.width, self.height):
            method = need("PIL.Image", "train").Resampling[self.resample.upper()]
            drawn = drawn.resize((self.width, self.height), method)
        pixels = numpy.asarray(drawn).reshape(self.height, self.width, self.channels)
        scaled = pixels.transpose(2, 0, 1).astype(numpy.float32) * numpy.float32(self.scale)
        mean, std = (
            numpy.array(each, numpy.float32).reshape(-1, 1, 1) for each in (self.mean, self.std)
        )
        result: Array = (scaled - mean) / std
        return result

    def as_json(self) -> dict[str, Any]:
        """The same as plain data; numbers survive a round trip exactly."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `as_json` gave."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**fields)


def _as_image(image: "Image | Array") -> "Image":
    pillow = need("PIL.Image", "train")
    if isinstance(image, numpy.ndarray):
        if image.dtype != numpy.uint8 or image.shape[2:] not in ((), (3,), (4,)) or image.ndim < 2:
            shape = list(image.shape)
            raise ValueError(f"an image is uint8 [h, w] or [h, w, 3], not {image.dtype}{shape}")
        drawn: Image = pillow.fromarray(image)
        return drawn
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"an image has 8 bits a channel, but this one has mode {image.mode}")
    return image
