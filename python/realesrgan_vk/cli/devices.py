"""`realesrgan-vk devices`: the Vulkan devices, and what is stored for each."""

import json

import click

from realesrgan_vk._core import cpu_instruction_set, stored_kernels
from realesrgan_vk.cli.messages import say, show
from realesrgan_vk.cli.options import json_option
from realesrgan_vk.devices import list_devices


@click.command(short_help="List the devices that --device can name.")
@json_option("one JSON list")
def devices(as_json: bool) -> None:
    """List the devices that --device can name, with the kernels chosen for each."""
    found = list_devices()
    if as_json:
        keys = (
            *("index", "name", "type", "driver", "memory_bytes", "fp16_storage"),
            *("cooperative_matrix", "uuid", "pci_address"),
        )
        rows = [
            {key: getattr(device, key) for key in keys} | {"kernels": stored_kernels(device.index)}
            for device in found
        ]
        show(json.dumps(rows))
        return
    for device in found:
        kind = "software" if device.type == "cpu" else device.type
        parts = [kind, f"{device.memory_bytes / 2**30:.1f} GiB", device.driver]
        parts += ["fp16"] if device.fp16_storage else []
        parts += ["cooperative matrix"] if device.cooperative_matrix else []
        show(f"{device.index}  {device.name} ({', '.join(parts)})")
        for line in _kernels(device.index):
            show(f"   {line}")
    if not found:
        say("no Vulkan device (or no Vulkan loader or driver)")
    kernels = cpu_instruction_set()
    show(f"cpu  the processor ({kernels} kernels); used automatically when no GPU is found")


def _kernels(device: int) -> list[str]:
    """A line each: what its first use, or `tune`, chose."""
    lines = []
    for precision, stored in stored_kernels(device).items():
        names = " and ".join(dict.fromkeys((stored["narrow"], stored["wide"])))
        how = "fastest, and tested" if stored["tuned"] else "tested"
        names += ", dense blocks' layers two at a time" if stored["pairs"] else ""
        lines.append(f"{precision}: {names}; bands of {stored['band_pixels']} pixels ({how})")
        lines += stored["notes"]
    return lines
