"""What the upscaling of a video will take, before it is run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realesrgan_vk.checks import format_bytes
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
        result_width: In pixels.
        result_height: In pixels.
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

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        frames = f"{self.frames} frames" if self.frames else "unknown"
        seconds = timedelta(seconds=round(self.seconds))
        return [
            ("video", f"{self.width} x {self.height}, {frames}, {self.duration:.1f} s"),
            ("result", f"{self.result_width} x {self.result_height}"),
            ("time a frame", f"{self.seconds_a_frame:.3f} s"),
            ("time", str(seconds) if self.seconds else "unknown"),
            ("memory, device", format_bytes(self.device_bytes)),
            ("memory, frames", format_bytes(self.frame_bytes)),
            ("disk, about", format_bytes(self.disk_bytes)),
        ]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return asdict(self)


def plan_video(source: Path, upscalers: Sequence[Upscaler]) -> VideoPlan:
    """What a video would take at the network's own scale, and with the default encoder.

    Raises:
        ImageError: The file cannot be read as a video.
        DeviceError, OutOfMemoryError: As `Upscaler.upscale`.
        OSError: The file cannot be read.
    """
    target = source.with_name(f"{source.stem}-upscaled.mkv")
    # An interlaced video would be refused; its frames take as long as others.
    options = VideoOptions(deinterlace=True)
    return plan_run(VideoRun(source, target, upscalers, Request(TargetSize()), options))


def plan_run(run: VideoRun) -> VideoPlan:
    """Time a run's first frames, and add up what all of them take.

    Args:
        run: It is not begun.

    Raises:
        DeviceError, OutOfMemoryError: As `Upscaler.upscale`.
    """
    info, upscalers = run.info, run.upscalers
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
