"""Transparency: no fringes, and no work where there is nothing to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from realesrgan_vk import Upscaler
from realesrgan_vk.imaging.alpha import bleed

Photo = Callable[..., NDArray[np.uint8]]
WIDTH, HEIGHT = 24, 16


@pytest.mark.parametrize("method", ["network", "lanczos"])
def test_no_fringe_where_a_picture_is_transparent(fast: Upscaler, method: str) -> None:
    """An orange disc whose invisible surroundings are black, laid on magenta."""
    y, x = np.mgrid[-16:16, -16:16] + 0.5
    coverage = np.clip(10.5 - np.hypot(x, y), 0, 1)
    orange, magenta = np.array([255.0, 150, 0]), np.array([255.0, 0, 255])
    image = np.zeros((32, 32, 4), np.uint8)
    image[coverage > 0, :3] = orange.astype(np.uint8)
    image[..., 3] = np.rint(coverage * 255)
    out = fast.upscale(image, alpha=method).astype(np.float64)  # type: ignore[call-overload]
    alpha = out[..., 3:] / 255
    shown = out[..., :3] * alpha + magenta * (1 - alpha)
    # Between orange and magenta every mixture has full red; black would take it away.
    assert shown[..., 0].min() > 240
    ideal = orange * alpha + magenta * (1 - alpha)
    assert np.abs(shown - ideal).max() < 16
    naive = fast.upscale(np.ascontiguousarray(image[..., :3])).astype(np.float64)
    fringe = naive * alpha + magenta * (1 - alpha)
    assert fringe[..., 0].min() < 225, "otherwise nothing was tested"


def test_opaque_and_constant_alpha_costs_no_network_run(photo: Photo, fast: Upscaler) -> None:
    rgb = photo(WIDTH, HEIGHT)
    counts = []
    for alpha in (np.full((HEIGHT, WIDTH), 255), np.full((HEIGHT, WIDTH), 77), rgb[..., 0]):
        calls: list[float] = []
        out = fast.upscale(np.dstack([rgb, alpha.astype(np.uint8)]), progress=calls.append)
        counts.append(len(calls))
        if alpha is not rgb[..., 0] and counts[-1] == counts[0]:
            assert (out[..., 3] == alpha[0, 0]).all()
    assert counts[0] == counts[1] < counts[2]


@pytest.mark.parametrize("method", ["network", "lanczos"])
@pytest.mark.parametrize(("softness", "hidden"), [(1, 8), (4, 8), (8, 4)])
def test_no_fringe_at_a_soft_edge(
    fast: Upscaler, method: str, softness: float, hidden: int
) -> None:
    """A disc whose nearly transparent pixels are black as well, laid on magenta."""
    y, x = np.mgrid[-24:24, -24:24] + 0.5
    coverage = np.clip((14 + softness - np.hypot(x, y)) / softness, 0, 1)
    orange, magenta = np.array([255.0, 150, 0]), np.array([255.0, 0, 255])
    image = np.zeros((48, 48, 4), np.uint8)
    image[..., 3] = np.rint(coverage * 255)
    image[image[..., 3] > hidden, :3] = orange.astype(np.uint8)
    assert np.any((image[..., 3] > 0) & (image[..., 0] == 0)), "otherwise nothing was tested"
    out = fast.upscale(image, alpha=method).astype(np.float64)  # type: ignore[call-overload]
    alpha = out[..., 3:] / 255
    shown = out[..., :3] * alpha + magenta * (1 - alpha)
    assert shown[..., 0].min() > 250, "black would take the red away"
    assert np.abs(shown - (orange * alpha + magenta * (1 - alpha))).max() < 5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (33, 47)])
def test_bleeding_leaves_clearly_visible_pixels_alone(size: tuple[int, int], dtype: type) -> None:
    rng = np.random.default_rng(3)
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    pixels: NDArray[Any] = (rng.random((*size, 3)) * top).astype(dtype)
    alpha: NDArray[Any] = np.where(rng.random(size) < 0.3, rng.random(size) * top, 0).astype(dtype)
    alpha.flat[0] = top
    before = pixels.copy()
    out = bleed(pixels, alpha)
    assert np.array_equal(pixels, before), "the caller's array is not changed"
    clear = alpha >= top / 2
    assert np.array_equal(out[clear], pixels[clear])
    visible = pixels[alpha > 0]
    slack = 1e-6 if dtype is np.float32 else 0
    assert (out >= visible.min(axis=0) - slack).all()
    assert (out <= visible.max(axis=0) + slack).all()


def test_an_evenly_faint_picture_keeps_its_colours(photo: Photo) -> None:
    """Glass, a shadow, a watermark: alpha is low, and yet what is there is meant."""
    rgb = photo(WIDTH, HEIGHT)
    for level in (1, 20, 128):
        ramp = level + np.arange(WIDTH) // 8
        alpha = np.broadcast_to(ramp, (HEIGHT, WIDTH)).astype(np.uint8)
        assert np.array_equal(bleed(rgb, alpha), rgb)


def test_a_hidden_pixel_takes_the_colour_of_the_clear_ones() -> None:
    pixels = np.full((9, 9, 3), 200, np.uint8)
    alpha = np.full((9, 9), 255, np.uint8)
    for level in (0, 1, 5, 40):
        pixels[4, 4], alpha[4, 4] = 0, level
        own = level / 127.5
        filled = int(bleed(pixels, alpha)[4, 4, 0])
        assert 200 * (1 - 1.5 * own) - 1 <= filled <= 200 * (1 - own) + 1
