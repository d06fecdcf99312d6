"""The host never waits for the device while it degrades a batch."""

from __future__ import annotations

import pytest
import torch

from realesrgan_train.config.degradation import DegradationConfig, PresetName
from realesrgan_train.degradations.recipe import Degrader

PRESETS: list[PresetName] = ["paper", "per-sample"]
NEEDS_GPU = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA GPU: it watches the CUDA runtime's waits"
)
WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize")
"""The profiler itself ends with a cudaDeviceSynchronize, which therefore does not count."""


AS_PUBLISHED = {"jpeg": "diffjpeg", "usm": {"target": "patch"}, "first_resize": "factor"}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("details", [{}, AS_PUBLISHED])
def test_no_decision_depends_on_pixels(preset: PresetName, details: dict[str, object]) -> None:
    """On the meta device tensors have no content: whatever would read any raises."""
    recipe = DegradationConfig.preset(preset).model_dump() | details
    degrader = Degrader(DegradationConfig.model_validate(recipe), 4)
    for seed in range(8):
        gt = torch.empty(6, 3, 400, 400, device="meta")
        batch = degrader(gt, torch.Generator().manual_seed(seed))
        assert batch.lq.shape == (6, 3, 64, 64)
        assert batch.gt.device.type == "meta"


def test_meta_device_would_notice() -> None:
    with pytest.raises(RuntimeError):
        float(torch.empty(1, device="meta"))
    with pytest.raises(RuntimeError):
        torch.empty(3, device="meta").nonzero()


@NEEDS_GPU
@pytest.mark.parametrize("preset", PRESETS)
def test_no_wait_in_the_profile(preset: PresetName) -> None:
    degrader = Degrader(DegradationConfig.preset(preset), 4).cuda()
    gt = torch.rand(16, 3, 400, 400, device="cuda")
    for seed in range(6):  # fills the allocators and makes the constants
        degrader(gt, torch.Generator().manual_seed(seed))
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        torch.cuda.set_sync_debug_mode("error")  # PyTorch raises where it would wait
        try:
            for seed in range(6):
                degrader(gt, torch.Generator().manual_seed(seed))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    names = {event.key for event in profile.key_averages()}
    assert any(name.startswith("aten::") for name in names)
    assert any("LaunchKernel" in name for name in names)  # the runtime's calls are recorded
    assert not names & set(WAITS)


@NEEDS_GPU
@pytest.mark.parametrize("preset", PRESETS)
def test_gpu_without_noise_equals_the_cpu(preset: PresetName) -> None:
    base = DegradationConfig.preset(preset).model_dump()
    for order in ("first", "second"):
        base[order]["noise"]["probability"] = 0
    degrader = Degrader(DegradationConfig.model_validate(base), 4)
    gt = torch.rand(4, 3, 400, 400, generator=torch.Generator().manual_seed(0))
    gt = torch.nn.functional.interpolate(gt[..., ::8, ::8], (400, 400), mode="bicubic").clamp(0, 1)
    on_cpu = degrader(gt, torch.Generator().manual_seed(0))
    on_gpu = degrader(gt.cuda(), torch.Generator().manual_seed(0))
    assert float((on_cpu.lq - on_gpu.lq.cpu()).abs().mean()) * 255 < 0.3
