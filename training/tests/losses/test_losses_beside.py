"""Losses beside the pixel loss, against their papers' formulas in NumPy, and in a run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from realesrgan_train.config import load_config
from realesrgan_train.engine import Trainer
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.learned_metrics import Dists
from realesrgan_train.losses.artefacts import ArtefactLoss, artefact_map
from realesrgan_train.losses.frequency import FocalFrequencyLoss, FourierL1Loss
from realesrgan_train.losses.structure import MsSsimLoss

from ..conftest import Overrides, draw_picture
from ..engine.test_resume import ALONE
from ..test_learned_metrics import as_in_torchvision


def batches(count: int, size: int, seed: int = 0) -> list[torch.Tensor]:
    """Noisy variants of two pictures, [2, 3, size, size + 6] each."""
    rng = np.random.default_rng(seed)
    clean = [np.asarray(draw_picture(n, size + 6, size)) / 255 for n in range(2)]
    plain = np.stack(clean).transpose(0, 3, 1, 2)
    scales = (0.0, 0.1, 0.05)[:count]
    noisy = [np.clip(plain + scale * rng.normal(size=plain.shape), 0, 1) for scale in scales]
    return [torch.from_numpy(each) for each in noisy]


def test_fourier_losses() -> None:
    target, output = batches(2, 20)
    spectra = np.fft.fft2(output.numpy()) - np.fft.fft2(target.numpy())
    expected = (np.abs(spectra.real) + np.abs(spectra.imag)).mean() / 2
    assert float(FourierL1Loss(0.1)(output, target)) == pytest.approx(0.1 * expected)

    spectra = np.fft.fft2(output.numpy() - target.numpy(), norm="ortho")
    total = 0.0
    for spectrum in spectra.reshape(-1, *spectra.shape[2:]):
        distance = np.abs(spectrum)
        total += float((distance / distance.max() * distance**2).mean())
    loss = FocalFrequencyLoss(2.0)
    assert float(loss(output, target)) == pytest.approx(2 * total / 6)
    output.requires_grad_()
    loss(output, output.detach()).backward()  # nothing to weigh: 0, not NaN
    assert output.grad is not None
    assert not output.grad.any()


def numpy_ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Equations 1 to 7 of Wang et al., 2003, of one picture [C, H, W], channels averaged last."""
    x = np.arange(11) - 5
    window = np.exp(-(x**2) / (2 * 1.5**2))
    window /= window.sum()

    def blurred(z: np.ndarray) -> np.ndarray:
        rows = np.apply_along_axis(np.convolve, -1, z, window, "valid")
        return np.apply_along_axis(np.convolve, -2, rows, window, "valid")

    result = 1.0
    for number, power in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if number:
            a, b = (
                z[:, : z.shape[1] // 2 * 2, : z.shape[2] // 2 * 2]
                .reshape(z.shape[0], z.shape[1] // 2, 2, z.shape[2] // 2, 2)
                .mean((2, 4))
                for z in (a, b)
            )
        mean_a, mean_b = blurred(a), blurred(b)
        var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
        both = blurred(a * b) - mean_a * mean_b
        contrast = (2 * both + 0.03**2) / (var_a + var_b + 0.03**2)
        luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        result *= float((luminance * contrast if number == 4 else contrast).mean()) ** power
    return result


def test_ms_ssim(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    target, output = batches(2, 178)
    pairs = zip(output.numpy(), target.numpy(), strict=True)
    expected = 1 - float(np.mean([numpy_ms_ssim(a, b) for a, b in pairs]))
    loss = MsSsimLoss(1.0)
    assert 0.005 < expected < 0.5
    assert float(loss(output, target)) == pytest.approx(expected, abs=1e-4)
    assert float(loss(target, target)) == pytest.approx(0, abs=1e-6)
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(ConfigError, match="pip install torchmetrics"):
        MsSsimLoss(1.0)


def test_artefacts() -> None:
    target, output, average = batches(3, 24)
    expected = np.zeros((2, 24, 30))
    for number in range(2):
        gt, out, ema = (x[number].numpy() for x in (target, output, average))
        error, steady = np.abs(gt - out).sum(0), np.abs(gt - ema).sum(0)
        padded = np.pad(error, 3, mode="reflect")
        for y in range(24):
            for x in range(30):
                if error[y, x] >= steady[y, x]:
                    around = padded[y : y + 7, x : x + 7].var(ddof=1)
                    expected[number, y, x] = error.var(ddof=1) ** 0.2 * around
    found = artefact_map(output, average, target)
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=1e-12)
    assert 0.5 < (expected > 0).mean() < 0.95
    loss = float((expected[:, None] * (output - target).abs().numpy()).mean())
    assert float(ArtefactLoss(3.0)(output, average, target)) == pytest.approx(3 * loss)
    same = target.clone().requires_grad_()
    ArtefactLoss()(same, average, target).backward()  # no error at all: no slope, and no NaN
    assert same.grad is not None
    assert not same.grad.any()


@pytest.fixture
def dists_files(tmp_path: Path) -> tuple[Path, Path]:
    """Random weights of VGG16 under torchvision's names, and fitted ones."""
    features = as_in_torchvision("dists").state_dict()
    torch.save({f"features.{k}": v for k, v in features.items()}, tmp_path / "vgg16.pth")
    fitted = {name: torch.rand(1, 1475, 1, 1) for name in ("alpha", "beta")}
    torch.save(fitted, tmp_path / "fitted.pt")
    return tmp_path / "vgg16.pth", tmp_path / "fitted.pt"


def test_dists_of_a_batch_is_the_mean() -> None:
    torch.manual_seed(1)
    metric = Dists()
    metric.set_fitted({name: torch.rand(1, 1475, 1, 1) for name in ("alpha", "beta")})
    target, output = (x.float()[..., :32, :32] for x in batches(2, 32))
    apart = [float(metric(output[i : i + 1], target[i : i + 1])) for i in range(2)]
    assert float(metric(output, target)) == pytest.approx(sum(apart) / 2, rel=1e-4)


def test_all_of_them_in_a_run(micro: Overrides, dists_files: tuple[Path, Path]) -> None:
    backbone, fitted = dists_files
    dists = f"{{backbone: {backbone}, fitted: {fitted}, weight: 0.1}}"
    options = micro(
        "stages.net.steps=2",
        "stages.gan.steps=2",
        "stages.net.frequency={kind: focal, weight: 1}",
        "stages.gan.frequency={weight: 0.1, target: plain}",
        "stages.gan.artefacts={weight: 1}",
        f"stages.gan.dists={dists}",
    )
    config = load_config("tiny", options)
    Trainer(config, ALONE).run()
    lines = [json.loads(line) for line in (config.run_dir / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    parts = {1: {"pixel", "frequency"}, 4: {"pixel", "frequency", "artefacts", "dists", "gan"}}
    for line in steps:
        if line["step"] in parts:
            found = {key[5:]: value for key, value in line.items() if key.startswith("loss_")}
            assert set(found) == parts[line["step"]]
            assert sum(found.values()) == pytest.approx(line["loss"], rel=1e-4)
            assert all(found.values())


def test_what_cannot_be_is_told(micro: Overrides, tmp_path: Path) -> None:
    for options, told in (
        (["stages.net.ms_ssim={weight: 1}"], "176 pixels and more: raise degradation.patch_size"),
        (
            ["stages.gan.artefacts={weight: 1}", "execution.ema_decay=0"],
            "set execution.ema_decay above 0",
        ),
        ([f"stages.gan.dists={{backbone: {tmp_path / 'absent.pth'}}}"], "weight"),
    ):
        with pytest.raises(ConfigError, match=told):
            load_config("tiny", micro(*options))
    dists = f"stages.gan.dists={{backbone: {tmp_path / 'absent.pth'}, weight: 1}}"
    with pytest.raises(CheckpointError, match=r"absent.pth: no such file \(stages.gan.dists\)"):
        Trainer(load_config("tiny", micro(dists)), ALONE)
