"""Cut training crops out of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

from realesrgan_train.data.pictures import Picture


def _pad_to(
    picture: Picture, height: int, width: int, mode: Literal["reflect", "symmetric"]
) -> Picture:
    """Mirror at the bottom and right until the picture is at least `height` by `width`."""
    down, right = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
    if not down and not right:
        return picture
    return np.pad(picture, ((0, down), (0, right), (0, 0)), mode=mode)


def _orient(
    pictures: Sequence[Picture], flip: bool, rotate: bool, rng: np.random.Generator
) -> list[Picture]:
    """The same mirroring and quarter turn for all, as views; both are drawn whether used or not."""
    mirrored, turned = (bool(value) for value in rng.random(2) < 0.5)
    result = list(pictures)
    if flip and mirrored:
        result = [picture[:, ::-1] for picture in result]
    if rotate and turned:
        result = [picture.transpose(1, 0, 2) for picture in result]
    return result


def draw_factor(scales: Sequence[float], rng: np.random.Generator) -> int:
    """The number of one of the factors, equally likely."""
    return int(rng.integers(len(scales)))


def shrunken_size(height: int, width: int, size: int, factor: float) -> tuple[int, int]:
    """Height and width of a picture shrunk by a factor, which is raised until crops just fit."""
    least = min(height, width)
    factor = 1.0 if least <= size else max(factor, size / least)
    return max(size, round(height * factor)), max(size, round(width * factor))


def to_image(picture: Picture) -> Image.Image:
    """`uint8[H, W, 3]` as RGB, `uint8[H, W, 1]` as grey."""
    return Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)


def shrink(picture: Picture, height: int, width: int) -> Picture:
    """The whole picture in another size (Lanczos)."""
    image = to_image(picture).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(height, width, picture.shape[2])


def pad_to_crop(picture: Picture, size: int) -> Picture:
    """A picture that is too small for a crop is continued by reflection; others as they are."""
    return _pad_to(picture, size, size, "reflect")


def random_crop(
    picture: Picture, size: int, rng: np.random.Generator, *, flip: bool, rotate: bool
) -> Picture:
    """Cut a square out of a picture that is large enough; a view of it.

    Args:
        picture: `uint8[H, W, C]`, both edges at least `size`.
        size: Edge of the crop in pixels.
        rng: The sample's own stream.
        flip: Mirror half of the crops.
        rotate: Transpose half of the crops.
    """
    top = int(rng.integers(picture.shape[0] - size + 1))
    left = int(rng.integers(picture.shape[1] - size + 1))
    return _orient([picture[top : top + size, left : left + size]], flip, rotate, rng)[0]


def multiscale_crop(
    picture: Picture,
    size: int,
    scales: Sequence[float],
    rng: np.random.Generator,
    *,
    flip: bool = True,
    rotate: bool = False,
) -> Picture:
    """Cut a square from the picture as if it had first been shrunk by a factor drawn from `scales`.

    The paper prepares copies of each picture at 0.75, 0.5 and 1/3 of its size; here only the window
    that is needed is shrunk (Lanczos). A factor that would make the picture smaller than the crop
    is raised until it just fits; a picture that is too small is reflected.

    Args:
        picture: `uint8[H, W, C]`.
        size: Edge of the crop in pixels.
        scales: Factors, 0..1.
        rng: The sample's own stream.
        flip: Mirror half of the crops.
        rotate: Transpose half of the crops.
    """
    scale = float(scales[draw_factor(scales, rng)])
    picture = pad_to_crop(picture, size)
    height, width = picture.shape[:2]
    window = min(max(size, round(size / scale)), height, width)
    top = int(rng.integers(height - window + 1))
    left = int(rng.integers(width - window + 1))
    crop = picture[top : top + window, left : left + window]
    if window != size:
        crop = shrink(np.ascontiguousarray(crop), size, size)
    return _orient([crop], flip, rotate, rng)[0]


def paired_crop(
    gt: Picture,
    lq: Picture,
    size: int,
    scale: int,
    rng: np.random.Generator,
    *,
    flip: bool = True,
    rotate: bool = False,
) -> tuple[Picture, Picture]:
    """Cut the same square out of a pair, which is reflected where it is too small.

    Args:
        gt: `uint8[scale * h, scale * w, C]`.
        lq: `uint8[h, w, C]`.
        size: Edge of the target crop, a multiple of `scale`.
        scale: Target edge over input edge.
        rng: As in `multiscale_crop`; so are `flip` and `rotate`.
        flip: Mirror half of the crops.
        rotate: Transpose half of the crops.
    """
    small = size // scale
    # Symmetric, edge pixel repeated: the only mirroring under which both pictures stay aligned.
    lq = _pad_to(lq, small, small, "symmetric")
    gt = _pad_to(gt, lq.shape[0] * scale, lq.shape[1] * scale, "symmetric")
    top = int(rng.integers(lq.shape[0] - small + 1))
    left = int(rng.integers(lq.shape[1] - small + 1))
    lq_crop = lq[top : top + small, left : left + small]
    gt_crop = gt[
        top * scale : (top + small) * scale,
        left * scale : (left + small) * scale,
    ]
    gt_out, lq_out = _orient([gt_crop, lq_crop], flip, rotate, rng)
    return gt_out, lq_out
