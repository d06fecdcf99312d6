"""Runs pictures through the Vulkan stream: in-process, or as a program of its own.

Usage: stream_vulkan_run.py JOBS.json PICTURE.npy RESULTS.npz

JOBS.json lists objects as `Job` describes them; RESULTS.npz holds the results "arr_0", "arr_1" ...
[height, width, channels], and the name of the "driver".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk import _core


class Job(TypedDict):
    """One run: files, storage, and how the picture is cut and comes out.

    Attributes:
        band: Rows a band takes; 0: what fits best.
        by_limit: The band is not asked for but got by a memory limit that lets in no larger one.
        samples: Type of the picture's and of the result's: "uint8", or "float32" in 0..1.
    """

    param: str
    bin: str
    fp16: bool
    band: int
    by_limit: bool
    samples: Literal["uint8", "float32"]


def driver() -> str:
    """Name and version of device 0's driver."""
    return _core.list_devices()[0].driver


def run_job(job: Job, picture: NDArray[np.uint8]) -> NDArray[Any]:
    """Upscale `picture`, uint8 [height, width, 3], on device 0."""
    files = (job["param"], job["bin"])
    height, width, channels = picture.shape
    upscaler = _core.Upscaler(*files, device=0, fp16=job["fp16"], band=job["band"])
    samples = job["samples"]
    plan = upscaler.plan(width, height, dtype=samples)
    assert plan["path"] == "stream"
    if job["by_limit"]:
        limit = plan["memory_bytes"]["total"]
        upscaler = _core.Upscaler(*files, device=0, fp16=job["fp16"], memory_limit=limit)
        limited = upscaler.plan(width, height, dtype=samples)
        assert limited["band_rows"] == plan["band_rows"]
    scale = upscaler.network.scale
    result = np.zeros((height * scale, width * scale, channels), samples)
    full = np.float32(255 if samples == "float32" else 1)
    upscaler.run((picture / full).astype(samples), result)
    return result


def main() -> None:
    """Run from the command line."""
    jobs, picture, results = map(Path, sys.argv[1:])
    made = [run_job(job, np.load(picture)) for job in json.loads(jobs.read_text())]
    with results.open("wb") as file:
        np.savez(file, *made, driver=np.array(driver()))


if __name__ == "__main__":
    main()
