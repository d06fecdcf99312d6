"""What an `Upscaler` does with pictures: arrays, PIL images and files, frame by frame."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import _core, arrays, image_io
from realesrgan_vk.alpha import bleed, is_constant
from realesrgan_vk.arguments import picture_size
from realesrgan_vk.image_io import pil
from realesrgan_vk.image_io.color import WorkingCurve
from realesrgan_vk.passes import Plan, Steps, part_of, upscale_planes
from realesrgan_vk.picture import Frame, Picture, Pixels
from realesrgan_vk.request import Progress, Request
from realesrgan_vk.resample import resize


def upscale(
    core: _core.Upscaler,
    image: NDArray[Any] | Image.Image | str | os.PathLike[str],
    request: Request,
    max_pixels: int | None,
    progress: Progress | None,
) -> NDArray[Any] | Image.Image:
    """`Upscaler.upscale`."""
    if isinstance(image, np.ndarray):
        frame = _upscaled(core, arrays.to_frame(image), request, progress)
        return arrays.from_frame(frame, image.ndim)
    if isinstance(image, Image.Image):
        return pil.to_pil(upscale_picture(core, pil.from_pil(image), request, progress), image)
    if isinstance(image, (str, os.PathLike)):
        picture = image_io.read(Path(image), max_pixels=max_pixels)
        still = replace(picture, frames=picture.frames[:1])
        return pil.to_pil(upscale_picture(core, still, request, progress))
    raise TypeError(
        f"image must be a NumPy array, a PIL image or a path, not {type(image).__name__}"
    )


def upscale_picture(
    core: _core.Upscaler, picture: Picture, request: Request, progress: Progress | None
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
    return *picture_size(image), np.dtype(np.uint8)


def _size_of_frame(frame: Frame) -> tuple[int, int, np.dtype[Any]]:
    return frame.width, frame.height, frame.pixels.dtype


def _upscaled(
    core: _core.Upscaler, frame: Frame, request: Request, progress: Progress | None
) -> Frame:
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
