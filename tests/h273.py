"""ITU-T H.273 in doubles: the oracle of every test that converts colours of video frames.

Planes are luma and both chroma planes, for the matrix "rgb" green, blue and red, as
`realesrgan_vk.Upscaler.upscale_yuv` takes them; colours are (H, W, 3), R, G and B in 0..1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk import YuvFormat

Plane = NDArray[Any]
LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def empty_planes(width: int, height: int, form: YuvFormat) -> list[Plane]:
    across, down = form.subsampling
    chroma = (-(-height // down), -(-width // across))
    dtype = np.uint8 if form.bits == 8 else np.uint16
    return [np.zeros(shape, dtype) for shape in ((height, width), chroma, chroma)]


def interpolated(plane: Plane, length: int, step: int, axis: int, cosited: bool) -> Plane:
    """The plane at `length` luma positions of an axis, by `numpy.interp` between its samples."""
    places = np.arange(plane.shape[axis]) * step + (0 if cosited else (step - 1) / 2)
    return np.apply_along_axis(lambda row: np.interp(np.arange(length), places, row), axis, plane)


def rgb_by_h273(planes: list[Plane], form: YuvFormat) -> NDArray[np.float64]:
    """Equations 20 to 25 and 38 to 40 of H.273, solved for R, G and B."""
    unit = 2.0 ** (form.bits - 8)
    full = form.full_range
    y, cb, cr = ((plane >> form.low_bits).astype(np.float64) for plane in planes)
    y = y / (256 * unit - 1) if full else (y - 16 * unit) / (219 * unit)
    if form.matrix == "rgb":
        blue, red = (
            c / (256 * unit - 1) if full else (c - 16 * unit) / (219 * unit) for c in (cb, cr)
        )
        return np.stack([red, y, blue], axis=2)
    across, down = form.subsampling
    wide = []
    for c in (cb, cr):
        scaled = (c - 128 * unit) / (256 * unit - 1 if full else 224 * unit)
        tall = interpolated(scaled, y.shape[0], down, 0, form.siting == "top_left")
        wide.append(interpolated(tall, y.shape[1], across, 1, form.siting != "center"))
    of_red, of_blue = LUMA[form.matrix]
    red, blue = y + 2 * (1 - of_red) * wide[1], y + 2 * (1 - of_blue) * wide[0]
    green = (y - of_red * red - of_blue * blue) / (1 - of_red - of_blue)
    return np.stack([red, green, blue], axis=2)


def planes_by_h273(rgb: NDArray[np.floating[Any]], form: YuvFormat) -> list[Plane]:
    """Equations 20 to 25 and 38 to 40 of H.273, rounded to the nearest sample.

    A subsampled chroma sample is the colour of its block's top left pixel, which is exact for
    pictures that are flat in every such block.
    """
    unit = 2.0 ** (form.bits - 8)
    most = 2**form.bits - 1
    red, green, blue = np.moveaxis(rgb.astype(np.float64), 2, 0)
    of_luma, offset = (most, 0.0) if form.full_range else (219 * unit, 16 * unit)
    if form.matrix == "rgb":
        values = [part * of_luma + offset for part in (green, blue, red)]
    else:
        of_red, of_blue = LUMA[form.matrix]
        y = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
        across, down = form.subsampling
        of_chroma = most if form.full_range else 224 * unit
        chroma = [
            (part - y)[::down, ::across] / (2 * (1 - weight)) * of_chroma + 128 * unit
            for part, weight in ((blue, of_blue), (red, of_red))
        ]
        values = [y * of_luma + offset, *chroma]
    dtype = np.uint8 if form.bits == 8 else np.uint16
    return [np.floor(value + 0.5).clip(0, most).astype(dtype) << form.low_bits for value in values]
