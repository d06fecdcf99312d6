"""Cut matching patches from a low-resolution batch and its ground truth."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from realesrgan_train.degradations.extent import take, to_device


class DegradedBatch(NamedTuple):
    """What a training step needs.

    Attributes:
        lq: [B, 3, h, w], 0..1 in steps of 1/255, the network's input.
        gt: [B, 3, scale * h, scale * w], 0..1, the ground truth.
        gt_usm: the ground truth sharpened, of the same shape.
    """

    lq: Tensor
    gt: Tensor
    gt_usm: Tensor


def _positions(fraction: Tensor, size: int, patch: int) -> Tensor:
    """First index of each patch: all size - patch + 1 places equally likely. int64 [B]."""
    places = size - patch + 1
    return (fraction * places).long().clamp(max=places - 1)


def crop_patches(
    batch: DegradedBatch, patch: int, scale: int, crop_y: Tensor, crop_x: Tensor
) -> DegradedBatch:
    """Cut one patch from each sample, at the same place in all three pictures.

    Args:
        batch: whole pictures.
        patch: side of the ground-truth patch, a multiple of scale.
        scale: ground-truth pixels per low-resolution pixel.
        crop_y: float [B] in 0..1 on the host: where between the first and the last place.
        crop_x: the same for columns.

    Returns:
        Pictures of patch / scale and patch pixels a side.
    """
    height, width = batch.lq.shape[2:]
    side = patch // scale
    if (height, width) == (side, side):
        return batch
    steps = torch.arange(patch)
    top = _positions(crop_y, height, side).view(-1, 1)
    left = _positions(crop_x, width, side).view(-1, 1)
    device = batch.gt.device
    lq = take(
        batch.lq, to_device(top + steps[:side], device), to_device(left + steps[:side], device)
    )
    rows = to_device(top * scale + steps, device)
    columns = to_device(left * scale + steps, device)
    return DegradedBatch(lq, take(batch.gt, rows, columns), take(batch.gt_usm, rows, columns))
