"""Runs the network as often as a size needs, then resamples once to that size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk._core import Upscaler as Core
from realesrgan_vk._core import installed_memory
from realesrgan_vk.errors import OutOfMemoryError
from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.resample import from_unit, resize, to_unit
from realesrgan_vk.options import Filter, Light, Progress


class Steps:
    """One progress over several runs of the network, weighted by their input pixels."""

    def __init__(self, total: float, progress: Progress | None) -> None:
        """`total`: the work of all runs together."""
        self._total = max(total, 1.0)
        self._done = 0.0
        self._progress = progress

    def step(self, work: float) -> Progress | None:
        """The progress of the next run, which is this much of the total."""
        start, self._done = self._done, self._done + work
        progress, total = self._progress, self._total
        if progress is None:
            return None
        return lambda share: progress(min(1.0, (start + share * work) / total))


@dataclass(frozen=True, slots=True)
class Plan:
    """How often the network runs to reach a size, and the size to resample to afterwards."""

    width: int
    height: int
    runs: int
    scale: int
    target: tuple[int, int]

    @staticmethod
    def to(width: int, height: int, target: tuple[int, int], scale: int) -> "Plan":
        """Enough runs that the last result is no smaller than the target; at least one."""
        runs = 1
        while scale > 1 and (width * scale**runs < target[0] or height * scale**runs < target[1]):
            runs += 1
        return Plan(width, height, runs, scale, target)

    @property
    def work(self) -> int:
        """Input pixels of all runs together."""
        area = self.width * self.height
        return sum(area * self.scale ** (2 * run) for run in range(self.runs))


def upscale_planes(
    core: Core,
    pixels: Pixels,
    plan: Plan,
    steps: Steps,
    *,
    light: Light,
    kernel: Filter,
) -> Pixels:
    """Upscale height x width x 1 or 3 pixels to the plan's target, of the same type.

    Raises:
        OutOfMemoryError: The result cannot fit this machine's memory, or not what is left of it.
    """
    scale = core.network.scale
    # A grey picture runs as the network's colours, a colour picture as grey ones side by side.
    _check_memory(plan, pixels, max(pixels.shape[2], core.network.output_channels))
    try:
        for _ in range(plan.runs):
            work = pixels.shape[0] * pixels.shape[1]
            pixels = _run(core, pixels, scale, steps.step(work))
        return resize(pixels, plan.target, light, kernel)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"there is no memory left for a result of {plan.target[0]} x {plan.target[1]} pixels; "
            "free some, or ask for a smaller size"
        ) from error


def _run(core: Core, pixels: Pixels, scale: int, progress: Progress | None) -> Pixels:
    height, width, channels = pixels.shape
    wanted = core.network.input_channels
    out_shape = (height * scale, width * scale, core.network.output_channels)
    if channels == wanted:
        out = np.empty(out_shape, pixels.dtype)
        core.run(pixels, out, progress)
        return out
    if channels == 1:  # a grey picture, or alpha, through a colour network
        return _grey_as_colours(core, pixels, scale, progress)
    planes = []  # colour through a grey network
    for channel in range(channels):
        out = np.empty(out_shape, pixels.dtype)
        core.run(pixels[..., channel : channel + 1], out, part_of(progress, channel, channels))
        planes.append(out)
    return np.concatenate(planes, axis=2)


def part_of(progress: Progress | None, index: int, count: int) -> Progress | None:
    """The progress of one of so many equal parts."""
    return None if progress is None else lambda share: progress((index + share) / count)


def _grey_as_colours(core: Core, grey: Pixels, scale: int, progress: Progress | None) -> Pixels:
    """The mean of the three channels that a grey picture becomes, rounded once.

    The network's floats come row by row, so that no float picture of three channels is made.
    """
    height, width, _ = grey.shape
    channels = core.network.input_channels
    out = np.empty((height * scale, width * scale, 1), grey.dtype)

    def read(first: int, count: int) -> Pixels:
        return np.broadcast_to(to_unit(grey[first : first + count]), (count, width, channels))

    def write(first: int, rows: Pixels) -> None:
        mean: NDArray[np.float32] = rows.mean(axis=2, keepdims=True, dtype=np.float32)
        out[first : first + len(rows)] = from_unit(mean, grey.dtype)

    core.run_rows(width, height, read, write, samples="float32", progress=progress)
    return out


def _check_memory(plan: Plan, pixels: Pixels, run_channels: int) -> None:
    """Refuse what can never fit, rather than let the system end the process."""
    grown = plan.scale**plan.runs
    last_run = plan.width * grown * plan.height * grown * run_channels
    target = plan.target[0] * plan.target[1] * pixels.shape[2]
    needed = (last_run + target) * pixels.itemsize
    installed = installed_memory()
    if installed is not None and needed > installed:
        raise OutOfMemoryError(
            f"a result of {plan.target[0]} x {plan.target[1]} pixels needs "
            f"{needed / 2**30:.1f} GiB, this machine has {installed / 2**30:.1f}; "
            "ask for a smaller size"
        )
