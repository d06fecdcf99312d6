"""Finds the device that "auto", "cpu", an index, a UUID or part of a name stands for."""

import re
from collections.abc import Sequence
from typing import Protocol

from realesrgan_vk._core import CPU_DEVICE, DeviceInfo
from realesrgan_vk._core import list_devices as core_devices
from realesrgan_vk.checks import shown
from realesrgan_vk.errors import DeviceError

_IDENTITY = re.compile(  # a UUID, or a PCI address
    "(gpu-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}[.][0-7]"
)
# Not "cpu", a software driver: the CPU backend is faster.
_AUTO_ORDER = ("discrete", "integrated", "virtual")


class Device(Protocol):
    """The properties by which a device is chosen."""

    @property
    def index(self) -> int:
        """Its place in the list."""
        ...

    @property
    def name(self) -> str:
        """Its driver's name of it."""
        ...

    @property
    def type(self) -> str:
        """What it is: "discrete", "integrated", "virtual", "cpu" or "other"."""
        ...

    @property
    def uuid(self) -> str:
        """Its UUID."""
        ...

    @property
    def pci_address(self) -> str:
        """Such as "0000:01:00.0"."""
        ...


def list_devices() -> list[DeviceInfo]:
    """The Vulkan devices of this machine; empty where there is no loader, driver or device."""
    return core_devices()


def find_device(device: str | int, devices: Sequence[Device]) -> int:
    """The index of the device that `device` means, or `CPU_DEVICE`.

    Args:
        device: "auto", "cpu", an index into `devices`, "vulkan:INDEX", a UUID (as it is, or with
            NVIDIA's "GPU-" before it), a PCI address as "0000:01:00.0", or part of a name.
        devices: All Vulkan devices.

    Raises:
        TypeError: `device` is neither text nor a whole number.
        DeviceError: There is no such device, or a part of a name fits different ones.
    """
    if isinstance(device, bool) or not isinstance(device, (str, int)):
        raise TypeError(f"device must be a name or an index, not {type(device).__name__}")
    if isinstance(device, int):
        return _by_index(device, device, devices)
    text = device.strip().casefold()
    if text == "auto":
        return _best(devices)
    if text == "cpu":
        return CPU_DEVICE
    if re.fullmatch("(vulkan:|-?)[0-9]{1,9}", text):
        return _by_index(int(text.removeprefix("vulkan:")), device, devices)
    if _IDENTITY.fullmatch(text):
        return _by_identity(text.removeprefix("gpu-"), device, devices)
    return _by_name(text, device, devices)


def _best(devices: Sequence[Device]) -> int:
    for kind in _AUTO_ORDER:
        for device in devices:
            if device.type == kind:
                return device.index
    return CPU_DEVICE


def _by_index(index: int, given: str | int, devices: Sequence[Device]) -> int:
    if index == CPU_DEVICE or any(device.index == index for device in devices):
        return index
    raise DeviceError(_unknown(given, devices))


def _by_identity(identity: str, given: str, devices: Sequence[Device]) -> int:
    for known in devices:
        if identity in (known.uuid, known.pci_address):
            return known.index
    raise DeviceError(_unknown(given, devices))


def _by_name(part: str, given: str, devices: Sequence[Device]) -> int:
    found = [device for device in devices if part and part in device.name.casefold()]
    if not found:
        raise DeviceError(_unknown(given, devices))
    if len({device.name for device in found}) > 1:
        names = ", ".join(f"{device.index} ({device.name})" for device in found)
        raise DeviceError(f"device {given!r} fits several devices: {names}; give one's index")
    return found[0].index


def _unknown(given: str | int, devices: Sequence[Device]) -> str:
    asked = shown(given) if isinstance(given, str) else f"'{shown(given)}'"
    if not devices:
        return (
            f"no device {asked}: this machine has no Vulkan device (or no Vulkan driver); "
            "use 'cpu' or 'auto'"
        )
    names = ", ".join(f"{device.index} ({device.name})" for device in devices)
    known = f"Vulkan devices are {names}" if len(devices) > 1 else f"only Vulkan device is {names}"
    return (
        f"no device {asked}: the {known}, the processor is 'cpu'; give an index or part of a name"
    )
