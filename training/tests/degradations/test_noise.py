"""Distributions of the noise, against SciPy's, with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from realesrgan_train.degradations.extent import Extent
from realesrgan_train.degradations.noise import gaussian_noise, poisson_noise
from tests.degradations.pictures import crops, ragged

SEED = 5


def test_gaussian_noise_is_normal_with_the_asked_deviation() -> None:
    sigma = torch.tensor([1.0, 30.0, 12.5])
    is_gray = torch.tensor([False, False, True])
    noise = gaussian_noise(torch.zeros(3, 3, 64, 64), sigma, is_gray, SEED)
    for number in range(3):
        field = noise[number, 0].flatten().double().numpy() * 255 / float(sigma[number])
        assert stats.kstest(field, "norm").pvalue > 0.01


def test_gray_noise_is_shared_by_channels_and_by_nothing_else() -> None:
    is_gray = torch.tensor([True, False, True])
    for noise in (
        gaussian_noise(torch.zeros(3, 3, 64, 64), torch.full((3,), 9.0), is_gray, SEED),
        poisson_noise(crops(3, 64, 64), torch.ones(3), is_gray, SEED),
    ):
        for number in (0, 2):
            assert torch.equal(noise[number, 0], noise[number, 1])
            assert torch.equal(noise[number, 0], noise[number, 2])
        fields = torch.stack((noise[0, 0], *noise[1], noise[2, 0])).flatten(1)
        correlation = torch.corrcoef(fields) - torch.eye(5)
        assert float(correlation.abs().max()) < 5 / 64  # five deviations of independent fields


def test_seed_decides_the_field() -> None:
    x, strength, gray = crops(2, 16, 16), torch.ones(2), torch.tensor([False, True])
    for noise in (gaussian_noise, poisson_noise):
        assert torch.equal(noise(x, strength, gray, 1), noise(x, strength, gray, 1))
        assert not torch.equal(noise(x, strength, gray, 1), noise(x, strength, gray, 2))


@pytest.mark.parametrize("gray", [False, True])
def test_poisson_noise_follows_the_formula(gray: bool) -> None:
    """A picture of L levels is exposed with v = 2^ceil(log2 L) photons at white."""
    levels = torch.tensor([10, 40, 90, 160, 250])  # 5 levels: 8 photons
    stripes = levels.repeat_interleave(1000).view(1, 1, 50, 100).expand(1, 3, -1, -1) / 255
    noise = poisson_noise(stripes, torch.tensor([0.5]), torch.tensor([gray]), SEED)
    photons = (noise / 0.5 + (stripes * 255).round() / 255) * 8
    torch.testing.assert_close(photons, photons.round(), rtol=0, atol=1e-4)
    for channel in range(1 if gray else 3):
        for number, level in enumerate(levels.tolist()):
            counts = photons[0, channel].flatten()[1000 * number : 1000 * (number + 1)].round()
            law = stats.poisson(level / 255 * 8)
            top = int(law.ppf(0.995))
            expected = np.append(law.pmf(np.arange(top)), law.sf(top - 1)) * 1000
            observed = np.bincount(counts.clamp(max=top).long().numpy(), minlength=top + 1)
            assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_poisson_counts_only_levels_inside_each_sample() -> None:
    pictures, canvas = ragged([(40, 40), (12, 20)])
    pictures[1] = (pictures[1] > 0.5).float()  # two levels: two photons
    canvas[1, :, :12, :20] = pictures[1][0]
    gray = torch.tensor([False, False])
    noise = poisson_noise(canvas, torch.ones(2), gray, SEED, Extent((40, 12), (40, 20)))
    photons = (noise[1, :, :12, :20] + pictures[1][0]) * 2
    torch.testing.assert_close(photons, photons.round(), rtol=0, atol=1e-5)
    assert set(photons.round().flatten().tolist()) > {0.0, 1.0, 2.0}


def test_poisson_noise_of_a_gray_sample_is_that_of_its_gray_picture() -> None:
    x = crops(1, 32, 32)
    luma = (0.2989 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]).expand(-1, 3, -1, -1)
    gray = torch.tensor([True])
    a = poisson_noise(x, torch.ones(1), gray, SEED)
    distinct = len(set((luma[0, 0] * 255).round().flatten().tolist()))
    exposure = 2 ** np.ceil(np.log2(distinct))
    photons = (a[:, :1] + (luma[:, :1] * 255).round() / 255) * exposure
    torch.testing.assert_close(photons, photons.round(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("noise", [gaussian_noise, poisson_noise])
def test_strength_zero_is_no_noise(noise: object) -> None:
    assert callable(noise)
    assert not noise(crops(1, 8, 8), torch.zeros(1), torch.tensor([False]), SEED).any()
