"""What Ray adds to a batch: `upscale_dataset` beside the plain command, and a second run of it.

Processor seconds are those of the command, and those of the driver with its workers, at one of the
first results, when all workers have begun, and at the last one: they hold on a machine that has
other work, too. Seconds of the clock are between the same results. Runs of both kinds alternate;
the least of each kind counts. Two numbers of pictures separate what a picture and what the start
cost. Last, the same call is made again, which finds all results.
"""

import argparse
import contextlib
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


def used(processes: set[int]) -> float:
    """Processor seconds of processes that run."""
    total = 0.0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def below() -> set[int]:
    """All processes that this one has started, and that those have."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    for process in parents:
        above = process
        while above not in (0, os.getpid()):
            above = parents.get(above, 0)
        if above and process != os.getpid():
            found.add(process)
    return found


def plain(sources: Path, out: Path, model: str) -> list[float]:
    """Processor seconds of the command, and those of the clock."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "realesrgan_vk", "upscale", "-m", model]
    words = ["-d", "cpu", "--quiet", str(sources), "-o", str(out)]
    subprocess.run([*command, *words], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [seconds, time.perf_counter() - started]


def with_ray(sources: Path, out: Path, given: argparse.Namespace) -> tuple[list[list[float]], int]:
    """Seconds when `--few` results are there, and when all are; and how many are there already.

    Seconds are those of driver and workers, of Ray's own processes where they run below this one,
    and of the clock.
    """
    seen: list[list[float]] = []
    rows: list[Row] = []
    skipped = 0
    before = used({os.getpid()})

    def keep(row: Row) -> None:
        nonlocal skipped
        if row["status"] == "skipped":
            skipped += 1
            return
        if row["status"] != "done":
            raise RuntimeError(row["error"])
        rows.append(row)
        if len(rows) in (given.few, given.pictures):  # it takes milliseconds
            workers = {int(each["worker"].rpartition(":")[2]) for each in rows}
            own = used(below() - workers)
            work = used({os.getpid(), *workers}) - before
            seen.append([work, own, time.perf_counter()])

    realesrgan_vk.ray.upscale_dataset(
        sources,
        out,
        model=given.model,
        device="cpu",
        workers=given.workers,
        address=given.address,
        report=keep,
    )
    return seen, skipped


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--side", type=int, default=96, help="of a picture in pixels")
    parser.add_argument("--model", default="realesr-animevideov3")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--address", default="local", help="of a cluster that runs; or local")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    commands: dict[int, list[float]] = {}
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
                before = commands.get(count, took)
                commands[count] = [min(pair) for pair in zip(before, took, strict=True)]
            out = Path(folder, f"ray-{number}")
            rays.append(with_ray(sources, out, given)[0])
        started = time.perf_counter()
        _, skipped = with_ray(sources, out, given)
        again = time.perf_counter() - started
    more = given.pictures - given.few
    each, clock_each = (
        (after - before) / more
        for before, after in zip(commands[given.few], commands[given.pictures], strict=True)
    )
    first, last = min(rays, key=lambda run: run[1][0] - run[0][0])
    work, own, clock = (after - before for before, after in zip(first, last, strict=True))
    least_clock = min(run[1][2] - run[0][2] for run in rays)
    report = {
        "pictures": given.pictures,
        "few": given.few,
        "side": given.side,
        "workers": given.workers,
        "rounds": given.rounds,
        "plain_seconds_a_picture": each,
        "ray_seconds_a_picture": work / more,
        "overhead_a_picture": work / more / each - 1,
        "plain_clock_a_picture": clock_each,
        "ray_clock_a_picture": least_clock / more,
        "overhead_by_the_clock": least_clock / more / clock_each - 1,
        "ray_own_share_of_a_core": own / clock,
        "ray_seconds_at_the_start": first[0] + first[1] - given.few * work / more,
        "skipped_again": skipped,
        "seconds_of_skipping": again,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
