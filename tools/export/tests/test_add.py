"""`realesrgan-vk models add` of what only the exporter converts."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import randomised
from safetensors.torch import save_file

from realesrgan_train.networks import SRVGGNetCompact
from realesrgan_vk import Upscaler
from realesrgan_vk.models.add import add_models


def test_a_safetensors_file_is_exported_and_installed(tmp_path: Path) -> None:
    network = randomised(SRVGGNetCompact(3, 3, 16, 3, 2, "prelu"), 1)
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    assert add_models(tmp_path / "net.safetensors", tmp_path / "installed", name="mine") == ["mine"]
    entry = json.loads((tmp_path / "installed" / "manifest.json").read_text())["models"][0]
    assert entry["architecture"].startswith("SRVGGNetCompact")
    assert entry["parity"]
    assert Upscaler(tmp_path / "installed" / "mine.param", device="cpu").scale == 2
