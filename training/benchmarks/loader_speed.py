"""Samples a second that one loader core gives, from whole pictures and from prepared ones.

    python -m benchmarks.loader_speed [--pictures 8] [--seconds 20] [--out FILE.json]

The ways take turns on the same pictures, so that a busy machine slows all of them, and processor
time is counted, not the clock. Pictures are photographs of scikit-image's wheel, enlarged to the
size of DIV2K's, with fine grain, as PNG and as JPEG. "one crop a decode" is what the loader did
before it could do more (`data.crops_per_picture=1`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.degradation_speed import PHOTOGRAPHS, processor

from realesrgan_train.config import load_config
from realesrgan_train.data.batches import BatchDataset, cache_levels
from realesrgan_train.data.cache import DecodedCache
from realesrgan_train.data.opening import open_sources
from realesrgan_train.data.prepare import prepare

FIRST = "one crop a decode"


def write_pictures(folder: Path, count: int, edge: int) -> None:
    """Write `count` pictures of `edge` by two thirds of it, of each format."""
    from skimage import data  # noqa: PLC0415 - only the benchmarks and the tests have it

    rng = np.random.default_rng(0)
    for kind in ("png", "jpg"):
        (folder / kind).mkdir()
    for number in range(count):
        photograph = Image.fromarray(getattr(data, PHOTOGRAPHS[number % len(PHOTOGRAPHS)])())
        size = edge, edge * 2 // 3
        large = np.asarray(photograph.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.normal(0, 2.5, (*large.shape[:2], 1)).round().astype(np.int16)
        picture = Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8))
        picture.save(folder / "png" / f"{number}.png")
        picture.save(folder / "jpg" / f"{number}.jpg", quality=95)


class Way:
    """One way to load: a dataset whose groups are prepared in this process, one after the other."""

    def __init__(self, name: str, options: list[str]) -> None:
        config = load_config("realesrgan_x4plus", ["start.generator=none", *options])
        cache = None
        if config.data.cache_mb:
            cache = DecodedCache(config.data.cache_mb << 20, config.data.cache_folder)
        pictures = open_sources(config.data.pictures, cache, cache_levels(config.data))
        self.name, self.options = name, options
        self.dataset = BatchDataset(config, pictures, None, seed=0)
        self.samples, self.seconds, self._next = 0, 0.0, 0
        if cache is not None:  # as from the second epoch on
            assert pictures is not None
            assert self.dataset.versions is not None
            for index in range(len(pictures)):
                if self.dataset.per_picture == 1:
                    pictures.decode(index)
                else:
                    self.dataset.versions.get(index, range(len(config.data.crop_scales)))

    def turn(self) -> None:
        """Prepare one group."""
        before = time.process_time()
        group = self.dataset.group(self._next)
        self.seconds += time.process_time() - before
        self.samples += len(group.whole.crops)
        self._next += 1

    @property
    def rate(self) -> float:
        """Samples a second of processor time."""
        return self.samples / self.seconds


def ways(folder: Path, options: argparse.Namespace) -> Iterator[Way]:
    """All ways; the sub-images are written on the way, which is not counted."""
    size = [f"degradation.input_size={options.crop}", "degradation.patch_size=32"]
    pool = f"data.pool_pictures={min(options.pictures, 48)}"
    for encoding in ("png", "jpg"):
        common = [*size, pool, f"data.pictures={folder / encoding}", "data.workers=0"]
        yield Way(f"{encoding}: {FIRST}", common)
        for crops in (8, 16, 32):
            yield Way(f"{encoding}: {crops} crops", [*common, f"data.crops_per_picture={crops}"])
    common = [*size, pool, f"data.pictures={folder / 'png'}", "data.workers=0"]
    cache = [f"data.cache_mb={options.cache_mb}", "data.cache_folder=" + str(folder)]
    yield Way("png, all in the cache: one crop", [*common, *cache])
    yield Way("png, all in the cache: 8 crops", [*common, *cache, "data.crops_per_picture=8"])
    kinds: tuple[Literal["png", "ppm"], ...] = ("png", "ppm")
    for kind in kinds:
        out = folder / f"prepared-{kind}"
        edge = options.crop * 6 // 5
        config = load_config("realesrgan_x4plus", [*common, "start.generator=none"])
        prepare(config, out, size=edge, step=edge // 2, kind=kind, tell=print)
        prepared = [*size, "data.workers=0", f"data.pictures={out}", "data.crop_scales=[1]"]
        yield Way(f"prepared {kind}: one crop", prepared)


def main() -> int:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--edge", type=int, default=2040)
    parser.add_argument("--crop", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=20, help="of processor time, each way")
    parser.add_argument("--cache-mb", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, options.pictures, options.edge)
        all_ways = list(ways(folder, options))
        while any(way.seconds < options.seconds for way in all_ways):
            for way in all_ways:
                if way.seconds < options.seconds:
                    way.turn()
    before = {way.name.partition(":")[0]: way.rate for way in all_ways if FIRST in way.name}
    rows: list[dict[str, Any]] = []
    for way in all_ways:
        times = way.rate / before["jpg" if way.name.startswith("jpg") else "png"]
        print(f"{way.name:34} {way.rate:8.1f} samples/s a core  {times:6.1f} times")
        rows.append({"way": way.name, "samples_per_cpu_second": way.rate, "times": times})
    if options.out:
        facts = {key: getattr(options, key) for key in ("pictures", "edge", "crop", "seconds")}
        report = {"machine": processor(), "cores": os.cpu_count(), **facts, "ways": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
