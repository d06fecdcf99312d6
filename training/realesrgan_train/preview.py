"""A contact sheet of degradations, to see before the training what a recipe does to pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from realesrgan_train.config.degradation import KERNEL_FAMILIES, VIDEO_CODECS, DegradationConfig
from realesrgan_train.data.pictures import Picture
from realesrgan_train.degradations.draw import (
    DrawnKernel,
    DrawnNoise,
    DrawnOrder,
    DrawnParameters,
    DrawnResize,
    DrawnVideo,
    draw,
)
from realesrgan_train.degradations.extent import edge_indices
from realesrgan_train.degradations.recipe import Degrader
from realesrgan_train.degradations.resize import RESIZE_MODES
from realesrgan_train.errors import ConfigError
from realesrgan_train.files import replacing
from realesrgan_train.sheet import CELL, Cell, compose

VARIANTS = 3
"""Degraded versions of each picture."""


def preview(
    pictures: Sequence[Picture], config: DegradationConfig, scale: int, out: Path, seed: int
) -> None:
    """Write a sheet with one row a picture: as it is, sharpened, and degraded three times.

    Each degraded picture is shown at the size of the original (nearest neighbour), with the drawn
    parameters below it in the order in which they were applied. Small pictures are enlarged a whole
    number of times.

    Args:
        pictures: `uint8[H, W, C]`, of 3 channels or grey; the centre of each is shown.
        config: The recipe.
        scale: Ground-truth pixels per low-resolution pixel.
        out: A `.png` file; appears whole or not at all.
        seed: Seed of the draws; the same seed gives the same sheet.

    Raises:
        ConfigError: Without pictures, for another suffix than `.png` or an impossible scale.
    """
    if not pictures:
        raise ConfigError("preview: give at least one picture")
    if out.suffix.lower() != ".png":
        raise ConfigError(f"preview: {out} must end in .png")
    if not 1 <= scale <= CELL // 8:
        raise ConfigError(f"preview: scale must be 1..{CELL // 8}, not {scale}")
    side = min(config.input_size, CELL) // scale * scale
    degrader = Degrader(config.model_copy(update={"patch_size": None}), scale)
    generator = torch.Generator().manual_seed(seed)
    rows = [_row(_centre(picture, side), degrader, generator) for picture in pictures]
    sheet = compose(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as partial:
        sheet.save(partial, "PNG")


def _centre(picture: Picture, side: int) -> Tensor:
    """The middle of a picture, [1, C, side, side]; smaller pictures are continued by reflection."""
    height, width = picture.shape[:2]
    rows = edge_indices(height, (side - height) // 2, side, "reflect").numpy()
    columns = edge_indices(width, (side - width) // 2, side, "reflect").numpy()
    crop = picture[rows][:, columns].astype(np.float32) / 255
    return torch.from_numpy(crop).permute(2, 0, 1).unsqueeze(0)


def _row(gt: Tensor, degrader: Degrader, generator: torch.Generator) -> list[Cell]:
    """One picture's cells. Each variant is a batch of its own, as in a real draw."""
    cells: list[Cell] = []
    for _ in range(VARIANTS):
        drawn = draw(degrader.config, 1, generator)
        lq, _, sharpened = degrader.apply_drawn(gt, drawn)
        shown = lq.repeat_interleave(degrader.scale, 2).repeat_interleave(degrader.scale, 3)
        if not cells:
            cells = [Cell(gt, ["ground truth"]), Cell(sharpened, ["sharpened"])]
        cells.append(Cell(shown, describe(drawn, 0, is_grey=gt.shape[1] == 1)))
    return cells


_DIRECTIONS = ("up", "down", "keep")


def describe(drawn: DrawnParameters, sample: int, *, is_grey: bool = False) -> list[str]:
    """Lines of at most 60 characters: the steps a sample of a batch goes through, in order.

    The noise of a grey picture is gray, whatever was drawn.

    Ten of them, eleven where the recipe has video compression.
    """
    before = bool(drawn.resize_before_jpeg[sample])
    tail = [
        f"resize to LQ, {RESIZE_MODES[int(drawn.final_mode[sample])]}",
        _kernel(drawn.final_sinc, sample),
    ]
    jpeg = [_jpeg(drawn.second, sample)]
    return [
        *_order(drawn.first, sample, is_grey),
        _jpeg(drawn.first, sample),
        *_order(drawn.second, sample, is_grey),
        *(tail + jpeg if before else jpeg + tail),
        *([] if drawn.video is None else [_video(drawn.video, sample)]),
    ]


def _order(drawn: DrawnOrder, sample: int, is_grey: bool) -> list[str]:
    return [
        _kernel(drawn.kernel, sample),
        _resize(drawn.resize, sample),
        _noise(drawn.noise, sample, is_grey),
    ]


def _kernel(drawn: DrawnKernel, sample: int) -> str:
    if not drawn.applied[sample]:
        return "no blur"
    taps = int(drawn.size[sample])
    if drawn.is_sinc[sample]:
        return f"sinc {taps} taps, cutoff {drawn.cutoff[sample] / math.pi:.2f} pi"
    name = KERNEL_FAMILIES[int(drawn.family[sample])]
    sigma = f"{drawn.sigma_x[sample]:.2f}"
    if name.endswith("aniso"):
        angle = math.degrees(drawn.rotation[sample].item())
        sigma += f"/{drawn.sigma_y[sample]:.2f} at {angle:.0f} deg"
    beta = f", beta {drawn.beta[sample]:.2f}" if "_" in name else ""
    return f"{name.replace('_', ' ')} {taps} taps, {sigma}{beta}"


def _resize(drawn: DrawnResize, sample: int) -> str:
    direction = _DIRECTIONS[int(drawn.direction[sample])]
    mode = RESIZE_MODES[int(drawn.mode[sample])]
    return f"resize {direction} {drawn.factor[sample]:.2f}, {mode}"


def _noise(drawn: DrawnNoise, sample: int, is_grey: bool) -> str:
    if not drawn.applied[sample]:
        return "no noise"
    colour = "gray" if is_grey or drawn.is_gray[sample] else "colour"
    if drawn.is_gaussian[sample]:
        return f"Gaussian noise {drawn.sigma[sample]:.1f}/255, {colour}"
    return f"Poisson noise x {drawn.poisson_scale[sample]:.2f}, {colour}"


def _video(drawn: DrawnVideo, sample: int) -> str:
    if not drawn.applied[sample]:
        return "no video"
    name = VIDEO_CODECS[int(drawn.codec[sample])]
    return f"{name} {drawn.quantiser[sample]}, frame {drawn.frames[sample]} of a clip"


def _jpeg(drawn: DrawnOrder, sample: int) -> str:
    if not drawn.jpeg.applied[sample]:
        return "no JPEG"
    return f"JPEG quality {drawn.jpeg.quality[sample]:.0f}"
