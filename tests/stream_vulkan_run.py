"""Runs pictures through the Vulkan stream: in-process, or as a program of its own.

Usage: stream_vulkan_run.py JOBS.json PICTURE.npy RESULTS.npz

JOBS.json lists objects {"param", "bin", "fp16", "band"}; RESULTS.npz holds the results
"arr_0", "arr_1" ... as float32 [height, width, channels] in 0..1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk import _core


class Job(TypedDict):
    """One run: files, storage and rows a band takes (0: what fits best)."""

    param: str
    bin: str
    fp16: bool
    band: int


def run_job(job: Job, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Upscale `picture`, uint8 [height, width, 3], on device 0."""
    upscaler = _core.Upscaler(
        job["param"], job["bin"], device=0, fp16=job["fp16"], band=job["band"]
    )
    height, width, channels = picture.shape
    assert upscaler.plan(width, height)["path"] == "stream"
    scale = upscaler.network.scale
    result = np.zeros((height * scale, width * scale, channels), np.float32)
    upscaler.run(picture, result)
    return result


def main() -> None:
    """Run from the command line."""
    jobs, picture, results = map(Path, sys.argv[1:])
    made = [run_job(job, np.load(picture)) for job in json.loads(jobs.read_text())]
    with results.open("wb") as file:
        np.savez(file, *made)


if __name__ == "__main__":
    main()
