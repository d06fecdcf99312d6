"""How a picture would be run: the plan of the core, as data."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import _core, arrays, image_io
from realesrgan_vk.image_io import pil
from realesrgan_vk.picture import Frame


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How one run of the network over a picture goes, known before it starts.

    Attributes:
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        path: "stream" (rows flow through the whole network: no seams) or "tiles".
        reason: Why this path, in words.
        band_rows: Picture rows the stream takes at a time; 0 for tiles.
        strips: Vertical strips the stream cuts the picture into, 1 unless memory is short; 0 for
            tiles.
        halo: Pixels computed again on each side of a strip or tile; 0 for a picture in one.
        tile: The longest side of a tile without its halo; 0 for the stream.
        memory_bytes: Bytes by kind, and their sum as "total". "host" is the machine's memory for
            sums of floats (strips, `tta`, tiles), which no GPU's limit counts. Of tiles the
            weights are left out.
        dispatches_per_band: Operations a band costs in the steady state; 0 for tiles.
        bytes_moved_per_input_pixel: Bytes that operations read and write, weights left out.
    """

    width: int
    height: int
    path: Literal["stream", "tiles"]
    reason: str
    band_rows: int
    strips: int
    halo: int
    tile: int
    memory_bytes: dict[str, int]
    dispatches_per_band: int
    bytes_moved_per_input_pixel: float

    @classmethod
    def of(cls, core: _core.Upscaler, width: int, height: int, samples: np.dtype[Any]) -> "RunPlan":
        """Ask the core. `samples`: the type of the picture's, and of the result's.

        Raises:
            OutOfMemoryError: Not even the smallest plan fits the memory.
        """
        return cls(width=width, height=height, **core.plan(width, height, samples=samples))

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return asdict(self)


def size_of(
    image: NDArray[Any] | Image.Image | str | os.PathLike[str] | tuple[int, int],
) -> tuple[int, int, np.dtype[Any]]:
    """Width and height in pixels, of a file after it is turned upright, and the samples' type.

    Raises:
        TypeError: Neither a picture nor two whole numbers.
        ValueError: An array of another shape than a picture's, or a size below 1x1.
        ImageError: A file that is not a picture.
    """
    if isinstance(image, np.ndarray):
        return _size_of_frame(arrays.to_frame(image))
    if isinstance(image, Image.Image):
        return _size_of_frame(pil.from_pil(image).frames[0])
    if isinstance(image, (str, os.PathLike)):
        return _size_of_frame(image_io.read(Path(image)).frames[0])
    if not (isinstance(image, tuple) and len(image) == 2 and all(type(n) is int for n in image)):
        raise TypeError(
            f"image must be an array, a PIL image, a path or (width, height), not {image!r}"
        )
    if min(image) < 1:
        raise ValueError(f"the size is {image[0]}x{image[1]}; each side must be at least 1")
    return *image, np.dtype(np.uint8)


def _size_of_frame(frame: Frame) -> tuple[int, int, np.dtype[Any]]:
    return frame.width, frame.height, frame.pixels.dtype
