"""Exported runs are told apart by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from realesrgan_export.export import checked_name
from realesrgan_export.target import default_name


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ("runs/mine/weights/net.safetensors", "mine-net"),
        ("runs/mine/weights/gan.safetensors", "mine-gan"),
        ("experiments/x4 fine tune (2)/models/net_g_latest.pth", "x4-fine-tune-2-net_g_latest"),
        ("models/RealESRGAN_x2plus.pth", "RealESRGAN_x2plus"),
        ("net.safetensors", "net"),
        ("runs/mine/net.safetensors", "net"),
        ("/weights/net.pth", "net"),
        ("\u6a21/weights/net.pth", "net"),
    ],
)
def test_default_names(
    checkpoint: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_name(Path(checkpoint)) == name
    assert checked_name(name) == name


def test_a_path_inside_the_folder_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "weights").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine" / "weights")
    assert default_name(Path("net.safetensors")) == "mine-net"
