"""Which device the words mean."""

import json
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import run

import realesrgan_vk
from realesrgan_vk.devices import find_device


@dataclass(frozen=True)
class Fake:
    index: int
    name: str
    type: str
    uuid: str = ""
    pci_address: str = ""


UUIDS = [f"0000000{number}-89ab-cdef-0123-456789abcdef" for number in range(2)]
SOFTWARE = Fake(0, "llvmpipe (LLVM 15)", "cpu")
INTEGRATED = Fake(1, "Intel UHD 630", "integrated")
DISCRETE = Fake(2, "NVIDIA RTX 4070", "discrete")
SECOND = Fake(3, "NVIDIA RTX 3060", "discrete")
ALL = [SOFTWARE, INTEGRATED, DISCRETE, SECOND]


@pytest.mark.parametrize(
    ("devices", "index"),
    [
        (ALL, 2),
        ([SOFTWARE, INTEGRATED], 1),
        ([Fake(0, "vGPU", "virtual"), INTEGRATED], 1),
        ([Fake(0, "vGPU", "virtual")], 0),
        ([SOFTWARE], -1),
        ([], -1),
    ],
)
def test_auto_prefers_discrete_then_integrated_and_never_software(
    devices: list[Fake], index: int
) -> None:
    assert find_device("auto", devices) == index


@pytest.mark.parametrize(
    ("device", "index"),
    [
        ("cpu", -1),
        ("CPU", -1),
        (-1, -1),
        (0, 0),
        ("2", 2),
        ("vulkan:0", 0),
        ("Vulkan:3", 3),
        ("uhd", 1),
        ("llvm", 0),
        ("rtx 3060", 3),
    ],
)
def test_a_device_by_index_or_part_of_its_name(device: str | int, index: int) -> None:
    assert find_device(device, ALL) == index


@pytest.mark.parametrize("device", [4, -2, "vulkan:9", "radeon", "", "vulkan:"])
def test_an_unknown_device_is_an_error_that_names_those_there_are(device: str | int) -> None:
    with pytest.raises(realesrgan_vk.DeviceError, match=r"no device .*1 \(Intel UHD 630\)"):
        find_device(device, ALL)
    with pytest.raises(realesrgan_vk.DeviceError, match=r"no Vulkan device.*use 'cpu'"):
        find_device(device, [])


def test_a_name_that_fits_two_devices_asks_for_an_index() -> None:
    with pytest.raises(realesrgan_vk.DeviceError, match=r"fits several devices: 2 .*, 3 "):
        find_device("nvidia", ALL)
    twins = [DISCRETE, Fake(5, DISCRETE.name, "discrete")]
    assert find_device("nvidia", twins) == 2


def test_other_types_are_refused() -> None:
    for wrong in (None, 1.0, True):
        with pytest.raises(TypeError, match="device must be a name or an index"):
            find_device(wrong, ALL)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "index"),
    [
        (UUIDS[1], 1),
        (f"GPU-{UUIDS[0]}", 0),
        (f" {UUIDS[1].upper()} ", 1),
        ("0000:41:00.0", 1),
    ],
)
def test_equal_devices_are_told_apart_by_uuid_and_address(words: str, index: int) -> None:
    pair = [
        Fake(number, "NVIDIA H100", "discrete", UUIDS[number], f"0000:{address}:00.0")
        for number, address in enumerate(("01", "41"))
    ]
    assert find_device(words, pair) == index
    with pytest.raises(realesrgan_vk.DeviceError, match="no device"):
        find_device("GPU-ffffffff-89ab-cdef-0123-456789abcdef", pair)


def test_every_device_has_an_identity_of_its_own() -> None:
    devices = realesrgan_vk.list_devices()
    if not devices:
        pytest.skip("no Vulkan device")
    for device in devices:
        assert re.fullmatch("([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?", device.uuid)
        assert re.fullmatch("([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}.[0-7])?", device.pci_address)
        if device.uuid:
            assert find_device(device.uuid, devices) == device.index
    assert realesrgan_vk.list_devices()[0].uuid == devices[0].uuid


def test_the_processors_kernels_are_named() -> None:
    listed = run("devices")
    assert listed.returncode == 0, listed.stderr
    kernels = realesrgan_vk._core.cpu_instruction_set()
    assert kernels in ("avx512", "avx2", "neon", "baseline")
    assert listed.stdout.splitlines()[-1].startswith(f"cpu  the processor ({kernels} kernels)")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one set only")
def test_the_fastest_instruction_set_of_the_processor_is_used() -> None:
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        pytest.skip("this system does not list what its processor can do")
    flags = set(re.findall(r"^flags\s*: (.*)$", listing.read_text(), re.MULTILINE)[0].split())
    expected = "baseline"
    if {"avx2", "fma"} <= flags:
        expected = "avx2"
    if {"avx2", "fma", "avx512f", "avx512vl", "avx512dq", "avx512bw"} <= flags:
        expected = "avx512"
    assert realesrgan_vk._core.cpu_instruction_set() == expected


def test_limits_of_a_smaller_device_are_emulated() -> None:
    if not realesrgan_vk.list_devices():
        pytest.skip("no Vulkan device on this machine")
    whole = run("devices", "--json")
    limited = run("devices", "--json", REALESRGAN_VK_LIMITS="fp16=0 matrices=0")
    assert (whole.returncode, limited.returncode) == (0, 0)
    assert json.loads(limited.stdout)[0]["fp16_storage"] is False
    assert json.loads(limited.stdout)[0]["cooperative_matrix"] is False
    wrong = run("devices", REALESRGAN_VK_LIMITS="groups=many")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "REALESRGAN_VK_LIMITS has 'groups=many'" in wrong.stderr
