"""What an `Upscaler` does with pictures: arrays, PIL images and files, frame by frame."""

import os
import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import image_io
from realesrgan_vk._core import Upscaler as Core
from realesrgan_vk.checks import file_path, picture_size
from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.codecs import pillow
from realesrgan_vk.image_io.codecs.color import WorkingCurve
from realesrgan_vk.image_io.limits import Accept
from realesrgan_vk.imaging import arrays
from realesrgan_vk.imaging.alpha import bleed, is_constant
from realesrgan_vk.imaging.picture import Frame, Picture, Pixels
from realesrgan_vk.imaging.resample import resize
from realesrgan_vk.options import FileSource, Progress, Request
from realesrgan_vk.processing.passes import Plan, Steps, part_of, upscale_planes
from realesrgan_vk.processing.planned_passes import PlannedPicture

_KINDS = "a NumPy array, a PIL image, a path, the bytes of a picture file or an open binary file"


def upscale(
    core: Core,
    image: NDArray[Any] | Image.Image | FileSource,
    request: Request,
    max_pixels: int | None,
    progress: Progress | None,
    *,
    as_array: bool = False,
) -> NDArray[Any] | Image.Image:
    """`Upscaler.upscale`."""
    if isinstance(image, np.ndarray):
        frame = _upscaled(core, arrays.to_frame(image), request, progress)
        return arrays.from_frame(frame, image.ndim)
    picture = _picture_of(image, max_pixels)
    still = replace(picture, frames=picture.frames[:1])
    large = upscale_picture(core, still, request, progress)
    if as_array:
        return arrays.of_picture(large)
    if isinstance(image, Image.Image):
        return pillow.to_pil(large, image)
    returned = pillow.to_pil(large)
    if large.frames[0].pixels.dtype != np.uint8 and returned.mode not in ("I;16", "F"):
        warnings.warn(
            f"the picture has {large.bits} bits a channel, the returned PIL image 8: PIL has no "
            "mode for more in colour; as_array=True returns all bits, and so does the command "
            "'realesrgan-vk upscale'",
            stacklevel=_levels_to_caller(),
        )
    return returned


def _levels_to_caller() -> int:
    """The `stacklevel` of a warning in the calling function that points out of this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("realesrgan_vk."):
        frame, level = frame.f_back, level + 1
    return level


def upscale_picture(
    core: Core, picture: Picture, request: Request, progress: Progress | None
) -> Picture:
    """`Upscaler.upscale_picture`."""
    curve = WorkingCurve.of(picture.metadata.icc)
    count = len(picture.frames)
    frames = []
    for index, frame in enumerate(picture.frames):
        working = Frame(curve.encode(frame.pixels), frame.alpha, frame.duration)
        done = _upscaled(core, working, request, part_of(progress, index, count))
        pixels = curve.decode(done.pixels, frame.pixels.dtype)
        frames.append(Frame(pixels, done.alpha, frame.duration))
    return replace(picture, frames=tuple(frames))


def size_of(
    image: NDArray[Any] | Image.Image | FileSource | tuple[int, int],
    max_pixels: int | None,
    network_channels: int = 3,
) -> tuple[int, int, np.dtype[Any]]:
    """Width and height in pixels, of a file after it is turned upright, and the samples' type.

    The type is that of the samples that the network is given, after the exchange of tone curves;
    grey goes through a network of three channels as floats.

    Raises:
        TypeError, ValueError, ImageError: As `planned`.
    """
    picture = planned(image, max_pixels, network_channels)
    grey = picture.channels < network_channels
    samples = np.dtype(np.float32) if grey else picture.samples
    return picture.width, picture.height, samples


def planned(
    image: NDArray[Any] | Image.Image | FileSource | tuple[int, int],
    max_pixels: int | None,
    network_channels: int = 3,
) -> PlannedPicture:
    """What is known of a picture before it is decoded; a file is turned upright.

    Raises:
        TypeError: Neither a picture nor two whole numbers.
        ValueError: An array of another shape than a picture's, or a side out of range.
        ImageError: A file that is not a picture, or one of more pixels than `max_pixels`.
    """
    if isinstance(image, tuple):
        width, height = picture_size(image)
        return PlannedPicture(width, height, network_channels, np.dtype(np.uint8), has_alpha=False)
    if isinstance(image, np.ndarray):
        frame = arrays.to_frame(image)
        return _planned_frame(frame, frame.pixels.dtype)
    if isinstance(image, Image.Image):
        picture = _picture_of_pil(image)
        frame = picture.frames[0]
        curve = WorkingCurve.of(picture.metadata.icc)
        return _planned_frame(frame, curve.encoded_type(frame.pixels.dtype, frame.pixels.shape[2]))
    header = image_io.header_of(lambda accept: _picture_of(image, max_pixels, accept))
    curve = WorkingCurve.of(header.icc)
    samples = curve.encoded_type(np.dtype(header.samples), header.channels)
    return PlannedPicture(header.width, header.height, header.channels, samples, header.has_alpha)


def _planned_frame(frame: Frame, samples: np.dtype[Any]) -> PlannedPicture:
    channels, has_alpha = frame.pixels.shape[2], frame.alpha is not None
    return PlannedPicture(frame.width, frame.height, channels, samples, has_alpha)


def _picture_of(
    image: Image.Image | FileSource, max_pixels: int | None, accept: Accept | None = None
) -> Picture:
    """Decode whatever is no array."""
    if isinstance(image, Image.Image):
        return _picture_of_pil(image)
    if isinstance(image, (str, os.PathLike)):
        return image_io.read(file_path(image, "image"), max_pixels=max_pixels, accept=accept)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return image_io.decode(bytes(image), max_pixels=max_pixels, accept=accept)
    if callable(getattr(image, "read", None)):
        return image_io.read_open(image, max_pixels=max_pixels, accept=accept)
    raise TypeError(f"image must be {_KINDS}, not {type(image).__name__}")


def _picture_of_pil(image: Image.Image) -> Picture:
    try:
        image.load()
    except Exception as error:  # a decoder raises nearly anything on damaged data
        raise ImageError(f"image cannot be decoded by PIL: {error}") from error
    return pillow.from_pil(image)


def _upscaled(core: Core, frame: Frame, request: Request, progress: Progress | None) -> Frame:
    scale = core.network.scale
    target = request.size.of(frame.width, frame.height, scale)
    plan = Plan.to(frame.width, frame.height, target, scale)
    alpha = frame.alpha
    by_network = alpha is not None and request.alpha == "network" and not is_constant(alpha)
    steps = Steps(plan.work * (2 if by_network else 1), progress)

    def planes(pixels: Pixels) -> Pixels:
        return upscale_planes(core, pixels, plan, steps, light=request.light, kernel=request.kernel)

    if alpha is None:
        return Frame(planes(frame.pixels), None, frame.duration)
    pixels = planes(bleed(frame.pixels, alpha))
    large = planes(alpha[..., None]) if by_network else resize(alpha[..., None], target)
    return Frame(pixels, large[..., 0], frame.duration)
