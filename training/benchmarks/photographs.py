"""Training and held-out photographs cut from scikit-image's wheel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

#: Trained on whole. The two motorcycle pictures show one scene, so neither is here.
TRAINED_WHOLE = (
    "brick.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "retina.jpg",
)
#: Trained on their left part, measured on their right part.
SPLIT = ("astronaut.png", "camera.png", "rocket.jpg")
#: Never trained on.
HELD_OUT_WHOLE = ("chelsea.png", "coffee.png", "motorcycle_left.png")

TRAINED_SHARE = 0.65
CROP = 128


def _open(name: str) -> Image.Image:
    folder = Path(skimage.__file__).parent / "data"
    with Image.open(folder / name) as file:
        image: Image.Image = file.convert("RGB")
        return image


def _crops(image: Image.Image, left: int) -> list[Image.Image]:
    """Non-overlapping crops right of `left` that are not flat."""
    crops = []
    for top in range(0, image.height - CROP + 1, CROP):
        for x in range(left, image.width - CROP + 1, CROP):
            crop = image.crop((x, top, x + CROP, top + CROP))
            if np.asarray(crop.convert("L")).std() > 8:  # skies tell nothing
                crops.append(crop)
    return crops


def write_photographs(
    folder: Path,
    whole: Sequence[str] = TRAINED_WHOLE,
    split: Sequence[str] = SPLIT,
    held_out_whole: Sequence[str] = HELD_OUT_WHOLE,
) -> tuple[Path, Path]:
    """Write training pictures and held-out crops as PNG.

    Args:
        folder: Made; gets two folders.
        whole: Pictures that are trained on whole.
        split: Those that are trained on their left part and measured on their right part.
        held_out_whole: Those that are only measured on.

    Returns:
        The two folders.
    """
    train, held_out = folder / "train", folder / "held_out"
    train.mkdir(parents=True)
    held_out.mkdir(parents=True)
    for name in whole:
        _open(name).save(train / f"{Path(name).stem}.png")
    for name in (*split, *held_out_whole):
        image, stem = _open(name), Path(name).stem
        left = round(image.width * TRAINED_SHARE) if name in split else 0
        if left:
            image.crop((0, 0, left, image.height)).save(train / f"{stem}.png")
        for number, crop in enumerate(_crops(image, left)):
            crop.save(held_out / f"{stem}-{number:02d}.png")
    return train, held_out
