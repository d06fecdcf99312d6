"""What Ray adds to a batch: processor time of `realesrgan-vk upscale` with and without `--ray`.

Processor seconds of all processes of a command are summed, so that the figures hold on a machine
that has other work, too. Runs of both kinds alternate. Two numbers of pictures separate what a
picture costs from what the start of the cluster and of its workers costs.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PR_SET_CHILD_SUBREAPER = 36


def processor_seconds(command: list[str]) -> float:
    """Of a command and of all that it has started, to the end of the last one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            os.wait()  # orphans become children of this process
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    base = [sys.executable, "-m", "realesrgan_vk", "upscale", "-m", given.model, "-d", "cpu"]
    ways = {"plain": [], "ray": ["--ray-workers", str(given.workers), "--ray=local"]}
    seconds: dict[str, dict[int, float]] = {way: {} for way in ways}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for count in (given.few, given.pictures):
            sources = Path(folder, str(count))
            sources.mkdir()
            for index in range(count):
                small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
                picture = small.resize((given.side, given.side), Image.Resampling.BICUBIC)
                picture.save(sources / f"{index:04}.png")
            for number in range(given.rounds):
                for way, options in ways.items():
                    out = Path(folder, f"{way}-{count}-{number}")
                    took = processor_seconds([*base, str(sources), "-o", str(out), *options])
                    best = seconds[way].get(count, took)
                    seconds[way][count] = min(best, took)
                    if len(list(out.iterdir())) != count:
                        raise RuntimeError(f"{way} did not write all results")
    more = given.pictures - given.few
    each = {
        way: (times[given.pictures] - times[given.few]) / more for way, times in seconds.items()
    }
    start = {way: seconds[way][given.few] - given.few * each[way] for way in ways}
    report = {
        "processor_seconds": seconds,
        "seconds_a_picture": each,
        "seconds_at_the_start": start,
        "overhead_a_picture": each["ray"] / each["plain"] - 1,
        "overhead_in_all": seconds["ray"][given.pictures] / seconds["plain"][given.pictures] - 1,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
