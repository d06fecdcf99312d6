"""Transparency: what to do with the colour that nobody sees, and when alpha needs no work."""

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.picture import Pixels


def is_constant(alpha: Pixels) -> bool:
    """Whether every pixel has the same alpha, so that upscaling it is only repeating it."""
    return bool((alpha == alpha.flat[0]).all())


def bleed(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Replace the colour of fully transparent pixels by that of the visible ones around them.

    Editors leave black (or anything) under transparent pixels. A network or a filter mixes it
    into the visible edge, which shows as a dark fringe. The fill comes from an image pyramid of
    alpha-weighted means (pull), read back where nothing is visible (push): Gortler et al., "The
    Lumigraph", 1996, section 3.4. Time and memory are linear in the pixels.

    Args:
        pixels: Height x width x channels.
        alpha: Height x width, of the same type; 0 is transparent.

    Returns:
        The same pixels where alpha is above 0. `pixels` itself is not changed.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    weight = (alpha.astype(np.float32) / np.float32(alpha.max()))[..., None]
    filled = _push_pull(pixels.astype(np.float32), weight)
    out: Pixels = pixels.copy()
    fill = filled[hidden]
    out[hidden] = fill if pixels.dtype == np.float32 else np.rint(fill)
    return out


def _push_pull(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """`colour` where `weight` is above 0, elsewhere the mean of what is near."""
    if weight.min() > 0 or max(colour.shape[:2]) == 1:
        return colour
    coarse_weight = _halve(weight)
    coarse = _halve(colour * weight) / np.maximum(coarse_weight, np.float32(1e-12))
    # Beyond 1 a weight says nothing more: the coarse pixel is known.
    filled = _push_pull(coarse, np.minimum(coarse_weight, 1))
    height, width = colour.shape[:2]
    wide = filled.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width]
    return np.where(weight > 0, colour, wide)


def _halve(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of 2 x 2 pixels; an odd last row or column counts what there is."""
    height, width = values.shape[:2]
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    columns: NDArray[np.float32] = even[:, 0::2] + even[:, 1::2]
    rows: NDArray[np.float32] = columns[0::2] + columns[1::2]
    return rows
