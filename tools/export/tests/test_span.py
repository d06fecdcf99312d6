"""SPAN: its two forms in PyTorch, and PyTorch -> ncnn files -> the row stream."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Save, small_span
from torch import nn

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.engines import core_engine, ncnn_engine
from realesrgan_export.verify import CHECKPOINT, CORE, NCNN
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import SPAN
from realesrgan_train.networks.span import Conv3XC, deployed
from realesrgan_train.weights import load_network, network_of


def test_all_three_forms_compute_the_same() -> None:
    network = small_span()
    picture = torch.rand(2, 3, 9, 13, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        evaluated = network(picture)
        trained = network.train()(picture)
        plain = deployed(network)
        assert not any(isinstance(module, Conv3XC) for module in plain.modules())
        assert (plain(picture) - evaluated).abs().max() == 0
    assert evaluated.shape == (2, 3, 18, 26)
    assert (trained - evaluated).abs().max() < 1e-5


def test_what_is_saved_holds_the_fused_kernels(save: Save) -> None:
    network = small_span()
    assert isinstance(network.conv_2, Conv3XC)
    with torch.no_grad():
        network.conv_2.sk.weight.add_(1)
    loaded = load_network(save(network, "net"))
    assert loaded.architecture.name == "SPAN"
    assert str(loaded.architecture) == "a SPAN x2 with 16 features"
    kernel, bias = network.conv_2.fused()
    state = loaded.network.state_dict()
    assert torch.equal(state["conv_2.eval_conv.weight"], kernel)
    assert torch.equal(state["conv_2.eval_conv.bias"], bias)


def test_a_file_that_is_no_span_of_the_published_form_is_refused() -> None:
    state = small_span().state_dict()
    lacking = {name: tensor for name, tensor in state.items() if name != "block_3.c2_r.sk.bias"}
    with pytest.raises(CheckpointError, match=r"a?n? ?SPAN but lacks block_3\.c2_r\.sk\.bias"):
        network_of(lacking, {})
    with pytest.raises(CheckpointError, match="has unknown block_7"):
        network_of(state | {"block_7.c1_r.sk.bias": torch.zeros(16)}, {})
    with pytest.raises(CheckpointError, match="no whole scale"):
        network_of(state | {"upsampler.0.weight": torch.zeros(15, 16, 3, 3)}, {})


NETWORKS: dict[str, tuple[nn.Module, bool]] = {
    "48 features, x4": (small_span(4, 48), False),
    "20 features, x2, 16 bits": (small_span(2, 20), True),
    "without a mean, x3": (small_span(3, 16, norm=False), False),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_networks_run_in_the_row_stream(name: str, save: Save, tmp_path: Path) -> None:
    network, fp16 = NETWORKS[name]
    out = export_checkpoint(save(network, "net"), tmp_path / "out", ExportOptions(fp16=fp16))
    engines = {row.engine for row in out.rows}
    assert {NCNN, CORE} <= engines
    assert (CHECKPOINT in engines) == fp16
    assert max(row.max_error for row in out.rows if row.engine != CHECKPOINT) <= 1e-4
    assert max(row.max_steps for row in out.rows if row.engine == CORE) <= 1
    plan = realesrgan_vk.Upscaler(out.param, device="cpu").plan((64, 48))
    assert plan.path == "stream", plan.reason


def test_any_size_gives_stock_ncnns_picture(save: Save, tmp_path: Path) -> None:
    out = export_checkpoint(save(small_span(2, 20, seed=3), "net"), tmp_path / "out")
    stock, ours = ncnn_engine(out.param, out.bin), core_engine(out.param)
    sizes = random.Random(4)
    pictures = np.random.default_rng(5)
    for _ in range(40):
        height, width = sizes.randint(1, 40), sizes.randint(1, 40)
        picture = pictures.random((height, width, 3), np.float32)
        expected = np.clip(stock(picture), 0, 1)
        result = ours(picture)
        assert result.shape == (2 * height, 2 * width, 3)
        assert np.abs(result - expected).max() <= 1e-4, (height, width)


def test_memory_does_not_grow_with_the_height(save: Save, tmp_path: Path) -> None:
    out = export_checkpoint(save(small_span(), "net"), tmp_path / "out")
    upscaler = realesrgan_vk.Upscaler(out.param, device="cpu")
    plans = [upscaler.plan((512, height)) for height in (512, 5000, 90000)]
    assert len({plan.memory_bytes["total"] for plan in plans}) == 1


def test_norm_takes_three_channels() -> None:
    with pytest.raises(ValueError, match="norm is of 3 channels, not 1"):
        SPAN(num_in_ch=1, num_out_ch=1)
