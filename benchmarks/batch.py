"""200 small pictures: one at a time against the batch, with the fastest network on the CPU.

One at a time is a loop of decode, upscale, encode: with all cores for a picture, and with one,
which is the better of the two on a busy machine. The batch overlaps the three and upscales several
pictures at once with fewer threads each. All make the same files.

    python benchmarks/batch.py [--pictures 200] [--side 64] [--rounds 11]
        [--json benchmarks/results/batch-2-cores.json]

The three take turns; a round's ratio is of its own times, and the middle one counts. Ends with 1
where the batch is not at least 1.5 times as fast as the better of the two.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk._core import usable_cores
from realesrgan_vk.batch import Batch, BatchOptions
from realesrgan_vk.batch.jobs import Job, Naming, find_sources, plan_jobs
from realesrgan_vk.batch.workers import load_upscalers
from realesrgan_vk.options import Request, UpscalerOptions

MODEL = "realesr-animevideov3"
AT_LEAST = 1.5  # times as fast as one at a time


def make_pictures(folder: Path, count: int, side: int) -> None:
    """Crops of a photograph, as JPEG and PNG."""
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as image:
        photo = np.asarray(image.convert("RGB"))
    rng = np.random.default_rng(0)
    for index in range(count):
        top, left = rng.integers(0, 512 - side, 2)
        suffix = ("jpg", "png")[index % 2]
        crop = Image.fromarray(photo[top : top + side, left : left + side])
        crop.save(folder / f"{index:03}.{suffix}")


def one_at_a_time(jobs: list[Job], upscaler: Upscaler) -> float:
    """Seconds of a plain loop."""
    started = time.perf_counter()
    for job in jobs:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        picture = upscaler.upscale_picture(image_io.read(job.source), Request())
        image_io.write(picture, job.target, known=job.known)
    return time.perf_counter() - started


def batch(jobs: list[Job], upscalers: list[Upscaler]) -> float:
    """Seconds of the batch."""
    started = time.perf_counter()
    summary = Batch(upscalers, BatchOptions(), lambda event: None).run(jobs)
    assert summary.done == len(jobs)
    return time.perf_counter() - started


def measure(pictures: int, side: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, alternating."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "in").mkdir()
        make_pictures(folder / "in", pictures, side)
        sources = find_sources([str(folder / "in")], recursive=False).pictures
        alone = {
            "one at a time, all cores": Upscaler(MODEL, device="cpu"),
            "one at a time, one core": Upscaler(MODEL, device="cpu", threads=1),
        }
        upscalers = load_upscalers(MODEL, UpscalerOptions(), ["cpu"], pictures=pictures)
        times: dict[str, list[float]] = {name: [] for name in (*alone, "batch")}
        for turn in range(rounds):
            for name, upscaler in alone.items():
                jobs = plan_jobs(sources, folder / f"{name}{turn}", Naming())
                times[name].append(one_at_a_time(jobs, upscaler))
            jobs = plan_jobs(sources, folder / f"batch{turn}", Naming())
            times["batch"].append(batch(jobs, upscalers))
    return times


def main() -> None:
    """Measure, print the median of each, and say whether that is enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path, help="write all numbers here")
    given = parser.parse_args()
    times = measure(given.pictures, given.side, given.rounds)
    many = times.pop("batch")
    ratios = {
        name: statistics.median(one / all_ for one, all_ in zip(seconds, many, strict=True))
        for name, seconds in times.items()
    }
    gained = min(ratios.values())
    machine = platform.processor() or platform.machine()
    print(f"{given.pictures} pictures of {given.side} x {given.side}, {MODEL}, CPU")
    print(f"{machine}, {usable_cores()} cores")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:25} {middle:6.2f} s   the batch is {ratios[name]:.2f} times as fast")
    verdict = "enough" if gained >= AT_LEAST else "TOO SLOW"
    print(f"{'batch':25} {statistics.median(many):6.2f} s   {verdict}")
    if given.json:
        numbers = {
            "machine": machine,
            "cores": usable_cores(),
            "model": MODEL,
            "pictures": given.pictures,
            "side": given.side,
            "seconds": {**times, "batch": many},
            "times_as_fast": round(gained, 3),
            "at_least": AT_LEAST,
        }
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="ascii")
    sys.exit(gained < AT_LEAST)


if __name__ == "__main__":
    main()
