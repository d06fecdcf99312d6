"""interpolate, and denoise= in the core: the same blend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Save, small_compact

import realesrgan_vk
from realesrgan_export import ExportOptions, export_checkpoint
from realesrgan_export.cli import main
from realesrgan_export.engines import torch_engine
from realesrgan_export.pictures import verification_pictures
from realesrgan_train.weights import load_network


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_blend_is_linear(save: Save, tmp_path: Path) -> None:
    a, b = save(small_compact(seed=1), "a"), save(small_compact(seed=2), "b")
    out = tmp_path / "blend.safetensors"
    assert _run("interpolate", a, b, "--alpha", 0.3, "-o", out) == 0
    first, second, mixed = (load_network(p).network.state_dict() for p in (a, b, out))
    for name, tensor in mixed.items():
        torch.testing.assert_close(tensor, 0.7 * first[name] + 0.3 * second[name])
    assert load_network(out).metadata["blend"] == "0.7 a.safetensors + 0.3 b.safetensors"


def test_denoise_in_the_core_equals_interpolate(save: Save, tmp_path: Path) -> None:
    strong, weak = save(small_compact(2, seed=1), "strong"), save(small_compact(2, seed=2), "weak")
    models = tmp_path / "models"
    export_checkpoint(weak, models, ExportOptions(fp16=False))
    strong_options = ExportOptions(fp16=False, weak_denoise="weak")
    param = export_checkpoint(strong, models, strong_options).param
    blend = tmp_path / "blend.safetensors"
    assert _run("interpolate", weak, strong, "--alpha", 0.6, "-o", blend) == 0
    picture = verification_pictures(3)[2].pixels
    expected = torch_engine(load_network(blend).network)(picture)
    got = realesrgan_vk.Upscaler(param, device="cpu", denoise=0.6).upscale(picture)
    assert np.abs(got - np.clip(expected, 0, 1)).max() < 1e-4


@pytest.mark.parametrize(
    ("other", "alpha", "reason"),
    [
        (small_compact(2), 0.5, "only equal networks can be blended"),
        (small_compact(4, seed=1), 1.5, "--alpha must be between 0 and 1"),
        (small_compact(4, seed=1), float("nan"), "--alpha must be between 0 and 1"),
    ],
)
def test_refusals(  # noqa: PLR0917
    other: torch.nn.Module,
    alpha: float,
    reason: str,
    save: Save,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "blend.safetensors"
    a, b = save(small_compact(4), "a"), save(other, "b")
    assert _run("interpolate", a, b, "--alpha", alpha, "-o", out) == 1
    assert reason in capsys.readouterr().err
    assert not out.exists()
