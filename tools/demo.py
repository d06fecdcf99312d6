"""Upscale a real photograph four times and lay the result beside the original.

Usage: demo.py FOLDER. The photograph (CC0, from scikit-image's wheel) is `chelsea`, 451 x 300.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import realesrgan_vk


def side_by_side(small: Image.Image, large: Image.Image) -> Image.Image:
    """The middle third of both at the same size: the original enlarged bicubically, then ours."""
    bicubic = small.resize(large.size, Image.Resampling.BICUBIC)
    left, top = large.width // 3, large.height // 3
    box = (left, top, 2 * left, 2 * top)
    sheet = Image.new("RGB", (2 * left, top))
    sheet.paste(bicubic.crop(box), (0, 0))
    sheet.paste(large.crop(box), (left, 0))
    return sheet


def main() -> int:
    """Write FOLDER/original.png, upscaled.png and comparison.png, and say where they are."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    photo = Image.fromarray(np.asarray(skimage.data.chelsea()))
    upscaler = realesrgan_vk.Upscaler()
    print(f"upscaling {photo.width} x {photo.height} with {upscaler.model.name}")
    start = time.perf_counter()
    large = upscaler.upscale(photo)
    seconds = time.perf_counter() - start
    photo.save(folder / "original.png")
    large.save(folder / "upscaled.png")
    side_by_side(photo, large).save(folder / "comparison.png")
    folder = folder.resolve()
    print(f"{large.width} x {large.height} in {seconds:.1f} s: {folder / 'upscaled.png'}")
    print(f"bicubic (left) and ours (right): {folder / 'comparison.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
