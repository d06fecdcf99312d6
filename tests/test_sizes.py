"""Asked sizes, and how the network and the final resampling reach them."""

import numpy as np
import pytest
from PIL import Image

from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.resample import resize
from realesrgan_vk.imaging.samples import linear_to_srgb, srgb_to_linear
from realesrgan_vk.options import FILTERS, TargetSize
from realesrgan_vk.processing.processor import PassCount


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (TargetSize(), (400, 268)),
        (TargetSize(scale=2.5), (250, 168)),
        (TargetSize(scale=0.001), (1, 1)),
        (TargetSize(width=50), (50, 34)),
        (TargetSize(height=134), (200, 134)),
        (TargetSize(width=7, height=9), (7, 9)),
        (TargetSize(long_edge=1000), (1000, 670)),
    ],
)
def test_the_size_asked_for(size: TargetSize, expected: tuple[int, int]) -> None:
    assert size.of(100, 67, 4) == expected


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scale": 0}, ValueError, "scale is 0; it must be above 0 and at most 256"),
        ({"scale": -1.0}, ValueError, "scale is -1.0"),
        ({"scale": float("nan")}, ValueError, "scale is nan"),
        ({"scale": "2"}, TypeError, "scale must be a number above 0 and at most 256, not str"),
        ({"width": 0}, ValueError, "width is 0; it must be from 1 to"),
        ({"height": 1 << 25}, ValueError, "height is 33554432"),
        ({"long_edge": 2.5}, TypeError, "long_edge must be a whole number of pixels, not float"),
        ({"scale": 2, "width": 10}, ValueError, "give only one of"),
        ({"long_edge": 20, "height": 10}, ValueError, "give only one of"),
    ],
)
def test_a_wrong_size(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TargetSize(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "scale", "runs", "work"),
    [
        ((400, 268), 4, 1, 6700),
        ((10, 7), 4, 1, 6700),
        ((401, 268), 4, 2, 6700 * 17),
        ((800, 536), 4, 2, 6700 * 17),
        ((800, 536), 2, 3, 6700 * 21),
        ((800, 536), 1, 1, 6700),
    ],
)
def test_the_network_runs_as_often_as_the_size_needs(
    target: tuple[int, int], scale: int, runs: int, work: int
) -> None:
    plan = PassCount.to(100, 67, target, scale)
    assert (plan.runs, plan.work) == (runs, work)


@pytest.mark.parametrize("kernel", FILTERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_resizing_keeps_flat_areas_type_and_range(kernel: str, dtype: type) -> None:
    top = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    pixels: Pixels = np.full((9, 13, 3), 0.25 * top).astype(dtype)
    pixels[:, 6:] = top  # an edge, where filters overshoot
    for light in ("gamma", "linear"):
        out = resize(pixels, (26, 5), light, kernel)  # type: ignore[arg-type]
        assert out.shape == (5, 26, 3)
        assert out.dtype == dtype
        assert top * (1 - 1e-6) <= float(out.max()) <= top
        assert np.allclose(out[:, 0], pixels[0, 0], atol=2e-6 if dtype is np.float32 else 1)


def test_lanczos_is_pillows_and_linear_light_is_brighter_on_fine_detail() -> None:
    stripes = np.zeros((16, 16, 1), np.uint8)
    stripes[::2] = 255
    gamma = resize(stripes, (8, 8))
    expected = Image.fromarray(stripes[..., 0]).resize((8, 8), Image.Resampling.LANCZOS)
    assert np.array_equal(gamma[..., 0], np.asarray(expected))
    linear = resize(stripes, (8, 8), "linear")
    # The mean of black and white light is encoded as 188, not as 128.
    assert abs(int(linear[4, 4, 0]) - 188) <= 2
    assert abs(int(gamma[4, 4, 0]) - 128) <= 2


def test_the_srgb_curve_inverts_itself() -> None:
    x = np.linspace(0, 1, 1000, dtype=np.float32)
    assert np.abs(linear_to_srgb(srgb_to_linear(x)) - x).max() < 1e-6
    assert abs(float(srgb_to_linear(np.array([0.5], np.float32))[0]) - 0.21404) < 1e-5
