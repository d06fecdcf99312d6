"""Deep Zoom tiles of results: cut when they are asked for, from levels that are made once.

A level is half as wide and high as the one before, rounded up, and is a TIFF file whose tiles are
read one by one. The first is the result itself. They are made row by row, so that a result of any
size takes little memory, and lie in the job's folder, where they count as what the job takes on the
disk. The picture before is enlarged to the same levels from its own pixels, without files.

The format is Microsoft's: level n of the picture is at most 2^n pixels wide and high, and tiles are
squares of `SIDE` pixels without overlap, cut off at the right and lower borders.
"""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from realesrgan_vk._core import free_memory
from realesrgan_vk.errors import ImageError, OutOfMemoryError
from realesrgan_vk.image_io.codecs import vips
from realesrgan_vk.page import previews
from realesrgan_vk.page.jobs import Jobs, PageJob
from realesrgan_vk.page.problems import Problem

Kind = Literal["png", "jpg"]
SIDE = 512
RETRY_SECONDS = 1
_ASKED_SECONDS = 30.0  # until levels that nobody asks for any more are given up
_RESERVE = 64 << 20  # bytes that stay free on the disk
_FACTOR = 1.4  # of all levels together to the first, with what deflate may add
_BLOCK = 16  # sides of TIFF's tiles are multiples of it
_UNPACKED = 8  # bytes a pixel while a format is decoded that libvips does not read
_FULL = 0.75  # part of the work that the first level is


def level_of(size: tuple[int, int]) -> int:
    """The number of the level that has all pixels."""
    return (max(size) - 1).bit_length()


def level_sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Of the levels that are files: the picture's, then halves until one tile holds it."""
    sizes = [size]
    while max(sizes[-1]) > SIDE:
        width, height = sizes[-1]
        sizes.append(((width + 1) // 2, (height + 1) // 2))
    return sizes


def descriptor(job: PageJob) -> str:
    """The file that tells a viewer of the tiles.

    Raises:
        Problem: A side is too long for them (422).
    """
    width, height = previews.full_size(job)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="0" '
        f'TileSize="{SIDE}"><Size Width="{width}" Height="{height}"/></Image>\n'
    )


def tile(
    job: PageJob, which: previews.Which, level: int, place: tuple[int, int], kind: Kind
) -> bytes:
    """One tile, at a column and a row.

    Args:
        job: A picture's job that is done; its levels are made.
        which: Of the result, or of its picture enlarged without a network.
        level: Of Deep Zoom.
        place: Column and row.
        kind: PNG, without loss, or JPEG.

    Raises:
        Problem: There is no such tile (404), or the levels are not made (409).
        FileNotFoundError: The job is gone.
        ImageError: The picture cannot be read.
    """
    full = previews.full_size(job)
    most = level_of(full)
    left, top = (at * SIDE for at in place)
    width, height = (-(-side // (1 << max(0, most - level))) for side in full)
    if level > most or left >= width or top >= height:
        raise Problem(404, "there is no such tile")
    image, halved = previews.stored(job, which, most - level, of_levels=True)
    # A pixel of a level is exactly as large as 2^n of the result; the last may lie in part beyond.
    across, down = (
        whole / 2 ** (most - level) / (whole / 2**halved if halved else own)
        for whole, own in zip(full, (image.width, image.height), strict=True)
    )
    image = previews.resized(image, across, down).embed(0, 0, width, height, extend="copy")
    shown = image.crop(left, top, min(SIDE, width - left), min(SIDE, height - top))
    if kind == "png":
        return bytes(shown.pngsave_buffer(compression=1, keep="none"))
    if shown.hasalpha():
        shown = shown.flatten(background=[128])
    return previews.jpeg(shown)


@dataclass(slots=True)
class _Work:
    """Levels that are being made.

    Attributes:
        asked: When they were asked for last, of `time.monotonic`.
        fraction: How much of them is made.
        problem: Why they cannot be made.
    """

    asked: float
    fraction: float = 0.0
    problem: Problem | None = None


class TileMaker:
    """Makes the levels of results, one result at a time."""

    def __init__(self, jobs: Jobs) -> None:
        """Nothing is made yet."""
        self._jobs = jobs
        self._lock = threading.Lock()
        self._works: dict[str, _Work] = {}
        self._stopping = False
        self._pool = ThreadPoolExecutor(1, "tiles")

    def stop(self) -> None:
        """Give up what is being made."""
        self._stopping = True
        self._pool.shutdown(cancel_futures=True)

    def fraction(self, job: PageJob) -> float:
        """How much of a result's levels is made; they are begun if nobody has.

        They are given up when this is not called for half a minute.

        Raises:
            Problem: They cannot be made (422), or there is no room for them (507).
        """
        with self._lock:
            if previews.has_levels(job):
                return 1.0
            work = self._works.get(job.id)
            if work is None:
                self._works[job.id] = work = _Work(time.monotonic())
                self._pool.submit(self._run, job, work)
            elif work.problem is not None:
                del self._works[job.id]  # the next request tries anew
                raise work.problem
            work.asked = time.monotonic()
            return min(work.fraction, 0.99)

    def _is_wanted(self, job: PageJob, work: _Work) -> bool:
        recent = time.monotonic() - work.asked < _ASKED_SECONDS
        return recent and not self._stopping and self._jobs.has(job)

    def _run(self, job: PageJob, work: _Work) -> None:
        folder = job.folder / previews.LEVELS
        part = folder.with_suffix(".part")
        problem = None
        try:
            if self._is_wanted(job, work):
                self._make(job, work, part)
                with self._lock, job.preview_lock:
                    part.rename(folder)
        except Problem as error:
            problem = error
        except (ImageError, OutOfMemoryError, MemoryError) as error:
            problem = Problem(422, str(error).replace(str(job.result_file), job.result_name))
        except (vips.Error, OSError):
            if self._is_wanted(job, work):
                problem = self._reason(job)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            with self._lock:
                work.problem = problem
                if problem is None:
                    self._works.pop(job.id, None)
            if not self._jobs.has(job):  # its folder was removed while there was a file in work
                shutil.rmtree(job.folder, ignore_errors=True)

    def _reason(self, job: PageJob) -> Problem:
        if shutil.disk_usage(job.folder.parent).free < _RESERVE:
            return Problem(507, "the disk has no space for the tiles")
        return Problem(422, f"no tiles can be made of {job.result_name}")

    def _make(self, job: PageJob, work: _Work, part: Path) -> None:
        size = previews.full_size(job)
        image = _opened(job.result_file, size)
        if (image.width, image.height) != size:
            raise Problem(422, f"{job.result_name} is not {size[0]} x {size[1]} pixels")
        needed = round(size[0] * size[1] * image.bands * _FACTOR)
        free = shutil.disk_usage(job.folder).free - _RESERVE
        if free < needed or not self._jobs.make_room(needed):
            raise Problem(507, f"the tiles need about {needed >> 20} MiB, which is not free")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        sizes = level_sizes(size)
        for number, (width, height) in enumerate(sizes):
            if number:
                image = _half(vips.open_file(part / f"{number - 1}.tif"))
            assert (image.width, image.height) == (width, height)
            first, last = (0.0, _FULL) if number == 0 else (_FULL, 1.0)
            self._save(image, part / f"{number}.tif", job, work, (first, last))
        work.fraction = 1.0

    def _save(
        self,
        image: vips.Image,
        path: Path,
        job: PageJob,
        work: _Work,
        share: tuple[float, float],
    ) -> None:
        image = image.copy()  # a signal is of one image only
        image.set_progress(True)

        def report(_: object, progress: object) -> None:
            done = getattr(progress, "percent", 0) / 100
            work.fraction = max(work.fraction, share[0] + (share[1] - share[0]) * done)
            if not self._is_wanted(job, work):
                image.set_kill(True)

        image.signal_connect("eval", report)
        # Of a narrow picture the tiles are narrow, too; else most of them would be empty.
        across, down = (
            min(SIDE, -(-side // _BLOCK) * _BLOCK) for side in (image.width, image.height)
        )
        image.tiffsave(
            str(path),
            tile=True,
            tile_width=across,
            tile_height=down,
            compression="deflate",
            level=1,
            predictor="horizontal",
            bigtiff=True,
            keep="none",
        )


def _half(image: vips.Image) -> vips.Image:
    across, down = min(2, image.width), min(2, image.height)
    if not image.hasalpha():
        return image.shrink(across, down, ceil=True)
    return image.premultiply().shrink(across, down, ceil=True).unpremultiply().cast("uchar")


def _opened(path: Path, size: tuple[int, int]) -> vips.Image:
    """A result in sRGB and 8 bits, read row by row where libvips knows its format."""
    try:
        return vips.shown_rows(path)
    except vips.Error:
        if size[0] * size[1] * _UNPACKED > free_memory():
            raise Problem(422, "there is not enough memory to show this format") from None
        return vips.image_of(previews.samples_of(path))
