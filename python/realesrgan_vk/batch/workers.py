"""The upscalers of a batch: a list with an entry for each thread that upscales."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from realesrgan_vk._core import CPU_DEVICE, usable_cores
from realesrgan_vk.devices import find_device, list_devices
from realesrgan_vk.options import UpscalerOptions
from realesrgan_vk.upscaler import Upscaler

# Each picture in work takes the memory of a run, so more cores work on fewer pictures.
_MOST_AT_ONCE = 4
GPU_RUNS = 2
"""Runs that a GPU has in work at a time: pictures, or frames of a video."""


def load_upscalers(
    model: str | os.PathLike[str],
    options: UpscalerOptions,
    devices: Sequence[str | int],
    *,
    pictures: int,
    gpu_runs: int | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> list[Upscaler]:
    """One upscaler a device, repeated for each picture that it works on at a time.

    On the CPU several pictures at a time with fewer threads each are faster than one with all:
    small pictures do not keep many threads busy. A GPU works on two: it computes one while the
    other one's rows are copied from and to it. Two that need the memory of both are run in turns.

    Args:
        model: As `Upscaler` takes it.
        options: Of all of them; the device and how many runs share it are set here.
        devices: As `Upscaler` takes one.
        pictures: How many there are in all.
        gpu_runs: How many a GPU works on at a time. None: two, or one where there is a memory
            limit, which is that of a run. A software driver, which computes on the host's cores,
            works on one.
        note: Called, before anything takes long, with what to know of a device.

    Raises:
        ModelError, DeviceError, ValueError: As `Upscaler`.
    """
    known = list_devices()
    indexes = list(dict.fromkeys(find_device(device, known) for device in devices))
    for device in known:
        if device.index in indexes and device.type == "cpu":
            note(
                f"{device.name} is a software driver, which computes on the processor: a picture "
                "may take minutes; --device cpu is faster"
            )
    cpu_runs = max(1, min(usable_cores(), pictures, _MOST_AT_ONCE))
    if gpu_runs is None:
        gpu_runs = 1 if options.memory_limit else min(GPU_RUNS, max(1, pictures))
    software = {device.index for device in known if device.type == "cpu"}
    runs = [
        (index, cpu_runs if index == CPU_DEVICE else 1 if index in software else gpu_runs)
        for index in indexes
    ]
    return load_for_runs(model, [options] * len(runs), runs)


def load_for_runs(
    model: str | os.PathLike[str],
    options: Sequence[UpscalerOptions],
    runs: Sequence[tuple[int, int]],
    *,
    processes: int = 1,
) -> list[Upscaler]:
    """One upscaler for each of `runs`, repeated for each picture that it works on at a time.

    Those on the CPU divide its cores. All on the CPU and on devices without memory of their own
    divide what is free.

    Args:
        model: As `Upscaler` takes it.
        options: For each of `runs`; the device and how many runs share it are set here.
        runs: Devices, and how many pictures each works on at a time.
        processes: How many processes of this machine do the same, and divide the memory.

    Raises:
        ModelError, DeviceError, ValueError: As `Upscaler`; one device may lack what was asked of
            all.
    """
    loaded: list[Upscaler] = []
    for own, (device, at_once) in zip(options, runs, strict=True):
        threads = own.threads
        if device == CPU_DEVICE and at_once > 1:
            threads = threads or max(1, usable_cores() // at_once)
        arguments = replace(
            own,
            device="cpu" if device == CPU_DEVICE else device,
            threads=threads,
            runs_at_once=_shared_runs(runs, device) * processes,
        )
        loaded += [Upscaler(model, **asdict(arguments))] * at_once
    return loaded


def _shared_runs(runs: Sequence[tuple[int, int]], device: int) -> int:
    """How many of the runs share the memory of one of their devices."""
    own: set[int] = set()
    if any(index != CPU_DEVICE for index, _ in runs):
        own = {known.index for known in list_devices() if known.type == "discrete"}
    sharing = {device} if device in own else {index for index, _ in runs} - own
    return sum(count for index, count in runs if index in sharing)
