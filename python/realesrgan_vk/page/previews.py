"""Parts of pictures to look at: 8-bit sRGB, at any zoom.

A picture is decoded once, into a file in libvips' own form, of which a part is then read without
the rest. So a large result is never in memory whole again, nor in the browser. Of very large ones
there are levels, which `tiles` makes.
"""

import os
from math import floor, log2
from pathlib import Path
from typing import Literal

import numpy as np

from realesrgan_vk import image_io
from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.codecs import color, vips
from realesrgan_vk.imaging.picture import Frame
from realesrgan_vk.imaging.samples import colour, eight_bit
from realesrgan_vk.page.jobs import PageJob
from realesrgan_vk.page.problems import Problem

Which = Literal["original", "result"]
Samples = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
MOST_SIDE = 4096  # of a preview, in pixels
LEVELS = "result.tiles"  # the folder of a job that has them; "0.tif" is the result
_QUALITY = 92
_LONGEST = 1_000_000  # pixels of a side; libvips takes a while for each row


def of_job(
    job: PageJob,
    which: Which,
    part: tuple[int, int, int, int] | None,
    zoom: float | None,
    *,
    of_levels: bool = False,
) -> tuple[bytes, str]:
    """A part of a job's result, or the same part of its picture enlarged without a network.

    Args:
        job: A job; for its result it must be done.
        which: What to show.
        part: Left, top, width and height in pixels of the result; None: all.
        zoom: Preview pixels per pixel of the result; None: as large as fits 1024 pixels.
        of_levels: Whether the result is too large to be decoded for it.

    Returns:
        The file and its media type: PNG where nothing is lost at this zoom, else JPEG.

    Raises:
        Problem: A part outside the picture, or too large (422).
        FileNotFoundError: The job is gone.
    """
    full = full_size(job)
    left, top, width, height = part or (0, 0, *full)
    _check_part((left, top, width, height), full)
    if zoom is None:
        zoom = min(1.0, 1024 / max(width, height))
    image, _ = stored(job, which, max(0, floor(-log2(zoom))), of_levels=of_levels)
    grown = max(1, round(full[0] * zoom)), max(1, round(full[1] * zoom))
    return _encoded(image, grown, (left, top, width, height), zoom)


def stored(job: PageJob, which: Which, halvings: int, *, of_levels: bool) -> tuple[vips.Image, int]:
    """What is shown of a job's original or result, of which parts can be read.

    Args:
        job: The job.
        which: Its original or its result.
        halvings: How often its sides may be halved, where that is stored.
        of_levels: Whether the result is read from its levels only.

    Returns:
        The image, and how often its sides are halved.

    Raises:
        Problem: No frame of a video's result is made yet, or the levels are not made (409).
        FileNotFoundError: The job is gone.
        ImageError: The picture cannot be read.
    """
    with job.preview_lock:  # what is stored is removed under it
        if which == "result" and has_levels(job):
            os.utime(job.folder / LEVELS)
            number = min(halvings, sum(1 for _ in (job.folder / LEVELS).iterdir()) - 1)
            return vips.open_file(job.folder / LEVELS / f"{number}.tif"), number
        if which == "result" and of_levels:
            raise Problem(409, "the tiles are not made; ask for the .dzi file first")
        path = job.folder / f"{which}.v"
        if not path.exists():
            if job.is_video:
                raise Problem(409, "no frame of the result is made yet")
            source = job.original_file if which == "original" else job.result_file
            store(samples_of(source), job.folder, which)
        os.utime(path)
        return vips.open_file(path), 0


def has_levels(job: PageJob) -> bool:
    """Whether the levels of a job's result are made."""
    return (job.folder / LEVELS).is_dir()


def of_picture(
    path: Path, part: tuple[int, int, int, int] | None, side: int, max_pixels: int
) -> bytes:
    """A part of a picture file as PNG, at most `side` pixels a side.

    Raises:
        Problem: A part outside the picture (422).
        ImageError: The file is no picture, or too large.
    """
    return of_samples(samples_of(path, max_pixels), part, side)


def of_samples(samples: Samples, part: tuple[int, int, int, int] | None, side: int) -> bytes:
    """A part of RGB or RGBA samples as PNG, at most `side` pixels a side.

    Raises:
        Problem: A part outside the picture (422).
    """
    image = vips.image_of(samples)
    left, top, width, height = part or (0, 0, image.width, image.height)
    _check_part((left, top, width, height), (image.width, image.height))
    image = image.crop(left, top, width, height)
    if max(width, height) > side:
        image = resized(image, side / max(width, height), side / max(width, height))
    return bytes(image.pngsave_buffer(compression=1, keep="none"))


def full_size(job: PageJob) -> tuple[int, int]:
    """Width and height of a job's result, in pixels.

    Raises:
        Problem: A side is too long to be shown (422).
    """
    size = job.result or {"width": job.plan["result_width"], "height": job.plan["result_height"]}
    width, height = int(size["width"]), int(size["height"])
    if max(width, height) > _LONGEST:
        raise Problem(422, f"a side of {max(width, height)} pixels is too long to be shown")
    return width, height


def _check_part(part: tuple[int, int, int, int], full: tuple[int, int]) -> None:
    left, top, width, height = part
    inside = left >= 0 and top >= 0 and left + width <= full[0] and top + height <= full[1]
    if min(width, height) < 1 or not inside:
        raise Problem(422, f"the part is not inside {full[0]} x {full[1]} pixels")


def _encoded(
    image: vips.Image,
    grown: tuple[int, int],
    part: tuple[int, int, int, int],
    zoom: float,
) -> tuple[bytes, str]:
    left, top = (min(round(at * zoom), side - 1) for at, side in zip(part[:2], grown, strict=True))
    width = max(1, min(round(part[2] * zoom), grown[0] - left))
    height = max(1, min(round(part[3] * zoom), grown[1] - top))
    if max(width, height) > MOST_SIDE:
        raise Problem(422, f"a preview has at most {MOST_SIDE} pixels a side; take less zoom")
    image = resized(image, grown[0] / image.width, grown[1] / image.height)
    # The size that libvips rounds to may be one less.
    left, top = min(left, image.width - 1), min(top, image.height - 1)
    width, height = min(width, image.width - left), min(height, image.height - top)
    shown = image.crop(left, top, width, height)
    if zoom >= 1 or image.hasalpha():
        return bytes(shown.pngsave_buffer(compression=1, keep="none")), "image/png"
    return jpeg(shown), "image/jpeg"


def jpeg(image: vips.Image) -> bytes:
    """An image without alpha as JPEG to look at."""
    return bytes(image.jpegsave_buffer(Q=_QUALITY, subsample_mode="off", keep="none"))


def resized(image: vips.Image, across: float, down: float) -> vips.Image:
    """An image enlarged or reduced by these factors, without a network."""
    if across == 1 and down == 1:
        return image
    kernel = "cubic" if across > 1 else "lanczos3"
    if not image.hasalpha():
        return image.resize(across, vscale=down, kernel=kernel)
    return image.premultiply().resize(across, vscale=down, kernel=kernel).unpremultiply().cast(
        "uchar"
    )  # fmt: skip


def samples_of(path: Path, max_pixels: int | None = None) -> Samples:
    """RGB or RGBA of a picture's first frame, in sRGB and 8 bits.

    Raises:
        ImageError: The file is no picture, has more than `max_pixels`, or is too long to be shown.
    """
    picture = image_io.read(path, max_pixels=max_pixels)
    frame = picture.frames[0]
    longest = max(frame.pixels.shape[:2])
    if longest > _LONGEST:
        raise ImageError(f"a side of {longest} pixels is too long to be shown")
    profile = picture.metadata.icc
    if profile is not None:
        frame = Frame(color.to_srgb(frame.pixels, profile), frame.alpha)
    samples: Samples = colour(eight_bit(frame))
    return samples


def store(samples: Samples, folder: Path, which: Which) -> None:
    """Keep what is shown of a job's original or result; the caller holds `preview_lock`."""
    target = folder / f"{which}.v"
    part = target.with_suffix(".part.v")
    try:
        vips.image_of(samples).write_to_file(str(part))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
