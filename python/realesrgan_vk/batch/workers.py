"""Which upscalers work on a batch: a list with an entry for each thread that upscales."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from realesrgan_vk._core import CPU_DEVICE, usable_cores
from realesrgan_vk.devices import find_device, list_devices
from realesrgan_vk.options import UpscalerOptions
from realesrgan_vk.upscaler import Upscaler

# Each picture in work costs a CPU run's memory, so more cores join in on fewer pictures.
_MOST_AT_ONCE = 4


def load_processors(
    model: str | os.PathLike[str],
    options: UpscalerOptions,
    devices: Sequence[str | int],
    *,
    pictures: int,
    note: Callable[[str], None] = lambda _: None,
) -> list[Upscaler]:
    """One upscaler a device, repeated for each picture that it works on at a time.

    On the CPU several pictures at a time with fewer threads each are faster than one with all:
    small pictures do not keep many threads busy. All runs on the CPU and on devices without memory
    of their own share what is free.

    Args:
        model: As `Upscaler` takes it.
        options: Of all of them; the device and how many runs share it are set here.
        devices: As `Upscaler` takes one.
        pictures: How many there are in all.
        note: Told, before anything takes long, what to know of a device.

    Raises:
        ModelError: As `Upscaler`.
        DeviceError: As `Upscaler`, or a device is named twice.
        ValueError: As `Upscaler`.
    """
    known = list_devices()
    indexes = list(dict.fromkeys(find_device(device, known) for device in devices))
    for device in known:
        if device.index in indexes and device.type == "cpu":
            note(
                f"{device.name} is a software driver, which computes on the processor: a picture "
                "may take minutes; --device cpu is faster"
            )
    cores = usable_cores()
    cpu_runs = max(1, min(cores, pictures, _MOST_AT_ONCE))
    runs = [(index, cpu_runs if index == CPU_DEVICE else 1) for index in indexes]
    processors: list[Upscaler] = []
    for index, at_once in runs:
        threads = options.threads
        if at_once > 1:
            threads = threads or max(1, cores // at_once)
        own = replace(
            options,
            # One device of several may lack what was asked of all; its error says so.
            device=index if index != CPU_DEVICE else "cpu",
            threads=threads,
            runs_at_once=shared_runs(runs, index),
        )
        upscaler = Upscaler(model, **asdict(own))
        processors += [upscaler] * at_once
    return processors


def shared_runs(runs: Sequence[tuple[int, int]], device: int) -> int:
    """How many runs share a device's memory.

    Args:
        runs: The devices in use, and how many runs each makes at a time.
        device: One of them. Those without memory of their own share the machine's.
    """
    own: set[int] = set()
    if any(index != CPU_DEVICE for index, _ in runs):
        own = {known.index for known in list_devices() if known.type == "discrete"}
    sharing = {device} if device in own else {index for index, _ in runs} - own
    return sum(count for index, count in runs if index in sharing)
