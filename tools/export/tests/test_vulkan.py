"""The exported network on a Vulkan device, in 32 and 16 bits, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Save, small_compact

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.errors import ExportError
from realesrgan_export.verify import GPU


def test_verified_in_both_precisions(save: Save, tmp_path: Path) -> None:
    devices = [device for device in realesrgan_vk.list_devices() if device.fp16_storage]
    if not devices:
        pytest.skip("no Vulkan device with 16-bit storage; Debian: apt install mesa-vulkan-drivers")
    device = str(devices[0].index)
    out = export_checkpoint(save(small_compact(2), "net"), tmp_path, ExportOptions(device=device))
    errors = {
        precision: max(
            row.max_error for row in out.rows if row.engine == f"{GPU} {device} {precision}"
        )
        for precision in ("fp32", "fp16")
    }
    assert errors["fp32"] <= 1e-4
    assert errors["fp32"] < errors["fp16"] <= 4e-3


def test_an_unknown_device_is_refused(save: Save, tmp_path: Path) -> None:
    options = ExportOptions(device="Voodoo 2")
    with pytest.raises(ExportError, match="Voodoo 2"):
        export_checkpoint(save(small_compact(2), "net"), tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
