"""`realesrgan-vk tune`: time a device's kernels again, or delete what is stored."""

import json
from typing import TYPE_CHECKING

import click

from realesrgan_vk._core import CPU_DEVICE, forget_kernels
from realesrgan_vk._core import tune as time_kernels
from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.help import Command
from realesrgan_vk.cli.messages import show
from realesrgan_vk.devices import find_device, list_devices

if TYPE_CHECKING:  # the type of a dictionary, of the stub alone
    from realesrgan_vk._core import TunedKernels


@click.command(
    cls=Command,
    short_help="Time a device's kernels and store the fastest.",
    examples=("realesrgan-vk tune", "realesrgan-vk tune --device 0 --seconds 30"),
)
@shared.options(
    shared.device_option(default="auto", help="auto (default), an index or part of a name."),
    shared.precision_option,
    shared.option("--seconds", type=click.FloatRange(0, 60, min_open=True), default=3.0,
                  metavar="SECONDS", group="Timing",
                  help="Time to spend, at most 60. Default: 3."),
    shared.option("--forget", is_flag=True, group="Timing",
                  help="Only delete what is stored for the device."),
    shared.json_option("one JSON object"),
)  # fmt: skip
def tune(device: str, precision: str, seconds: float, forget: bool, as_json: bool) -> None:
    """Time the kernels of a Vulkan device and store the fastest one with correct results.

    This is done automatically when a GPU is first used. Repeat it after a change of the GPU's
    clock or power limit, or if the GPU was busy then. Results stay within the promised accuracy
    whichever kernel is chosen.
    """
    with shared.usage_errors():
        devices = list_devices()
        index = find_device(device, devices)
        if index == CPU_DEVICE:
            raise click.UsageError("the CPU has nothing to tune; name a Vulkan device (--device)")
        if forget:
            forget_kernels(index)
            return
        fp16 = next(one for one in devices if one.index == index).fp16_storage
        if precision != "auto":
            fp16 = precision == "fp16"
        found = time_kernels(index, fp16=fp16, seconds=seconds)
    for line in [json.dumps(found)] if as_json else _report(found, "fp16" if fp16 else "fp32"):
        show(line)


def _report(found: "TunedKernels", precision: str) -> list[str]:
    lines = [f"{'ns a pixel':>14}{'':>14}  {precision}", f"{'to 32':>14}{'to 64':>14}  kernel"]
    lines += [
        f"{_nanoseconds(one['narrow_seconds'])}{_nanoseconds(one['wide_seconds'])}  {one['kernel']}"
        for one in found["kernels"]
    ]
    pair = found["pair"]
    if pair["together_seconds"] is not None:
        lines += [
            f"{_nanoseconds(pair['apart_seconds'])}{'':>14}  two of them one after the other",
            f"{_nanoseconds(pair['together_seconds'])}{'':>14}  two of them in one dispatch",
        ]
    lines += [
        f"{_nanoseconds(one['seconds'])}{'':>14}  a dense block in bands of {one['pixels']} pixels"
        for one in found["bands"]
    ]
    two = ", two at a time in dense blocks" if found["pairs"] else ""
    lines += [
        f"stored: {found['narrow']} for layers of up to 32 channels{two}, {found['wide']} for "
        f"others, bands of {found['band_pixels']} pixels",
        *found["notes"],
    ]
    return lines


def _nanoseconds(seconds: float | None) -> str:
    return f"{'-':>14}" if seconds is None else f"{seconds * 1e9:14.3f}"
