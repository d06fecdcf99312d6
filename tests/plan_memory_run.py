"""Runs pictures in a process of its own and prints, for each, what was planned and what was taken.

Arguments: the network, the device, the keyword arguments of `Upscaler` and the pictures' sizes as
JSON. Each line is a JSON object with the bytes of the plan, weights left out, and by how many the
process grew at most.
"""

import gc
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from realesrgan_vk import Upscaler

# On a busy machine a driver's threads may still free the memory of the run before: in 1 of 12 runs
# 14 % less was taken, in the next eleven 1 to 4 % less.
TRIES = 3
MODES = {"RGB": (3,), "RGBA": (4,), "L": ()}


def status(key: str) -> int:
    text = Path("/proc/self/status").read_text("ascii")
    return int(text.partition(key + ":")[2].split()[0]) * 1024


def growth(run: Callable[[], object]) -> int:
    """Bytes by which the process grows at most while this runs."""
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # VmHWM begins anew
    run()
    return status("VmHWM") - before


def main() -> None:
    model, device, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    random = np.random.default_rng(1)

    def warm_upscaler() -> Upscaler:  # what the first picture of a kind makes stays
        made = Upscaler(model, device=int(device) if device.isdecimal() else device, **options)
        for shape in MODES.values():
            made.upscale(random.integers(0, 256, (24, 24, *shape), np.uint8))
        return made

    upscaler = warm_upscaler()
    for width, height in json.loads(sys.argv[4]):
        for mode, shape in MODES.items():
            for samples in (np.uint8, np.uint16):
                image = random.integers(0, 256, (height, width, *shape), np.uint8).astype(samples)
                plan = upscaler.plan(image)
                memory = plan.memory_bytes
                taken = []
                for _ in range(TRIES):
                    if device != "cpu":  # it keeps a run's buffers for the next one
                        del upscaler
                        gc.collect()
                        upscaler = warm_upscaler()
                    taken.append(growth(partial(upscaler.upscale, image)))
                report = {
                    "column_tiles": plan.column_tiles,
                    "run": f"{mode} {np.dtype(samples)} {width}x{height} {memory}",
                    "planned": memory["total"] - memory.get("weights", 0) + plan.picture_bytes,
                    # The array was there before.
                    "taken": statistics.median(taken) + image.nbytes,
                }
                sys.stdout.write(json.dumps(report) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
