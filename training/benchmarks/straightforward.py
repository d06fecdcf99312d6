"""The recipe as one would write it first: sample by sample, with NumPy, SciPy, OpenCV and Pillow.

It shares no code with the package: the tests compare the package with it, the benchmark races it.
Decisions come as the package's drawn parameters, so that both do the same work.
"""

from __future__ import annotations

import io
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import special

from realesrgan_train.config.degradation import KERNEL_FAMILIES
from realesrgan_train.degradations.draw import DrawnKernel, DrawnNoise, DrawnParameters

Picture = npt.NDArray[np.float32]
"""[H, W, 3] RGB, 0..1."""


def kernel(drawn: DrawnKernel, i: int) -> npt.NDArray[np.float64]:
    """The kernel of one sample, at its own size."""
    size = int(drawn.size[i])
    axis = np.arange(size) - size // 2
    xx, yy = np.meshgrid(axis, axis)
    if drawn.is_sinc[i]:
        cutoff = float(drawn.cutoff[i])
        radius = np.sqrt(xx**2 + yy**2)
        with np.errstate(invalid="ignore"):
            taps = cutoff * special.j1(cutoff * radius) / (2 * np.pi * radius)
        taps[size // 2, size // 2] = cutoff**2 / (4 * np.pi)
        return np.asarray(taps / taps.sum())
    angle = float(drawn.rotation[i])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    variances = np.diag([float(drawn.sigma_x[i]) ** 2, float(drawn.sigma_y[i]) ** 2])
    inverse = np.linalg.inv(turn @ variances @ turn.T)
    offsets = np.stack([xx, yy], axis=-1)
    form = np.einsum("hwi,ij,hwj->hw", offsets, inverse, offsets) ** float(drawn.beta[i])
    plateau = KERNEL_FAMILIES[int(drawn.family[i])].startswith("plateau")
    taps = 1 / (form + 1) if plateau else np.exp(-0.5 * form)
    return np.asarray(taps / taps.sum())


def blur(picture: Picture, drawn: DrawnKernel, i: int) -> Picture:
    """Filter with the drawn kernel, if it is applied."""
    if not drawn.applied[i]:
        return picture
    taps = kernel(drawn, i)
    return _float(cv2.filter2D(picture, -1, taps, borderType=cv2.BORDER_REFLECT_101))


def resize(picture: Picture, height: int, width: int, mode: int) -> Picture:
    """Area (whole touched pixels), bilinear or bicubic, without antialiasing."""
    if picture.shape[:2] == (height, width):
        return picture
    if mode == 0:
        return _float(_area(_area(picture, height, 0), width, 1))
    how = cv2.INTER_LINEAR if mode == 1 else cv2.INTER_CUBIC
    return _float(cv2.resize(picture, (width, height), interpolation=how))


def _area(picture: Picture, target: int, axis: int) -> Picture:
    size = picture.shape[axis]
    spans = [(o * size // target, -(-(o + 1) * size // target)) for o in range(target)]
    rows = [picture.take(range(a, b), axis).mean(axis) for a, b in spans]
    return _float(np.stack(rows, axis))


def noise(picture: Picture, drawn: DrawnNoise, i: int, rng: np.random.Generator) -> Picture:
    """Add Gaussian or Poisson noise, if any is applied."""
    if not drawn.applied[i]:
        return picture
    gray = bool(drawn.is_gray[i])
    if drawn.is_gaussian[i]:
        shape = picture.shape[:2] + ((1,) if gray else (3,))
        field = rng.standard_normal(shape, dtype=np.float32) * np.float32(drawn.sigma[i] / 255)
    else:
        base = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] if gray else picture
        base = np.round(np.clip(base, 0, 1) * 255) / 255
        exposure = 2 ** np.ceil(np.log2(len(np.unique(base))))
        field = (rng.poisson(base * exposure) / exposure - base) * float(drawn.poisson_scale[i])
    return _float(np.clip(picture + field, 0, 1))


def jpeg(picture: Picture, quality: float) -> Picture:
    """Through libjpeg at the nearest whole quality, 4:2:0."""
    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=round(quality), subsampling="4:2:0")
    return _float(np.asarray(Image.open(file)) / np.float32(255))


def usm(picture: Picture) -> Picture:
    """Unsharp masking: weight 0.5, 51 taps, threshold 10, soft mask."""
    blurred = cv2.GaussianBlur(picture, (51, 51), 0, borderType=cv2.BORDER_REFLECT_101)
    detail = picture - blurred
    mask = (np.abs(detail) * 255 > 10).astype(np.float32)
    soft = cv2.GaussianBlur(mask, (51, 51), 0, borderType=cv2.BORDER_REFLECT_101)
    sharp = np.clip(picture + 0.5 * detail, 0, 1)
    return _float(soft * sharp + (1 - soft) * picture)


def degrade(
    picture: Picture, drawn: DrawnParameters, i: int, scale: int, rng: np.random.Generator
) -> Picture:
    """Sharpen one picture and send it through both orders."""
    height, width = picture.shape[:2]
    low = (height // scale, width // scale)
    first, second = drawn.first, drawn.second

    x = blur(usm(picture), first.kernel, i)
    factor = float(first.resize.factor[i])
    x = resize(x, int(height * factor), int(width * factor), int(first.resize.mode[i]))
    x = noise(x, first.noise, i, rng)
    if first.jpeg.applied[i]:
        x = jpeg(x, float(first.jpeg.quality[i]))

    x = blur(x, second.kernel, i)
    factor = float(second.resize.factor[i])
    x = resize(x, int(low[0] * factor), int(low[1] * factor), int(second.resize.mode[i]))
    x = noise(x, second.noise, i, rng)
    compress = bool(second.jpeg.applied[i])
    early = bool(drawn.resize_before_jpeg[i])
    if compress and not early:
        x = jpeg(x, float(second.jpeg.quality[i]))
    x = blur(resize(x, *low, int(drawn.final_mode[i])), drawn.final_sinc, i)
    if compress and early:
        x = jpeg(x, float(second.jpeg.quality[i]))
    return _float(np.round(np.clip(x, 0, 1) * 255) / 255)


def _float(picture: npt.NDArray[Any]) -> Picture:
    return picture.astype(np.float32, copy=False)
