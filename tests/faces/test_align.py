"""Alignment: least squares as another solver finds it, and half-pixel geometry."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.transform import SimilarityTransform

from realesrgan_vk.faces.align import CROP, TEMPLATE, Similarity, to_crop, warp


def similarity(degrees: float, scale: float, shift: tuple[float, float]) -> Similarity:
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Similarity(turn, np.array(shift))


@pytest.mark.parametrize("degrees", [0, 17, 40, 90, 180, -135])
def test_landmarks_come_to_the_template(degrees: float) -> None:
    moved = similarity(degrees, 0.3, (120, -40))(TEMPLATE)
    found = to_crop(moved)
    assert np.abs(found(moved) - TEMPLATE).max() < 1e-9
    assert found.scale == pytest.approx(1 / 0.3)


def test_the_fit_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        points = similarity(rng.uniform(-180, 180), rng.uniform(0.1, 3), (50, 60))(TEMPLATE)
        points += rng.normal(0, 5, points.shape)
        other = SimilarityTransform.from_estimate(points, TEMPLATE)
        found = to_crop(points)
        expected = np.asarray(other.params)
        assert np.allclose(found.turn, expected[:2, :2], atol=1e-9)
        assert np.allclose(found.shift, expected[:2, 2], atol=1e-6)


def test_points_in_one_place_are_shifted() -> None:
    found = to_crop(np.full((5, 2), 30.0))
    assert found.scale == 1
    assert np.allclose(found(np.full((5, 2), 30.0)).mean(axis=0), TEMPLATE.mean(axis=0))


def test_the_inverse_leads_back() -> None:
    there = similarity(33, 1.7, (4, -9))
    assert np.allclose(there.inverse()(there(TEMPLATE)), TEMPLATE)


def waves(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """A smooth function of positions, as three channels."""
    x, y = points[..., 0], points[..., 1]
    channels = [np.sin(x / 17 + y / 31), np.cos(y / 23), np.sin((x - y) / 29)]
    return (0.5 + 0.4 * np.stack(channels, axis=-1)).astype(np.float32)


def centres(width: int, height: int) -> NDArray[np.float64]:
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], axis=-1)


@pytest.mark.parametrize(
    ("degrees", "scale"), [(0, 1), (0, 2), (0, 0.5), (17, 1.3), (40, 3), (-100, 0.6), (5, 0.23)]
)
def test_a_warped_picture_is_that_of_the_mapped_positions(degrees: float, scale: float) -> None:
    """Everything away from the picture's edges is right to a third of an 8-bit step."""
    pixels = waves(centres(300, 260))
    size = (120, 100)
    there = similarity(degrees, scale, (0, 0))
    there = Similarity(there.turn, np.array([60, 50]) - there.turn @ np.array([150, 130]))
    positions = there.inverse()(centres(*size).reshape(-1, 2)).reshape(100, 120, 2)
    inside = ((positions > 24) & (positions < np.array([276, 236]))).all(axis=-1)
    assert inside.any()
    error = np.abs(warp(pixels, there, size) - waves(positions))[inside]
    assert error.max() < 1 / (3 * 255)


def test_the_same_place_and_scale_is_the_same_picture() -> None:
    pixels = np.random.default_rng(1).random((CROP, CROP, 3), np.float32)
    there = Similarity(np.eye(2), np.zeros(2))
    assert np.array_equal(warp(pixels, there, (CROP, CROP)), pixels)


def test_beyond_the_picture_its_edge_goes_on() -> None:
    pixels = waves(centres(40, 30))
    there = Similarity(np.eye(2), np.array([20.0, 0.0]))
    out = warp(pixels, there, (20, 30))
    assert np.array_equal(out, np.broadcast_to(out[:, :1], out.shape))
    # The edge itself is half a pixel beyond the centres of the last pixels.
    edge = np.stack([np.zeros(30), np.arange(30) + 0.5], axis=-1)[:, None]
    assert np.abs(out[:, :1] - waves(edge)).max() < 0.01
    far = Similarity(np.eye(2), np.array([500.0, 0.0]))
    assert np.array_equal(warp(pixels, far, (20, 30)), out)


def test_fine_patterns_are_averaged_where_the_picture_shrinks() -> None:
    pixels = np.indices((200, 200)).sum(axis=0)[..., None] % 2
    out = warp(pixels.astype(np.float32), similarity(0, 0.25, (0, 0)), (50, 50))
    assert np.abs(out[5:-5, 5:-5] - 0.5).max() < 0.02


def test_a_large_result_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, there = waves(centres(60, 50)), similarity(12, 2.2, (-5, 3))
    whole = warp(pixels, there, (90, 80))
    monkeypatch.setattr("realesrgan_vk.faces.align._BAND_VALUES", 700)
    assert np.array_equal(warp(pixels, there, (90, 80)), whole)
