"""What Ray adds to a batch: processor time of `upscale_dataset` beside that of the plain command.

Processor seconds are summed, so that the figures hold on a machine that has other work, too: those
of the command, and those of the driver with all of Ray's processes and workers, at the first result
and at the last one. Runs of both kinds alternate; the least of each kind counts. Two numbers of
pictures separate what a picture costs from what the start costs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import realesrgan_vk
from realesrgan_vk.batch.ray import Row

TICKS = os.sysconf("SC_CLK_TCK")


def tree_seconds() -> float:
    """Processor seconds of this process and of all that run below it."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        process = int(entry.name)
        parents[process] = int(fields[1])
        seconds[process] = (int(fields[11]) + int(fields[12])) / TICKS
    total = 0.0
    for process, own in seconds.items():
        above = process
        while above not in (0, os.getpid()):
            above = parents.get(above, 0)
        total += own if above else 0.0
    return total


def plain(sources: Path, out: Path, model: str) -> float:
    """Processor seconds of the command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable,
        "-m",
        "realesrgan_vk",
        "upscale",
        "-m",
        model,
        "-d",
        "cpu",
        "--quiet",
    ]
    subprocess.run([*command, str(sources), "-o", str(out)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def with_ray(sources: Path, out: Path, model: str, workers: int) -> tuple[float, float]:
    """Processor seconds until the first and until the last result."""
    seen: list[float] = []
    before = tree_seconds()

    def keep(row: Row) -> None:
        if row["status"] != "done":
            raise RuntimeError(row["error"])
        seen.append(tree_seconds() - before)

    realesrgan_vk.ray.upscale_dataset(
        sources, out, model=model, device="cpu", workers=workers, address="local", report=keep
    )
    return seen[0], seen[-1]


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--side", type=int, default=96, help="of a picture in pixels")
    parser.add_argument("--model", default="realesr-animevideov3")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    commands: dict[int, float] = {}
    rays: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (given.few, given.pictures):
            sources = Path(folder, str(count))
            sources.mkdir()
            for index in range(count):
                small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
                picture = small.resize((given.side, given.side), Image.Resampling.BICUBIC)
                picture.save(sources / f"{index:04}.png")
        for number in range(given.rounds):
            for count in (given.few, given.pictures):
                sources, out = Path(folder, str(count)), Path(folder, f"plain-{count}-{number}")
                took = plain(sources, out, given.model)
                commands[count] = min(commands.get(count, took), took)
            out = Path(folder, f"ray-{number}")
            rays.append(with_ray(sources, out, given.model, given.workers))
    first, last = min(rays, key=lambda run: run[1] - run[0])
    each = (commands[given.pictures] - commands[given.few]) / (given.pictures - given.few)
    ray_each = (last - first) / (given.pictures - 1)
    report = {
        "pictures": given.pictures,
        "side": given.side,
        "workers": given.workers,
        "plain_seconds": commands,
        "plain_seconds_a_picture": each,
        "ray_seconds_to_first_result": first,
        "ray_seconds": last,
        "ray_seconds_a_picture": ray_each,
        "overhead_a_picture": ray_each / each - 1,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
