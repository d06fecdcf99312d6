"""Kernels, blur and sharpening against SciPy and OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks import straightforward
from realesrgan_train.config.degradation import KERNEL_FAMILIES, DegradationConfig
from realesrgan_train.degradations.blur import filter2d
from realesrgan_train.degradations.draw import draw
from realesrgan_train.degradations.extent import Extent, edge_indices
from realesrgan_train.degradations.kernels import (
    drawn_kernels,
    gaussian_family_kernels,
    is_separable,
    sinc_kernels,
)
from realesrgan_train.degradations.usm import gaussian_window, usm_sharpen
from tests.degradations.pictures import crops, ragged


def test_drawn_kernels_equal_an_independent_implementation() -> None:
    drawn = draw(DegradationConfig(), 300, torch.Generator().manual_seed(0)).first.kernel
    kernels = drawn_kernels(drawn)
    seen = set()
    for i in range(300):
        size = int(drawn.size[i])
        margin = (21 - size) // 2
        expected = np.pad(straightforward.kernel(drawn, i), margin)
        np.testing.assert_allclose(kernels[i].numpy(), expected, rtol=2e-6, atol=1e-8)
        seen.add("sinc" if drawn.is_sinc[i] else KERNEL_FAMILIES[int(drawn.family[i])])
    assert seen == {*KERNEL_FAMILIES, "sinc"}


def test_isotropic_gaussian_is_opencvs() -> None:
    curve = cv2.getGaussianKernel(15, 1.7)
    one = torch.ones(1, dtype=torch.float64)
    kernel = gaussian_family_kernels(
        size=torch.tensor([15]),
        family=torch.tensor([KERNEL_FAMILIES.index("iso")]),
        sigma_x=1.7 * one,
        sigma_y=1.7 * one,
        rotation=0 * one,
        beta=one,
    )
    np.testing.assert_allclose(kernel[0, 3:18, 3:18].numpy(), curve @ curve.T, atol=1e-12)
    assert float(kernel[0, :3].abs().sum()) == 0


def test_anisotropic_kernel_has_the_asked_covariance() -> None:
    one = torch.ones(1, dtype=torch.float64)
    kernel = gaussian_family_kernels(
        size=torch.tensor([21]),
        family=torch.tensor([KERNEL_FAMILIES.index("aniso")]),
        sigma_x=2.2 * one,
        sigma_y=0.9 * one,
        rotation=math.radians(30) * one,
        beta=one,
    )[0].numpy()
    axis = np.arange(21) - 10
    xx, yy = np.meshgrid(axis, axis)
    found = [(kernel * a * b).sum() for a, b in ((xx, xx), (xx, yy), (yy, yy))]
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    wanted = [
        (2.2 * c) ** 2 + (0.9 * s) ** 2,
        (2.2**2 - 0.9**2) * c * s,
        (2.2 * s) ** 2 + (0.9 * c) ** 2,
    ]
    np.testing.assert_allclose(found, wanted, rtol=5e-3)


def test_sinc_passes_low_and_stops_high_frequencies() -> None:
    """Up to the ripple (Gibbs) of a filter cut to 21 taps."""
    kernel = sinc_kernels(torch.tensor([21]), torch.tensor([math.pi / 2], dtype=torch.float64))[0]
    spectrum = np.abs(np.fft.fft2(kernel.numpy(), (64, 64)))
    frequency = np.fft.fftfreq(64) * 2 * np.pi
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    assert spectrum[radius < 0.35 * math.pi].min() > 0.8
    assert spectrum[radius > 0.65 * math.pi].max() < 0.2


@pytest.mark.parametrize(("height", "width"), [(33, 40), (8, 11), (1, 30)])
def test_filter2d_is_scipys_correlation(height: int, width: int) -> None:
    x = crops(3, height, width)
    kernels = torch.rand(3, 21, 21, generator=torch.Generator().manual_seed(0)) / 441
    out = filter2d(x, kernels)
    for b in range(3):
        for c in range(3):
            expected = ndimage.correlate(
                x[b, c].double().numpy(), kernels[b].double().numpy(), mode="mirror"
            )
            np.testing.assert_allclose(out[b, c].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("batch", [1, 9])
def test_round_kernels_line_by_line_are_the_same_filter(batch: int) -> None:
    """Few planes, which are cut into strips, and many."""
    drawn = draw(DegradationConfig(), 200, torch.Generator().manual_seed(1)).first.kernel
    taps, round_ones = drawn_kernels(drawn), is_separable(drawn)
    assert 60 < int(round_ones.sum()) < 100  # 0.9 x 0.45
    for kernel in taps[round_ones].double():
        product = kernel.sum(1, keepdim=True) * kernel.sum(0, keepdim=True)
        torch.testing.assert_close(product, kernel, rtol=0, atol=1e-7)
    x = crops(batch, 45, 70)
    for start in range(0, 45, batch):
        some = torch.arange(start, start + batch)
        square = filter2d(x, taps[some], sizes=drawn.size[some])
        lines = filter2d(x, taps[some], sizes=drawn.size[some], separable=round_ones[some])
        torch.testing.assert_close(lines, square, rtol=0, atol=3e-6)


def test_filter2d_of_mixed_sizes_is_that_of_each_alone() -> None:
    sizes = [(30, 41), (9, 25), (37, 8)]
    pictures, canvas = ragged(sizes)
    kernels = torch.rand(3, 21, 21, generator=torch.Generator().manual_seed(0)) / 441
    extent = Extent(tuple(h for h, _ in sizes), tuple(w for _, w in sizes))
    out = filter2d(canvas, kernels, extent)
    for number, (h, w) in enumerate(sizes):
        alone = filter2d(pictures[number], kernels[number : number + 1])
        torch.testing.assert_close(out[number, :, :h, :w], alone[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("size", "before", "after"), [(7, 3, 4), (3, 10, 9), (2, 5, 5), (1, 4, 2)])
def test_edges_continue_as_numpys(size: int, before: int, after: int) -> None:
    count = before + size + after
    for edge, mode in (("reflect", "reflect"), ("replicate", "edge")):
        expected = np.pad(np.arange(size), (before, after), mode=mode)  # type: ignore[call-overload]
        found = edge_indices(size, before, count, edge)  # type: ignore[arg-type]
        assert found.tolist() == expected.tolist()


def test_usm_window_is_opencvs() -> None:
    np.testing.assert_allclose(gaussian_window(50), cv2.getGaussianKernel(51, 0)[:, 0], atol=1e-12)
    assert len(gaussian_window(7)) == 7


@pytest.mark.parametrize(("height", "width"), [(120, 150), (64, 31)])
def test_usm_is_opencvs(height: int, width: int) -> None:
    x = crops(4, height, width)
    out = usm_sharpen(x)
    for picture, found in zip(x, out, strict=True):
        array = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        expected = straightforward.usm(array)
        np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), expected, atol=1e-3)
        assert np.abs(found.permute(1, 2, 0).numpy() - expected).mean() < 1e-6
    assert float((out - x).abs().max()) > 0.05  # it does sharpen
    assert 0 <= float(out.min()) <= float(out.max()) <= 1


def test_sharpening_a_patch_differs_from_a_patch_of_the_sharpened_only_near_its_edges() -> None:
    """The README says within 50 px: the reference sharpens the patch for its target."""
    x = crops(1, 200, 220)
    inside = usm_sharpen(x)[..., 20:180, 30:190]
    again = usm_sharpen(x[..., 20:180, 30:190].contiguous())
    middle = slice(50, -50)
    torch.testing.assert_close(
        inside[..., middle, middle], again[..., middle, middle], rtol=0, atol=1e-6
    )
    assert (inside - again).abs().max() > 0.01


def test_usm_leaves_flat_and_faint_pictures_alone() -> None:
    faint = 0.5 + (torch.rand(1, 3, 60, 60) - 0.5) * 9 / 255
    assert torch.equal(usm_sharpen(faint), faint)
    assert torch.equal(usm_sharpen(faint, weight=0, threshold=0), faint)
