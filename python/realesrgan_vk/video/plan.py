"""What the upscaling of a video will take, before it is run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realesrgan_vk.options import Request, TargetSize
from realesrgan_vk.video.options import VideoOptions
from realesrgan_vk.video.run import VideoRun

if TYPE_CHECKING:
    from realesrgan_vk.upscaler import Upscaler

_TIMED_FRAMES = 2  # for each upscaler


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """What a run would take.

    Attributes:
        width: Of the source, in pixels.
        height: Of the source, in pixels.
        frames: Of the source, as far as the file says; 0 is unknown.
        duration: Of the source, in seconds; 0 is unknown.
        result_width: In pixels, at the network's own scale.
        result_height: In pixels, at the network's own scale.
        seconds_a_frame: Measured on the first frames, all upscalers at work.
        seconds: For all frames; 0 is unknown.
        device_bytes: Memory of the network's runs at once, as `Upscaler.plan` counts it.
        frame_bytes: Of the frames and results that wait in memory.
        disk_bytes: Of the segments and the result together, as such encoders usually take.
    """

    width: int
    height: int
    frames: int
    duration: float
    result_width: int
    result_height: int
    seconds_a_frame: float
    seconds: float
    device_bytes: int
    frame_bytes: int
    disk_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return asdict(self)


def plan_video(source: Path, upscalers: Sequence[Upscaler]) -> VideoPlan:
    """Time a video's first frames, and add up what all of them take.

    Raises:
        ImageError: The file cannot be read as a video.
        DeviceError, OutOfMemoryError: As `Upscaler.upscale`.
        OSError: The file cannot be read.
    """
    target = source.with_name(f"{source.stem}-upscaled.mkv")
    # An interlaced video would be refused; its frames take as long as others.
    options = VideoOptions(deinterlace=True)
    run = VideoRun(source, target, upscalers, Request(TargetSize()), options)
    info = run.info
    count = _TIMED_FRAMES * len(upscalers)
    times = [time.perf_counter()]
    for _ in islice(run.upscaled(), len(upscalers) + count):
        times.append(time.perf_counter())
    # The first of each upscaler also waits for what it makes once.
    measured = times[min(len(upscalers), len(times) - 2) :]
    frame_seconds = (measured[-1] - measured[0]) / max(1, len(measured) - 1)
    planned = upscalers[0].plan((info.width, info.height))
    width, height = run.size
    return VideoPlan(
        width=info.width,
        height=info.height,
        frames=info.frames,
        duration=info.duration,
        result_width=width,
        result_height=height,
        seconds_a_frame=frame_seconds,
        seconds=frame_seconds * info.frames,
        device_bytes=planned.memory_bytes["total"] * len(upscalers),
        frame_bytes=run.frame_bytes,
        disk_bytes=2 * run.estimated_bytes,
    )
