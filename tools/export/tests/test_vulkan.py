"""The exported network on a Vulkan device, in 32 and 16 bits, where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Save, small_compact, small_rrdbnet, small_span
from torch import nn

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint, verify
from realesrgan_export.errors import ExportError
from realesrgan_export.parity import Row
from realesrgan_export.verify import GPU

NETWORKS: dict[str, nn.Module] = {
    "compact-x2": small_compact(2),
    "rrdb-x4": small_rrdbnet(4),
    "rrdb-x2": small_rrdbnet(2),  # a folded first convolution, of stride 2
    "rrdb-x1": small_rrdbnet(1),  # of stride 4
    "span-x2": small_span(2),
}


@dataclass(frozen=True)
class _Device:
    index: int
    name: str
    type: str
    fp16_storage: bool


@pytest.fixture
def device() -> _Device:
    for found in realesrgan_vk.list_devices():
        if found.fp16_storage:
            return _Device(found.index, found.name, found.type, fp16_storage=True)
    pytest.skip("no Vulkan device with 16-bit storage; Debian: apt install mesa-vulkan-drivers")


def _largest(rows: list[Row], engine: str) -> float:
    return max(row.max_error for row in rows if row.engine == engine)


@pytest.mark.parametrize("name", NETWORKS)
def test_verified_in_both_precisions(
    name: str, device: _Device, save: Save, tmp_path: Path
) -> None:
    options = ExportOptions(device=str(device.index))
    out = export_checkpoint(save(NETWORKS[name], "net"), tmp_path, options)
    fp32, fp16 = (_largest(out.rows, f"{GPU} {device.index} {bits}") for bits in ("fp32", "fp16"))
    assert fp32 <= 1e-4
    assert fp32 < fp16 <= 4e-3


def test_a_device_without_16_bit_storage_is_verified_in_32(
    device: _Device, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaker = _Device(device.index, device.name, "integrated", fp16_storage=False)
    monkeypatch.setattr(verify, "list_devices", lambda: [weaker])
    out = export_checkpoint(save(small_compact(2), "net"), tmp_path)
    on_it = {row.engine for row in out.rows if row.engine.startswith(GPU)}
    assert on_it == {f"{GPU} {device.index} fp32"}


def test_the_cpu_as_device_adds_nothing(save: Save, tmp_path: Path) -> None:
    out = export_checkpoint(save(small_compact(2), "net"), tmp_path, ExportOptions(device="cpu"))
    assert not any(row.engine.startswith(GPU) for row in out.rows)


def test_an_unknown_device_is_refused(save: Save, tmp_path: Path) -> None:
    options = ExportOptions(device="Voodoo 2")
    with pytest.raises(ExportError, match="--device: no device 'Voodoo 2'"):
        export_checkpoint(save(small_compact(2), "net"), tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
