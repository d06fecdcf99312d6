"""Run a generator on a whole picture, in tiles when it is large."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _enlarge(network: nn.Module, lq: Tensor, scale: int, multiple: int) -> Tensor:
    """Pad to what pixel-unshuffle needs, run, cut the padding off."""
    height, width = lq.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if down or right:
        lq = functional.pad(lq, (0, right, 0, down), mode="replicate")
    output: Tensor = network(lq)
    return output[..., : height * scale, : width * scale]


@torch.no_grad()
def enlarge(
    network: nn.Module, lq: Tensor, scale: int, *, tile: int = 0, overlap: int = 32
) -> Tensor:
    """Enlarge one picture.

    Args:
        network: a generator on the picture's device.
        lq: `[1, 3, H, W]` in 0..1.
        scale: the network's.
        tile: edge of the input tiles in pixels, 0 for the whole picture at once.
        overlap: context around each tile in input pixels; what depends on it is cut off, so tiles
            differ from the whole picture only where the network sees further than this.

    Returns:
        `[1, 3, scale * H, scale * W]`, float32, not clamped.
    """
    multiple = int(getattr(network, "unshuffle", 1))
    height, width = lq.shape[-2:]
    if tile <= 0 or (height <= tile and width <= tile):
        return _enlarge(network, lq, scale, multiple).float()
    output = lq.new_empty((1, 3, height * scale, width * scale), dtype=torch.float32)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            y0, x0 = max(0, top - overlap), max(0, left - overlap)
            y1, x1 = min(height, top + tile + overlap), min(width, left + tile + overlap)
            piece = _enlarge(network, lq[..., y0:y1, x0:x1], scale, multiple)
            h, w = min(tile, height - top) * scale, min(tile, width - left) * scale
            oy, ox = (top - y0) * scale, (left - x0) * scale
            output[..., top * scale : top * scale + h, left * scale : left * scale + w] = piece[
                ..., oy : oy + h, ox : ox + w
            ]
    return output
