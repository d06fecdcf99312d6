"""Distances by structural similarity."""

from __future__ import annotations

from torch import Tensor, nn

from realesrgan_train.errors import ConfigError


class MsSsimLoss(nn.Module):
    """1 - MS-SSIM (Wang, Simoncelli and Bovik, 2003) by the package torchmetrics, times `weight`.

    Negative contrasts, of which the fractional powers have no value, count as 0.

    Raises:
        ConfigError: torchmetrics is not installed.
    """

    def __init__(self, weight: float = 0.84) -> None:
        super().__init__()
        try:
            # Imported here: torchmetrics is optional, and takes a second.
            from torchmetrics.functional.image import (  # noqa: PLC0415
                multiscale_structural_similarity_index_measure,
            )
        except ModuleNotFoundError as error:
            raise ConfigError(
                "the loss ms_ssim needs the package torchmetrics, which is not installed: "
                "pip install torchmetrics"
            ) from error
        self.weight = weight
        self._similarity = multiscale_structural_similarity_index_measure

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two [B, C, H, W] batches in 0..1, edges of 176 pixels at least; a scalar."""
        similarity: Tensor = self._similarity(output, target, data_range=1.0, normalize="relu")
        return self.weight * (1 - similarity)
