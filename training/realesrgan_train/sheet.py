"""Contact sheets: rows of pictures of one size with text below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from realesrgan_train.colour import as_rgb

CELL = 320
"""Largest side of a picture on a sheet in pixels; the text below needs about this width."""
_LINE = 14
_GAP = 6
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)


@dataclass
class Cell:
    """A picture, `[1, 3, H, W]` or grey `[1, 1, H, W]` in 0..1, and the lines below it."""

    picture: Tensor
    lines: Sequence[str] = field(default_factory=list)


def to_image(picture: Tensor) -> Image.Image:
    """`[1, 3, H, W]` or grey `[1, 1, H, W]` in 0..1 as a picture of 8 bits, RGB."""
    pixels = (as_rgb(picture)[0].detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def _enlarged(picture: Tensor) -> Image.Image:
    """A small picture a whole number of times as large, by repetition."""
    image = to_image(picture)
    times = max(1, CELL // max(image.size))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def compose(rows: Sequence[Sequence[Cell]], title: str = "") -> Image.Image:
    """Lay out rows of cells; each row is as high as its highest picture and longest text."""
    images = [[_enlarged(cell.picture) for cell in row] for row in rows]
    heights = [
        max(image.height for image in line) + max(len(cell.lines) for cell in row) * _LINE + _GAP
        for line, row in zip(images, rows, strict=True)
    ]
    above = _LINE + _GAP if title else 0
    width = (CELL + _GAP) * max(map(len, rows))
    sheet = Image.new("RGB", (width, above + sum(heights)), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    pen.text((2, 2), title, _INK, font)
    top = above
    for line, row, height in zip(images, rows, heights, strict=True):
        below = top + max(image.height for image in line) + 2
        for number, (image, cell) in enumerate(zip(line, row, strict=True)):
            left = number * (CELL + _GAP)
            sheet.paste(image, (left, top))
            pen.multiline_text((left, below), "\n".join(cell.lines), _INK, font, spacing=2)
        top += height
    return sheet
