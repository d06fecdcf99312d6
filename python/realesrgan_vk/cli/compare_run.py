"""What `realesrgan-vk models compare` does: one sheet with a crop as each network enlarges it."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from realesrgan_vk import image_io
from realesrgan_vk.cli.messages import error_words, say
from realesrgan_vk.errors import ModelError, RealesrganError, printable
from realesrgan_vk.imaging.picture import Frame, Metadata, Picture
from realesrgan_vk.imaging.resample import resize
from realesrgan_vk.imaging.samples import colour, eight_bit
from realesrgan_vk.models.published import PUBLISHED
from realesrgan_vk.models.registry import Model, find_model, list_models
from realesrgan_vk.options import DEFAULT_MAX_PIXELS, Precision
from realesrgan_vk.upscaler import Upscaler

Crop = tuple[int, int, int, int]

CONTEXT = 32
"""Pixels around the crop that are run with it: beyond them networks hardly see."""
DEFAULT_SIDE = 128

_LABEL, _GAP = 26, 8  # rows of a name, pixels between cells
_PAPER, _INK = (24, 24, 24), (230, 230, 230)

Samples = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a command line of `models compare` asks for.

    Attributes:
        image: A picture; of an animation the first frame is taken, of transparency the colours.
        crop: Left, top, width and height in its pixels; None: `DEFAULT_SIDE` in its middle.
        names: Networks; none: all that are installed, but for those that only restore faces.
        scale: Of the sheet's pictures, whatever the network's own is.
        device: As `Upscaler` takes it.
        precision: As `Upscaler` takes it.
        max_pixels: Refuse larger pictures, and larger sheets; None: as by default for the sheet.
        output: The sheet; None: beside the picture.
    """

    image: Path
    crop: Crop | None
    names: tuple[str, ...]
    scale: int
    device: str
    precision: Precision
    max_pixels: int | None
    output: Path | None

    @property
    def target(self) -> Path:
        """Where the sheet goes."""
        return self.output or self.image.with_name(f"{self.image.stem}-networks.png")


def compare(asked: Comparison) -> bool:
    """Write the sheet; whether all the networks that were asked for are on it.

    Raises:
        ValueError: There is no such picture, the crop is not inside it, or the sheet would be too
            large.
        RealesrganError: The picture cannot be read, the sheet cannot be written, a network is
            not known, or none gave a result.
        OSError: The same, by the system.
    """
    if not asked.image.exists():
        raise ValueError(f"picture {asked.image} does not exist")
    scale = asked.scale
    models = [find_model(name) for name in asked.names] or _installed()
    source = image_io.read(asked.image, max_pixels=asked.max_pixels)
    samples = colour(eight_bit(source.frames[0]))[..., :3]
    left, top, width, height = asked.crop or _middle(source.width, source.height)
    if not (0 <= left < left + width <= source.width and 0 <= top < top + height <= source.height):
        raise ValueError(
            f"the crop {left},{top},{width},{height} is not inside the picture of {source.width} x "
            f"{source.height} pixels; give LEFT,TOP,WIDTH,HEIGHT"
        )
    columns, rows = _grid(len(models) + 1, width * scale, height * scale)
    size = (
        columns * (width * scale + _GAP) + _GAP,
        rows * (height * scale + _GAP + _LABEL) + _GAP,
    )
    if size[0] * size[1] > (asked.max_pixels or DEFAULT_MAX_PIXELS):
        raise ValueError(
            f"the sheet would be {size[0]} x {size[1]} pixels; give a smaller --crop or --scale, "
            "or fewer networks with --model"
        )
    first_x, first_y = max(0, left - CONTEXT), max(0, top - CONTEXT)
    seen = samples[first_y : top + height + CONTEXT, first_x : left + width + CONTEXT]
    inside = (left - first_x, top - first_y, width, height)

    plain = resize(seen, (seen.shape[1] * scale, seen.shape[0] * scale))
    cells = [("without a network (Lanczos)", _cut(plain, inside, scale))]
    for model in models:
        try:
            upscaler = Upscaler(model.param, device=asked.device, precision=asked.precision)
            cells.append((model.name, _cut(upscaler.upscale(seen, scale=scale), inside, scale)))
        except RealesrganError as error:
            say(f"{model.name}: {error_words(error)}")
    if len(cells) == 1:
        raise ModelError("no network gave a result; see above")
    sheet = _drawn(cells, columns)
    metadata = Metadata(icc=None if source.mode == "grey" else source.metadata.icc)
    picture = Picture((Frame(sheet, None),), mode="colour", bits=8, metadata=metadata)
    for note in image_io.write(picture, asked.target):
        say(note)
    return len(cells) == len(models) + 1


def _installed() -> list[Model]:
    """Those that enlarge colour pictures; of several names of one network the first."""
    for_faces = {item.name for item in PUBLISHED if item.restores_faces}
    found: dict[Path, Model] = {}
    for model in list_models():
        if model.bin.is_file() and model.channels == 3 and model.name not in for_faces:
            found.setdefault(model.param.resolve(), model)
    return list(found.values())


def _middle(width: int, height: int) -> Crop:
    columns, rows = min(width, DEFAULT_SIDE), min(height, DEFAULT_SIDE)
    return (width - columns) // 2, (height - rows) // 2, columns, rows


def _cut(samples: Samples, inside: Crop, scale: int) -> Samples:
    left, top, width, height = (scale * number for number in inside)
    return samples[top : top + height, left : left + width]


def _grid(cells: int, width: int, height: int) -> tuple[int, int]:
    """Columns and rows of a sheet that is about half as wide again as it is high."""
    columns = max(1, round(math.sqrt(1.5 * cells * (height + _LABEL) / width)))
    columns = min(columns, cells)
    return columns, -(-cells // columns)


def _drawn(cells: list[tuple[str, Samples]], columns: int) -> Samples:
    """The cells in rows, each under its name."""
    height, width, _ = cells[0][1].shape
    rows = -(-len(cells) // columns)
    columns = -(-len(cells) // rows)
    step_x, step_y = width + _GAP, height + _GAP + _LABEL
    sheet = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for index, (name, samples) in enumerate(cells):
        x, y = _GAP + index % columns * step_x, _GAP + index // columns * step_y
        words = printable(name)
        while len(words) > 1 and font.getlength(words) > width:
            words = words[:-2] + "\N{HORIZONTAL ELLIPSIS}"
        pen.text((x, y + 2), words, fill=_INK, font=font)
        sheet.paste(Image.fromarray(np.ascontiguousarray(samples)), (x, y + _LABEL))
    return np.asarray(sheet)
