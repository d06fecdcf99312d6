"""Grey networks: PyTorch -> ncnn files of one channel -> every engine -> grey pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Save, small_compact, small_rrdbnet, small_span
from PIL import Image
from torch import nn

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.pictures import verification_pictures
from realesrgan_export.verify import CORE, GPU, NCNN
from realesrgan_train.grey import grey_network
from realesrgan_train.weights import load_network

NETWORKS: dict[str, nn.Module] = {
    "rrdb-x4": small_rrdbnet(4),
    "rrdb-x2": small_rrdbnet(2),  # a folded first convolution
    "compact-x2": small_compact(2),
    "span-x2": small_span(2, norm=False),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_grey_network_in_every_engine(name: str, save: Save, tmp_path: Path) -> None:
    network = grey_network(load_network(save(NETWORKS[name], "colour"))).network
    device = next((str(each.index) for each in realesrgan_vk.list_devices()), None)
    if name == "rrdb-x4":  # minutes on a software device; x2 has the same layers
        device = None
    options = ExportOptions(device=device, fp16=False)
    out = export_checkpoint(save(network, "net"), tmp_path / "out", options)
    engines = {NCNN, CORE} | ({f"{GPU} {device} fp32"} if device else set())
    assert engines <= {row.engine for row in out.rows}
    assert max(row.max_error for row in out.rows if row.engine in engines) <= 1e-4
    assert json.loads(out.manifest.read_text())["models"][0]["channels"] == 1

    picture = verification_pictures(1)[3].pixels[..., 0]
    eight_bit = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    with torch.no_grad():
        result = network(torch.from_numpy(eight_bit / np.float32(255))[None, None])[0, 0]
    expected = (result.clamp(0, 1) * 255).round().numpy()
    source = tmp_path / "grey.png"
    Image.fromarray(eight_bit).save(source)
    for place in ["cpu", *([device] if device else [])]:
        upscaler = realesrgan_vk.Upscaler(out.param, device=place)
        plan = upscaler.plan((picture.shape[1], picture.shape[0]))
        assert plan.path == "stream", plan.reason
        large = upscaler.upscale(source)
        assert large.mode == "L"
        assert np.abs(np.asarray(large, np.float32) - expected).max() <= 1


def test_colours_go_through_a_grey_network_one_by_one(save: Save, tmp_path: Path) -> None:
    network = grey_network(load_network(save(small_compact(2), "colour"))).network
    out = export_checkpoint(save(network, "net"), tmp_path / "out", ExportOptions(fp16=False))
    upscaler = realesrgan_vk.Upscaler(out.param, device="cpu")
    rgb = np.random.default_rng(1).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    large = upscaler.upscale(rgb)
    assert large.shape == (24, 34, 3)
    for channel in range(3):
        assert np.array_equal(large[..., channel], upscaler.upscale(rgb[..., channel]))
