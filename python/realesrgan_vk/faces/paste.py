"""Putting a restored face into the enlarged picture, so that only the face changes.

What is added to the picture is the difference between the restored crop and the same crop of the
picture itself. So what the crop cannot hold, the detail of a face that is larger than it, stays;
and a restorer that changes nothing changes no sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.faces.align import CROP, Floats, Points, Similarity, warp
from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.samples import from_unit, to_unit

# The mask in the crop: a superellipse around eyes, nose, mouth and jaw; hair, neck and background
# stay as they are. Inside of the inner one it is 1, and at the outer one, which ends before the
# crop does, it is 0.
_CENTRE = (CROP / 2, 0.55 * CROP)
_INNER = (0.24 * CROP, 0.31 * CROP)
_OUTER = (0.36 * CROP, 0.43 * CROP)
_EXPONENT = 2.5
_CELLS = 8  # a side, of the grid on which colours are matched
_MARGIN = 8  # pixels along the picture's border whose colours are not matched
_BAND_PIXELS = 1 << 20  # of the picture that are changed at once


def mask_at(points: Points) -> Floats:
    """The mask's value, 0..1, at points (..., 2) of the crop, in its pixels."""
    away = np.abs(points - _CENTRE)
    inner, outer = (
        ((away / radii) ** _EXPONENT).sum(axis=-1) ** (1 / _EXPONENT) for radii in (_INNER, _OUTER)
    )
    # From 0 at the outer one to 1 at the inner one, along the ray from the centre.
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(inner <= 1, 1.0, (1 / outer - 1) / (1 / outer - 1 / inner))
    share = np.clip(share, 0, 1)
    smooth: Floats = (share**3 * (share * (6 * share - 15) + 10)).astype(np.float32)
    return smooth


def paste(picture: Pixels, restored: Floats, to_crop: Similarity, strength: float) -> None:
    """Put a restored face into a picture, in place.

    Args:
        picture: Height x width x 1 (grey) or 3 (RGB), of any sample type.
        restored: The crop, `CROP` x `CROP` x 3, in 0..1.
        to_crop: From the picture's pixels to the crop's.
        strength: How much of the restored face is in the result, 0..1.
    """
    low, high = _region(picture, to_crop)
    if strength == 0 or (low >= high).any():
        return
    change = _change(picture, restored, to_crop) * np.float32(strength)
    from_crop = to_crop.inverse()
    width = int(high[0] - low[0])
    rows = max(1, _BAND_PIXELS // width)
    columns = np.arange(low[0], high[0]) + 0.5
    for top in range(low[1], high[1], rows):
        bottom = min(top + rows, high[1])
        x, y = np.meshgrid(columns, np.arange(top, bottom) + 0.5)
        positions = np.stack([x, y], axis=-1).reshape(-1, 2)
        mask = mask_at(to_crop(positions)).reshape(bottom - top, width, 1)
        if not mask.any():
            continue
        moved = Similarity(from_crop.turn, from_crop.shift - (low[0], top))
        added = warp(change, moved, (width, bottom - top)) * mask
        part = picture[top:bottom, low[0] : high[0]]
        changed = from_unit(to_unit(part) + added, picture.dtype)
        np.copyto(part, changed, where=mask > 0)


def _region(picture: Pixels, to_crop: Similarity) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first pixels (x, y) that the mask covers and those after the last, inside the picture."""
    corners = np.array([[sx * _OUTER[0], sy * _OUTER[1]] for sx in (-1, 1) for sy in (-1, 1)])
    covered = to_crop.inverse()(corners + _CENTRE)
    size = (picture.shape[1], picture.shape[0])
    low = np.clip(np.floor(covered.min(axis=0)), 0, size).astype(np.int64)
    high = np.clip(np.ceil(covered.max(axis=0)), 0, size).astype(np.int64)
    return low, high


def _change(picture: Pixels, restored: Floats, to_crop: Similarity) -> Floats:
    """What is added to the picture in the crop, its low frequencies taken out."""
    present = warp(picture, to_crop, (CROP, CROP))
    if picture.shape[2] == 1:
        restored = restored.mean(axis=2, keepdims=True, dtype=np.float32)
    change = restored - present
    x, y = np.meshgrid(np.arange(CROP) + 0.5, np.arange(CROP) + 0.5)
    points = np.stack([x, y], axis=-1)
    # Beyond the picture both crops hold its border, each at its own scale.
    places = to_crop.inverse()(points.reshape(-1, 2)).reshape(points.shape)
    size = np.array([picture.shape[1], picture.shape[0]])
    within = ((places >= _MARGIN) & (places <= size - _MARGIN)).all(axis=-1)
    mask = mask_at(points) * within
    weights = _smooth(mask)
    drift = [
        _smooth(change[..., channel] * mask) / np.maximum(weights, 1e-3)
        for channel in range(change.shape[2])
    ]
    cleared: Floats = change - np.stack(drift, axis=-1)
    return cleared


def _smooth(plane: Floats) -> Floats:
    """The plane without detail finer than an eighth of its side."""
    coarse = Image.fromarray(plane).resize((_CELLS, _CELLS), Image.Resampling.BOX)
    # A filter without negative weights: the drift is a ratio of two such planes.
    return np.asarray(coarse.resize(plane.shape, Image.Resampling.HAMMING))
