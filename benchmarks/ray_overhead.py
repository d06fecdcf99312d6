"""What Ray adds to a batch: processor time of `upscale_dataset` beside that of the plain command.

Processor seconds are summed, so that the figures hold on a machine that has other work, too: those
of the command, and those of the driver with all of Ray's processes and workers, at one of the first
results, when all workers have begun, and at the last one. Runs of both kinds alternate; the least
of each kind counts. Two numbers of pictures separate what a picture and what the start cost.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import realesrgan_vk
from realesrgan_vk.batch.ray import Row

TICKS = os.sysconf("SC_CLK_TCK")


def tree_seconds() -> tuple[float, float]:
    """Processor seconds of the driver and the workers, and of Ray's own processes.

    The driver is this process; the others are all that run below it. Ray's own processes take their
    time by the clock, also when nothing is done.
    """
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    working = {os.getpid()}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            name = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        process = int(entry.name)
        parents[process] = int(fields[1])
        if name.startswith(b"ray::"):
            working.add(process)
        seconds[process] = (int(fields[11]) + int(fields[12])) / TICKS
    totals = [0.0, 0.0]
    for process, own in seconds.items():
        above = process
        while above not in (0, os.getpid()):
            above = parents.get(above, 0)
        totals[process not in working] += own if above else 0.0
    return totals[0], totals[1]


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


def with_ray(sources: Path, out: Path, given: argparse.Namespace) -> list[list[float]]:
    """Seconds when `--few` results are there, and when all are: work, Ray's own, of the clock."""
    seen: list[list[float]] = []
    rows: list[Row] = []
    before = tree_seconds()

    def keep(row: Row) -> None:
        if row["status"] != "done":
            raise RuntimeError(row["error"])
        rows.append(row)
        if len(rows) in (given.few, given.pictures):  # it takes milliseconds
            work, own = tree_seconds()
            seen.append([work - before[0], own - before[1], time.perf_counter()])

    realesrgan_vk.ray.upscale_dataset(
        sources,
        out,
        model=given.model,
        device="cpu",
        workers=given.workers,
        address="local",
        report=keep,
    )
    return seen


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
    rays: list[list[list[float]]] = []
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
            rays.append(with_ray(sources, out, given))
    first, last = min(rays, key=lambda run: run[1][0] - run[0][0])
    more = given.pictures - given.few
    each = (commands[given.pictures] - commands[given.few]) / more
    work, own, clock = (after - before for before, after in zip(first, last, strict=True))
    report = {
        "pictures": given.pictures,
        "few": given.few,
        "side": given.side,
        "workers": given.workers,
        "plain_seconds": commands,
        "plain_seconds_a_picture": each,
        "ray_seconds_a_picture": work / more,
        "overhead_a_picture": work / more / each - 1,
        "ray_own_share_of_a_core": own / clock,
        "ray_seconds_at_the_start": first[0] + first[1] - given.few * work / more,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
