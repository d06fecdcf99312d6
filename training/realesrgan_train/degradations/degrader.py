"""The whole recipe on a batch: from ground truth to a training pair."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.degradations.draw import draw
from realesrgan_train.degradations.drawn import DrawnParameters
from realesrgan_train.degradations.patch import DegradedBatch, crop_patches
from realesrgan_train.degradations.recipe import degrade
from realesrgan_train.degradations.usm import usm_sharpen


class Degrader(nn.Module):
    """Make low-resolution pictures by the recipe.

    All decisions are drawn on the host; the device only computes, and the host never waits for it.

    Args:
        config: the recipe.
        scale: ground-truth pixels per low-resolution pixel, at least 1.

    Raises:
        ValueError: if the scale is below 1 or does not divide the patch size.
    """

    def __init__(self, config: DegradationConfig, scale: int) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"Degrader: scale must be at least 1, not {scale}")
        if config.patch_size is not None and config.patch_size % scale:
            raise ValueError(
                f"Degrader: patch_size {config.patch_size} is not a multiple of the scale {scale}"
            )
        self.config = config
        self.scale = scale

    def forward(self, gt: Tensor, generator: torch.Generator) -> DegradedBatch:
        """Draw and apply.

        Args:
            gt: float32 [B, 3, H, W] RGB, 0..1; H and W multiples of the scale, at least the patch.
            generator: of the CPU; its state alone decides the result.

        Returns:
            Pairs of the patch size, float32, without gradient.

        Raises:
            ValueError: for a batch of another shape or type.
        """
        self._check(gt)
        return self.apply_drawn(gt, draw(self.config, len(gt), generator))

    @torch.no_grad()
    def apply_drawn(self, gt: Tensor, drawn: DrawnParameters) -> DegradedBatch:
        """Apply decisions already drawn to a batch of as many samples (see `forward`)."""
        self._check(gt)
        with _no_autocast(gt.device):
            usm = self.config.usm
            gt_usm = usm_sharpen(gt, usm.weight, usm.radius, usm.threshold)
            lq = degrade(gt_usm, drawn, self.scale)
            batch = DegradedBatch(lq, gt, gt_usm)
            patch = self.config.patch_size
            if patch is None:
                return batch
            return crop_patches(batch, patch, self.scale, drawn.crop_y, drawn.crop_x)

    def _check(self, gt: Tensor) -> None:
        if gt.dim() != 4 or gt.shape[1] != 3 or gt.dtype != torch.float32:
            raise ValueError(
                f"Degrader: needs float32 [B, 3, H, W], got {gt.dtype} {tuple(gt.shape)}"
            )
        height, width = gt.shape[2:]
        if height % self.scale or width % self.scale:
            raise ValueError(
                f"Degrader: {height}x{width} pixels are not a multiple of the scale {self.scale}"
            )
        patch = self.config.patch_size or 1
        if min(height, width) < patch:
            raise ValueError(f"Degrader: {height}x{width} pixels cannot hold a patch of {patch}")


def _no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Pictures keep 32 bits whatever the training step around them does."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
