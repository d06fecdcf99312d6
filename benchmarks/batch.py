"""200 small pictures: one at a time against the batch, with the fastest network on the CPU.

One at a time is a loop of decode, upscale, encode: with all cores for a picture, and with one,
which is the better of the two on a busy machine. The batch overlaps the three and upscales several
pictures at once with fewer threads each. All make the same files.

    python benchmarks/batch.py [--pictures 200] [--side 64] [--rounds 3]
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.batch import Batch, BatchOptions
from realesrgan_vk.jobs import Job, Naming, find_sources, plan_jobs
from realesrgan_vk.processors import Settings, load_processors, usable_cores
from realesrgan_vk.request import Request

MODEL = "realesr-animevideov3"


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


def batch(jobs: list[Job], processors: list[Upscaler]) -> float:
    """Seconds of the batch."""
    started = time.perf_counter()
    summary = Batch(processors, BatchOptions(), lambda event: None).run(jobs)
    assert summary.done == len(jobs)
    return time.perf_counter() - started


def main() -> None:
    """Measure both, alternating, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "in").mkdir()
        make_pictures(folder / "in", given.pictures, given.side)
        sources = find_sources([str(folder / "in")], recursive=False)
        alone = {
            "one at a time, all cores": Upscaler(MODEL, device="cpu"),
            "one at a time, one core": Upscaler(MODEL, device="cpu", threads=1),
        }
        processors = load_processors(Settings(model=MODEL), ["cpu"], pictures=given.pictures)
        times: dict[str, list[float]] = {name: [] for name in (*alone, "batch")}
        for turn in range(given.rounds):
            for name, upscaler in alone.items():
                jobs = plan_jobs(sources, folder / f"{name}{turn}", Naming())
                times[name].append(one_at_a_time(jobs, upscaler))
            jobs = plan_jobs(sources, folder / f"batch{turn}", Naming())
            times["batch"].append(batch(jobs, processors))
    many = min(times["batch"])
    print(f"{given.pictures} pictures of {given.side} x {given.side}, {MODEL}, CPU")
    print(f"{platform.processor() or platform.machine()}, {usable_cores()} cores")
    for label, seconds in times.items():
        best = min(seconds)
        print(f"{label:25} {best:6.2f} s   the batch is {best / many:.2f} times as fast")


if __name__ == "__main__":
    main()
