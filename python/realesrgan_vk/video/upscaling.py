"""One frame through the network, from planes into planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk._core import YuvFormat, rgb_to_yuv
from realesrgan_vk.imaging.picture import Frame, Picture, Pixels
from realesrgan_vk.options import Progress

if TYPE_CHECKING:
    from realesrgan_vk.options import Request
    from realesrgan_vk.upscaler import Upscaler
    from realesrgan_vk.video.frames import Plane, VideoFrame

Enhance = Callable[[Pixels, Pixels, "Progress | None"], Pixels]
"""Maps a frame and its enlarged version, RGB in 0..1, to the latter with faces restored."""


def upscale_into(
    upscaler: Upscaler,
    frame: VideoFrame,
    request: Request,
    *,
    planes: tuple[Plane, ...],
    alpha: Plane | None,
    target_format: YuvFormat,
    progress: Progress | None = None,
    enhance: Enhance | None = None,
) -> None:
    """Fill planes of the size that `request` asks for with an upscaled frame.

    Without alpha and faces, by the network's own scale and at full strength, colours are converted
    row by row on the way; else a whole frame of floats is made, as for a picture.

    Args:
        upscaler: Runs the network.
        frame: The frame.
        request: The size, and the methods used.
        planes: Of the result's colours.
        alpha: Of its transparency; None: it has none. It is opaque where the frame has no alpha.
        target_format: How the planes stand for colours.
        progress: As for `Upscaler.upscale`.
        enhance: Puts what is restored into the result; None: nothing is.
    """
    height, width = planes[0].shape
    network = upscaler.network
    own_size = (frame.width * network.scale, frame.height * network.scale) == (width, height)
    transparent = frame.alpha is not None and alpha is not None
    is_direct = own_size and request.strength == 1 and enhance is None
    if is_direct and not transparent and network.input_channels == 3:
        upscaler.upscale_yuv(
            list(frame.planes), frame.yuv_format, list(planes), target_format, progress
        )
        if alpha is not None:
            fill_opaque(alpha, target_format)
        return
    opacity = _unit(frame.alpha, frame.yuv_format) if transparent else None
    source = frame.rgb()
    picture = Picture((Frame(source, opacity, 0),), "colour", 32)
    large = upscaler.upscale_picture(picture, replace(request, faces=None), progress).frames[0]
    pixels = large.pixels if enhance is None else enhance(source, large.pixels, progress)
    rgb_to_yuv(np.ascontiguousarray(pixels), list(planes), target_format)
    if alpha is None:
        return
    if large.alpha is None:
        fill_opaque(alpha, target_format)
    else:
        largest = (1 << target_format.bits) - 1
        values = np.rint(np.clip(large.alpha, 0, 1) * largest).astype(alpha.dtype)
        alpha[...] = values << target_format.low_bits


def _unit(alpha: Plane | None, form: YuvFormat) -> NDArray[np.float32] | None:
    if alpha is None:
        return None
    unit: NDArray[np.float32] = (alpha >> form.low_bits).astype(np.float32)
    unit /= (1 << form.bits) - 1
    return unit


def fill_opaque(alpha: Plane, form: YuvFormat) -> None:
    """Fill an alpha plane with full opacity."""
    alpha[...] = ((1 << form.bits) - 1) << form.low_bits
