"""The runs of the network over a picture, and the arrays in memory during each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from realesrgan_vk._core import NetworkInfo, PlanReport
    from realesrgan_vk.image_io.limits import Header

_BLEED_BYTES = 65
"""Memory of the floats in `alpha.bleed` for each pixel; measured."""

_FLOATS_OF_MEAN = 3
"""Floats for each pixel of the result while its channels are averaged and rounded."""


@dataclass(frozen=True, slots=True)
class PlannedPass:
    """One run of the network, and the arrays around it.

    Attributes:
        dtype: Type of the samples in and out.
        held_bytes: The picture, and results of earlier passes.
        result_bytes: The result of this pass.
        by_rows: Whether the core reads and writes rows through callbacks.
        whole_bytes: All rows, where the run needs them at once.
        taking_bytes: Copies of these rows after the run, and floats computed from them.
        before_bytes: What is computed before the pass and freed when it begins.
    """

    dtype: np.dtype[np.generic]
    held_bytes: int
    result_bytes: int
    by_rows: bool = False
    whole_bytes: int = 0
    taking_bytes: int = 0
    before_bytes: int = 0

    def picture_bytes(self, report: PlanReport, *, tta: bool) -> int:
        """Bytes that arrays add to the core's plan of this pass at their common peak.

        Args:
            report: The plan.
            tta: Whether all orientations are averaged.
        """
        memory = report["memory_bytes"]
        run = memory["total"] - memory.get("weights", 0)
        # A sum over the whole picture is stored at the end, when the network's memory is freed.
        one_tile = report["path"] == "tiles" and report["halo"] == 0
        summed = one_tile or (tta and report["path"] == "stream")
        held, result = self.held_bytes, self.result_bytes
        if self.by_rows and (tta or report["path"] == "tiles" or report["column_tiles"] > 1):
            held += self.whole_bytes
            return held + result + max(0, self.taking_bytes - run)
        if self.by_rows:
            held += memory["staging"]  # float rows and their mean
        elif summed:
            result = max(0, result - (run - memory["host"]))
        return max(held + result, self.before_bytes - run)


def passes_of(picture: Header, network: NetworkInfo) -> list[PlannedPass]:
    """The passes of `Processor` over colour and then alpha, which is assumed not to be constant.

    Args:
        picture: Its `dtype` is the one after the tone curve is replaced.
        network: The network.
    """
    dtype = np.dtype(picture.dtype)
    size = dtype.itemsize
    pixels = picture.width * picture.height
    large = pixels * network.scale**2
    given = pixels * (picture.channels + int(picture.has_alpha)) * size
    rows = np.dtype(np.float32)  # grey runs as three channels of floats, see `_run_grey_as_colours`
    whole = (pixels * network.input_channels + large * network.output_channels) * rows.itemsize
    taking = large * (network.output_channels + _FLOATS_OF_MEAN) * rows.itemsize

    def one(channels: int, held: int, before: int = 0) -> PlannedPass:
        result = large * channels * size
        if channels < network.input_channels:
            return PlannedPass(
                rows, held, result, by_rows=True, whole_bytes=whole, taking_bytes=taking
            )
        return PlannedPass(dtype, held, result, before_bytes=before)

    if not picture.has_alpha:
        return [one(picture.channels, given)]
    before = given + pixels * _BLEED_BYTES
    return [
        one(picture.channels, given, before),
        one(1, given + large * picture.channels * size),
    ]
