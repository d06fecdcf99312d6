"""A Vulkan device's kernels: tested on first use, stored, timed anew and forgotten on request."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import FAST_MODEL, Photo

from realesrgan_vk import DeviceError, Upscaler, _core
from realesrgan_vk.cli import app

pytestmark = pytest.mark.skipif(not _core.list_devices(), reason="no Vulkan device on this machine")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, so that what the user's holds decides nothing."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("REALESRGAN_VK_CACHE", str(folder))
    return folder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def device_list() -> list[dict[str, Any]]:
    done = call("devices", "--json")
    assert done.exit_code == 0
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_tuning_stores_its_choice_and_tells_the_times(cache: Path) -> None:
    assert device_list()[0]["kernels"] == {}
    done = call("tune", "--device", "0", "--precision", "fp32", "--seconds", "0.5", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["tuned"] is True
    timed = [one for one in found["kernels"] if one["narrow_seconds"] is not None]
    assert timed
    assert all(one["narrow_seconds"] > 0 and one["wide_seconds"] > 0 for one in timed)
    assert found["wide"] in {one["kernel"] for one in timed}
    stored = device_list()[0]["kernels"]["fp32"]
    assert stored == {key: found[key] for key in stored}
    text = call("devices").stdout
    assert f"fp32: {found['narrow']}" in text
    assert any(cache.iterdir())


def test_tuning_prints_a_table(cache: Path) -> None:
    done = call("tune", "-d", "0", "--precision", "fp16", "--seconds", "0.1")
    assert done.exit_code == 0, done.output
    assert "ns a pixel" in done.stdout
    assert "stored: " in done.stdout
    assert _core.stored_kernels(0)["fp16"]["narrow"] in done.stdout
    assert any(cache.iterdir())


def test_what_is_stored_can_be_forgotten(cache: Path) -> None:
    _core.tune(0, fp16=False, seconds=0.1)
    assert list(cache.glob("kernels-*"))
    assert call("tune", "-d", "0", "--forget").exit_code == 0
    assert not list(cache.glob("kernels-*"))
    assert call("tune", "-d", "0", "--forget").exit_code == 0  # nothing there: nothing to do


@pytest.mark.usefixtures("cache")
def test_the_choice_does_not_change_the_picture(photo: Photo) -> None:
    picture = photo(40, 24)
    results = []
    for _ in range(2):
        results.append(Upscaler(FAST_MODEL, device=0, precision="fp32").upscale(picture))
        _core.tune(0, fp16=False, seconds=0.3)
    steps = abs(results[0].astype(int) - results[1].astype(int)).max()
    assert steps <= 1


def test_a_notice_is_logged_as_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Noticing(_core.Upscaler):
        def notices(self) -> list[str]:
            return ["the convolution kernel 'x' is not used on y: z"]

    monkeypatch.setattr("realesrgan_vk.upscaler.Core", Noticing)
    with caplog.at_level(logging.WARNING, logger="realesrgan_vk"):
        Upscaler(FAST_MODEL, device="cpu")
    assert [one.getMessage() for one in caplog.records] == [
        "the convolution kernel 'x' is not used on y: z"
    ]


def test_wrong_calls() -> None:
    done = call("tune", "--device", "cpu")
    assert done.exit_code == 2
    assert "nothing to tune" in done.output
    done = call("tune", "--device", "99")
    assert done.exit_code == 2
    assert "no device '99'" in done.output
    assert call("tune", "--seconds", "0").exit_code == 2
    with pytest.raises(DeviceError, match="no Vulkan device 99"):
        _core.stored_kernels(99)
    with pytest.raises(ValueError, match="seconds is 100"):
        _core.tune(0, fp16=False, seconds=100)
