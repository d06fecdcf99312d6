"""JPEG against libjpeg through Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from realesrgan_train.degradations.extent import Extent
from realesrgan_train.degradations.jpeg import cosine_transform, jpeg, quantisation_tables
from tests.degradations.pictures import crops, ragged

SIZES = [(128, 160), (61, 97), (16, 16), (9, 130), (64, 39)]


def through_pillow(picture: Tensor, quality: int) -> Tensor:
    pixels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("quality", [30, 40, 50, 60, 70, 80, 90, 95])
def test_close_to_libjpeg(quality: int, height: int, width: int) -> None:
    """Required is a mean difference of 1/255; the same arithmetic gives far less."""
    x = crops(12, height, width, seed=quality)
    out = jpeg(x, torch.full((12,), float(quality)))
    expected = torch.stack([through_pillow(picture, quality) for picture in x])
    assert float((out - expected).abs().mean()) * 255 < 0.3
    assert float((out - expected).mean().abs()) * 255 < 0.03  # no drift of colour
    equal = (out - expected).abs() < 0.5 / 255
    assert float(equal.float().mean()) > 0.8
    assert float((x - expected).abs().mean()) * 255 > 0.8  # the comparison means something


@pytest.mark.parametrize(("sigma", "least", "most"), [(0, 0.02, 0.16), (30, 0.1, 0.36)])
def test_mean_difference_to_pillow_is_as_the_readme_says(
    sigma: float, least: float, most: float
) -> None:
    """At whole qualities, in 1/255: on photographs, and on ones with strong noise."""
    generator, found = torch.Generator().manual_seed(0), []
    for quality in range(30, 96, 5):
        x = crops(8, 128, 160, seed=quality)
        x = (x + torch.randn(x.shape, generator=generator) * sigma / 255).clamp(0, 1)
        expected = torch.stack([through_pillow(picture, quality) for picture in x])
        out = jpeg(x, torch.full((8,), float(quality)))
        found.append(float((out - expected).abs().mean()) * 255)
    assert least < min(found) < max(found) < most


def test_quantisation_tables_are_libjpegs() -> None:
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
        written = Image.open(file).quantization  # type: ignore[attr-defined]
        found = quantisation_tables(torch.tensor([float(quality)]))[0]
        assert found.tolist() == [written[0], written[1]], quality


def test_each_sample_has_its_own_quality_and_none_is_touched() -> None:
    x = crops(3, 48, 48)
    before, quality = x.clone(), torch.tensor([30.0, 62.5, 95.0])
    out = jpeg(x, quality)
    assert torch.equal(x, before)
    assert quality.tolist() == [30.0, 62.5, 95.0]
    for number in range(3):
        alone = jpeg(x[number : number + 1], quality[number : number + 1])
        assert torch.equal(out[number], alone[0])
    same = jpeg(x[:1].expand(3, -1, -1, -1), quality)
    errors = (same - x[:1]).abs().mean(dim=(1, 2, 3)).tolist()
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.5 * errors[2]


def test_mixed_sizes_are_those_of_each_alone() -> None:
    pictures, canvas = ragged(SIZES)
    quality = torch.tensor([30.0, 50.0, 70.0, 90.0, 40.0])
    out = jpeg(canvas, quality, Extent(tuple(h for h, _ in SIZES), tuple(w for _, w in SIZES)))
    for number, (h, w) in enumerate(SIZES):
        alone = jpeg(pictures[number], quality[number : number + 1])
        assert torch.equal(out[number, :, :h, :w], alone[0])


def test_result_is_in_8_bits() -> None:
    out = jpeg(crops(2, 32, 32) * 1.2 - 0.1, torch.tensor([30.0, 90.0])) * 255
    torch.testing.assert_close(out, out.round(), rtol=0, atol=1e-4)
    assert 0 <= float(out.min()) <= float(out.max()) <= 255


def test_gradient_of_gray_passes_unchanged() -> None:
    """Rounding aside, JPEG is linear, and on gray changes it is the identity."""
    x = (crops(1, 32, 48) * 0.5 + 0.25).requires_grad_()
    gray = torch.randn(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    torch.autograd.backward((jpeg(x, torch.tensor([80.0])) * gray).sum())
    assert x.grad is not None
    torch.testing.assert_close(x.grad.sum(1, keepdim=True), 3 * gray, rtol=1e-4, atol=1e-4)


def test_gradient_of_colour_is_that_of_its_subsampling() -> None:
    """A colour change at one pixel is seen as the triangle filter spreads its 2x2 mean."""
    x = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    out = jpeg(x, torch.tensor([95.0]))
    chroma = out[0, 2] - (0.299 * out[0, 0] + 0.587 * out[0, 1] + 0.114 * out[0, 2])
    torch.autograd.backward(chroma[9, 9])
    assert x.grad is not None
    weights = torch.zeros(32, 32)
    taps = torch.tensor([0.75, 0.75, 0.25, 0.25]) / 2  # rows 8, 9 and 10, 11 about row 9
    weights[8:12, 8:12] = torch.outer(taps, taps)
    torch.testing.assert_close(x.grad[0, 2], weights * (1 - 0.114), rtol=0, atol=1e-5)


def test_cosine_transform_is_orthonormal() -> None:
    matrix = cosine_transform()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(64, dtype=torch.float64))
    flat = torch.ones(64, dtype=torch.float64) @ matrix
    torch.testing.assert_close(flat, torch.eye(64, dtype=torch.float64)[0] * 8)
