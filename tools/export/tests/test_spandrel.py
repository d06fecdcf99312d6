"""An architecture of spandrel's, read by spandrel itself."""

from __future__ import annotations

import json
import random
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import randomised, small_span
from test_foreign import OneUp
from torch import nn

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.engines import core_engine, ncnn_engine
from realesrgan_export.verify import CORE

BSRGAN_NAMES = {
    "body.0.rdb": "RRDB_trunk.0.RDB",
    "conv_body": "trunk_conv",
    "conv_up1": "upconv1",
    "conv_hr": "HRconv",
}


@pytest.mark.usefixtures("spandrel")
def test_bsrgan_x2(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = OneUp(growth=32).state_dict()
    for ours, theirs in BSRGAN_NAMES.items():
        state = {name.replace(ours, theirs): tensor for name, tensor in state.items()}
    torch.save(state, tmp_path / "BSRGANx2.pth")
    out = export_checkpoint(tmp_path / "BSRGANx2.pth", tmp_path / "out")
    entry = json.loads(out.manifest.read_text())["models"][0]
    assert (entry["architecture"], entry["scale"], entry["channels"]) == ("ESRGAN", 2, 3)


@pytest.mark.parametrize("norm", [True, False])
def test_our_span_is_spandrels(spandrel: ModuleType, norm: bool) -> None:
    ours = small_span(2, 16, norm=norm)
    theirs = spandrel.ModelLoader(device="cpu").load_from_state_dict(ours.state_dict())
    assert (theirs.architecture.name, theirs.scale) == ("SPAN", 2)
    assert theirs.model.state_dict().keys() == ours.state_dict().keys()
    picture = torch.rand(1, 3, 21, 17, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        difference = ours(picture) - theirs.model.eval()(picture)
    assert difference.abs().max() < 1e-5


def _network(architecture: str, **arguments: object) -> nn.Module:
    family = "MoSR" if architecture == "MoSR" else "PLKSR"
    kind = getattr(import_module(f"spandrel.architectures.{family}"), architecture)
    return randomised(kind(**arguments))


STREAMED: dict[str, dict[str, object]] = {
    "MoSR, 16 features, x2": {"dim": 16, "n_block": 2, "upscale": 2},
    "MoSR, 40 features, GPS, x3": {"dim": 40, "n_block": 1, "upscale": 3, "upsampler": "gps"},
    "PLKSR, 32 features, x2": {"dim": 32, "n_blocks": 1, "upscaling_factor": 2},
    "PLKSR, 64 features, CCM of 3x3, x4": {
        "dim": 64,
        "n_blocks": 1,
        "upscaling_factor": 4,
        "ccm_type": "DCCM",
        "kernel_size": 9,
    },
    "RealPLKSR, layer norm, x2": {
        "dim": 32,
        "n_blocks": 1,
        "upscaling_factor": 2,
        "layer_norm": True,
    },
}


@pytest.mark.usefixtures("spandrel")
@pytest.mark.parametrize("name", STREAMED)
def test_exported_networks_run_in_the_row_stream(name: str, tmp_path: Path) -> None:
    network = _network(name.partition(",")[0], **STREAMED[name])
    torch.save(network.state_dict(), tmp_path / "net.pth")
    out = export_checkpoint(tmp_path / "net.pth", tmp_path / "out", ExportOptions(fp16=False))
    assert max(row.max_error for row in out.rows) <= 1e-4
    assert max(row.max_steps for row in out.rows if row.engine == CORE) <= 1
    upscaler = realesrgan_vk.Upscaler(out.param, device="cpu")
    plans = [upscaler.plan((512, height)) for height in (512, 5000, 90000)]
    assert plans[0].path == "stream", plans[0].reason
    assert len({plan.memory_bytes["total"] for plan in plans}) == 1
    stock, ours = ncnn_engine(out.param, out.bin, winograd=False), core_engine(out.param)
    sizes, pictures = random.Random(4), np.random.default_rng(5)
    for _ in range(10):
        height, width = sizes.randint(1, 40), sizes.randint(1, 40)
        picture = pictures.random((height, width, 3), np.float32)
        expected = np.clip(stock(picture), 0, 1)
        assert np.abs(ours(picture) - expected).max() <= 1e-4, (height, width)


@pytest.mark.usefixtures("spandrel")
def test_group_norm_needs_tiles_and_the_plan_names_it(tmp_path: Path) -> None:
    network = _network("RealPLKSR", dim=16, n_blocks=1, upscaling_factor=2, kernel_size=5)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    out = export_checkpoint(tmp_path / "net.pth", tmp_path / "out")
    plan = realesrgan_vk.Upscaler(out.param, device="cpu").plan((64, 48))
    assert plan.path == "tiles"
    assert "(GroupNorm)" in plan.reason
