"""PSNR and SSIM against scikit-image; tiles against the whole picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage import metrics as reference
from skimage.color import rgb2ycbcr

from realesrgan_train.engine.validation import enlarge
from realesrgan_train.metrics import luma, picture_metrics
from realesrgan_train.networks import RRDBNet, SRVGGNetCompact

PSNR: Callable[..., float] = reference.peak_signal_noise_ratio
SSIM: Callable[..., float] = reference.structural_similarity


def test_figures_equal_scikit_image() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (40, 52, 3), dtype=np.uint8)
    b = np.clip(a.astype(int) + rng.integers(-20, 21, a.shape), 0, 255).astype(np.uint8)
    tensors = [torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255 for x in (a, b)]
    ours = picture_metrics(tensors[0], tensors[1], border=4)
    inner_a, inner_b = a[4:-4, 4:-4], b[4:-4, 4:-4]
    ya, yb = (rgb2ycbcr(x)[..., 0] for x in (inner_a, inner_b))
    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 255,
    }
    assert ours["psnr_rgb"] == pytest.approx(PSNR(inner_a, inner_b))
    assert ours["psnr_y"] == pytest.approx(PSNR(ya, yb, data_range=255))
    assert ours["ssim_y"] == pytest.approx(SSIM(ya, yb, **options))
    assert ours["ssim_rgb"] == pytest.approx(SSIM(inner_a, inner_b, channel_axis=2, **options))
    assert luma(torch.full((1, 3, 1, 1), 255.0)).item() == pytest.approx(235)


def test_equal_pictures_are_capped_and_tiny_ones_refused() -> None:
    picture = torch.rand(1, 3, 24, 24)
    assert picture_metrics(picture, picture, 2)["psnr_y"] == 100
    with pytest.raises(ValueError, match="at least 11 pixels"):
        picture_metrics(picture[..., :12], picture[..., :12], 2)


def test_tiles_equal_the_whole_picture_when_the_overlap_covers_the_view() -> None:
    torch.manual_seed(0)
    network = SRVGGNetCompact(num_feat=4, num_conv=2, upscale=3).eval()
    lq = torch.rand(1, 3, 37, 29)
    whole = enlarge(network, lq, 3)
    assert whole.shape == (1, 3, 111, 87)
    assert torch.allclose(enlarge(network, lq, 3, tile=8, overlap=4), whole, atol=1e-6)
    assert not torch.allclose(enlarge(network, lq, 3, tile=8, overlap=0), whole, atol=1e-4)


@pytest.mark.parametrize("scale", [1, 2])
def test_odd_sizes_through_pixel_unshuffle(scale: int) -> None:
    network = RRDBNet(scale=scale, num_feat=4, num_block=1, num_grow_ch=4).eval()
    lq = torch.rand(1, 3, 13, 18)
    assert enlarge(network, lq, scale).shape == (1, 3, 13 * scale, 18 * scale)
