"""Transparency: colours under transparent pixels, and alpha channels that are constant."""

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.imaging.picture import Pixels

_REACH = 2  # pixels; within this distance the network mixes colours strongly
_TRUSTED = 0.5  # of the largest alpha within reach; a pixel from there on keeps its own colour


def is_constant(alpha: Pixels) -> bool:
    """Whether every pixel has the same alpha; its upscaled channel is then constant, too."""
    return bool((alpha == alpha.flat[0]).all())


def bleed(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Fill hardly visible pixels with the colours of clearly visible ones around them.

    Editors leave black (or any colour) under transparent and nearly transparent pixels. A network
    or a filter mixes it into the visible edge, which gives a dark fringe. The trust in a pixel's
    own colour is its alpha relative to the largest alpha near it, full from half of that on, so
    that soft edges keep their detail and an evenly faint picture is not changed. The rest is
    filled from an image pyramid of means weighted by trust (pull-push: Gortler et al., "The
    Lumigraph", 1996, section 3.4). Time and memory are linear in the pixels.

    Args:
        pixels: Height x width x channels.
        alpha: Height x width, of the same type; 0 is transparent.

    Returns:
        The same pixels where trust is full. `pixels` itself is not changed.
    """
    if is_constant(alpha):
        return pixels
    trust = _trust(alpha)
    doubtful = trust < 1
    if not doubtful.any():
        return pixels
    filled = _push_pull(pixels.astype(np.float32), trust[..., None])
    out: Pixels = pixels.copy()
    fill = filled[doubtful]
    out[doubtful] = fill if pixels.dtype == np.float32 else np.rint(fill)
    return out


def _trust(alpha: Pixels) -> NDArray[np.float32]:
    """0..1: alpha against `_TRUSTED` of the largest alpha within `_REACH` rows and columns."""
    largest = _largest_near(_largest_near(alpha).T).T
    needed = np.maximum(largest.astype(np.float32) * np.float32(_TRUSTED), np.float32(1e-6))
    trust: NDArray[np.float32] = np.minimum(alpha.astype(np.float32) / needed, np.float32(1))
    return trust


def _largest_near(alpha: Pixels) -> Pixels:
    """The maximum over `_REACH` rows above and below."""
    padded = np.pad(alpha, ((_REACH, _REACH), (0, 0)), mode="edge")
    largest: Pixels = alpha.copy()
    for start in range(2 * _REACH + 1):
        np.maximum(largest, padded[start : start + len(alpha)], out=largest)
    return largest


def _push_pull(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """`colour` where its weight is 1, else a mix with the weighted mean of its neighbourhood."""
    if weight.min() >= 1 or max(colour.shape[:2]) == 1:
        return colour
    coarse_weight = _halve(weight)
    floor: NDArray[np.float32] = np.maximum(coarse_weight, np.float32(1e-12))
    coarse = _halve(colour * weight) / floor
    # From a weight of 1 on, the coarse pixel is known.
    filled = _push_pull(coarse, np.minimum(coarse_weight, 1))
    height, width = colour.shape[:2]
    wide = filled.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width]
    mixed: NDArray[np.float32] = weight * colour + (1 - weight) * wide
    return mixed


def _halve(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of 2 x 2 pixels; an odd last row or column counts what there is."""
    height, width = values.shape[:2]
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    columns: NDArray[np.float32] = even[:, 0::2] + even[:, 1::2]
    rows: NDArray[np.float32] = columns[0::2] + columns[1::2]
    return rows
