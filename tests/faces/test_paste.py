"""Restored faces are put exactly where they were, without a border, in every kind of picture.

No network runs here: what "restores" a crop is a function whose result is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from realesrgan_vk.faces.align import CROP, TEMPLATE, Floats, Similarity, to_crop
from realesrgan_vk.faces.enhance import FaceEnhancer, Restore, crop_of
from realesrgan_vk.faces.face import Face
from realesrgan_vk.faces.paste import mask_at
from realesrgan_vk.imaging.samples import to_unit
from realesrgan_vk.options import FaceOptions, Progress

FULL = FaceOptions(strength=1)


@pytest.fixture(autouse=True)
def _without_a_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realesrgan_vk.faces.enhance.require_detector", lambda: None)


def face(degrees: float, eyes: float, centre: tuple[float, float]) -> Face:
    """A face with the template's proportions: `eyes` pixels from eye to eye, centred there."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = eyes / float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))
    points = (TEMPLATE - CROP / 2) @ (scale * turn).T + centre
    low, high = points.min(axis=0), points.max(axis=0)
    return Face((*low.tolist(), *(high - low).tolist()), 0.9, points)


def waves(width: int, height: int, scale: float) -> Floats:
    """A smooth picture of three channels, the same one at every scale."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / scale, (np.arange(height) + 0.5) / scale)
    planes = [np.sin(x / 4 + y / 9), np.cos(y / 4 - x / 30), np.sin((x - y) / 5)]
    picture: Floats = (0.5 + 0.35 * np.stack(planes, axis=-1)).astype(np.float32)
    return picture


def identity(crop: Floats, progress: Progress | None) -> Floats:
    return crop.copy()


def white(crop: Floats, progress: Progress | None) -> Floats:
    """Draws stripes, which no matching of colours takes out."""
    columns = np.arange(CROP) // 8 % 2
    stripes: Floats = np.broadcast_to(columns[None, :, None], crop.shape).astype(np.float32)
    return stripes


def enhanced(
    small: NDArray[Any], large: NDArray[Any], faces: list[Face],
    restore: Restore = identity, options: FaceOptions = FULL,
) -> NDArray[Any]:  # fmt: skip
    return FaceEnhancer(restore).enhance(small, faces, large.copy(), options)


def inside(large: NDArray[Any], small: NDArray[Any], one: Face) -> NDArray[np.bool_]:
    """Where the mask of a face is above 0."""
    height, width = large.shape[:2]
    there = to_crop(one.landmarks).of_scaled(width / small.shape[1], height / small.shape[0])
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    points = there(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(height, width, 2)
    covered: NDArray[np.bool_] = mask_at(points) > 0
    return covered


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 1.5])
@pytest.mark.parametrize("degrees", [0, 17, 40])
def test_a_restorer_that_changes_nothing_changes_nothing(degrees: float, scale: float) -> None:
    small = np.rint(waves(160, 150, 1) * 255).astype(np.uint8)
    large = np.rint(waves(round(160 * scale), round(150 * scale), scale) * 255).astype(np.uint8)
    one = face(degrees, 30, (80, 72))
    result = enhanced(small, large, [one])
    away = np.abs(result.astype(int) - large.astype(int))
    covered = inside(large, small, one)
    assert covered.any()
    assert away[~covered].max() == 0
    assert away[covered].max() <= 2


def test_half_a_pixel_would_be_seen() -> None:
    """A paste that is off by half a pixel of the result fails the test above."""
    small = np.rint(waves(160, 150, 1) * 255).astype(np.uint8)
    large = np.rint(waves(640, 600, 4) * 255).astype(np.uint8)
    one = face(0, 30, (80, 72))
    off = Face(one.box, one.score, one.landmarks + 0.5 / 4)
    moved = enhanced(small, large, [one], lambda _, __: crop_of(small, to_crop(off.landmarks)))
    assert np.abs(moved.astype(int) - large).max() > 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_only_the_mask_changes(dtype: type[Any], channels: int) -> None:
    top = 1 if dtype == np.float32 else int(np.iinfo(dtype).max)
    small = (waves(120, 110, 1)[..., :channels] * top).astype(dtype)
    large = (waves(240, 220, 2)[..., :channels] * top).astype(dtype)
    one = face(12, 25, (60, 55))
    result = enhanced(small, large, [one], white)
    covered = inside(large, small, one)
    assert result.dtype == large.dtype
    assert np.array_equal(result[~covered], large[~covered])
    assert np.abs(to_unit(result) - to_unit(large))[covered].mean() > 0.05


def test_strength_blends() -> None:
    small, large = waves(120, 110, 1), waves(240, 220, 2)
    one = face(0, 25, (60, 55))
    full = enhanced(small, large, [one], white) - large
    half = enhanced(small, large, [one], white, FaceOptions(strength=0.5)) - large
    none = enhanced(small, large, [one], white, FaceOptions(strength=0))
    assert np.array_equal(none, large)
    assert np.abs(half - full / 2).max() < 1e-6


def test_a_step_in_brightness_leaves_no_border() -> None:
    """The restorer gives a brighter face; its low frequencies are taken out, the rest fades."""
    small, large = waves(160, 150, 1), waves(640, 600, 4)

    def brighter(crop: Floats, progress: Progress | None) -> Floats:
        return crop + np.float32(0.2)

    result = enhanced(small, large, [face(20, 30, (80, 75))], brighter)
    own = max(np.abs(np.diff(large, axis=axis)).max() for axis in (0, 1))
    made = max(np.abs(np.diff(result, axis=axis)).max() for axis in (0, 1))
    assert made <= 1.02 * own
    assert np.abs(result - large).max() < 2 / 255


def test_the_mask_ends_inside_of_the_crop() -> None:
    x, y = np.meshgrid(np.arange(CROP) + 0.5, np.arange(CROP) + 0.5)
    mask = mask_at(np.stack([x, y], axis=-1))
    for border in (mask[:8], mask[-8:], mask[:, :8], mask[:, -8:]):
        assert border.max() == 0
    points = mask_at(TEMPLATE)
    assert points.min() == 1
    assert max(np.abs(np.diff(mask, axis=axis)).max() for axis in (0, 1)) < 0.05


def test_two_faces_that_overlap() -> None:
    small, large = waves(160, 150, 1), waves(320, 300, 2)
    both = [face(0, 25, (60, 75)), face(10, 30, (90, 75))]
    result = enhanced(small, large, both, white)
    alone = enhanced(small, enhanced(small, large, both[:1], white), both[1:], white)
    assert np.array_equal(result, alone)
    covered = inside(large, small, both[0]) | inside(large, small, both[1])
    assert np.array_equal(result[~covered], large[~covered])


@pytest.mark.parametrize("centre", [(0, 40), (118, 100), (60, -5), (3, 3)])
@pytest.mark.parametrize("degrees", [0, 17, 40])
def test_a_face_cut_by_the_border(degrees: float, centre: tuple[float, float]) -> None:
    """Both pictures are continued alike beyond their borders."""
    small = np.rint(waves(120, 110, 1) * 255).astype(np.uint8)
    large = np.rint(waves(480, 440, 4) * 255).astype(np.uint8)
    away = np.abs(enhanced(small, large, [face(degrees, 25, centre)]).astype(int) - large)
    assert away.max() <= 2


@pytest.mark.parametrize("degrees", [40, 45])
def test_the_corner_of_a_picture_twice_as_large(degrees: float) -> None:
    """What was continued beyond the source's outermost pixel centres does not change the corner."""
    small = np.rint(waves(120, 110, 1) * 255).astype(np.uint8)
    large = np.rint(waves(240, 220, 2) * 255).astype(np.uint8)
    away = np.abs(enhanced(small, large, [face(degrees, 25, (118, 100))]).astype(int) - large)
    assert away.max() <= 2


@pytest.mark.parametrize("degrees", [40, 45])
def test_a_corner_in_the_middle_of_a_face(degrees: float) -> None:
    """Little of the crop is in the picture, from which the colours' drift is taken."""
    small = np.rint(waves(120, 110, 1) * 255).astype(np.uint8)
    large = np.rint(waves(240, 220, 2) * 255).astype(np.uint8)
    away = np.abs(enhanced(small, large, [face(degrees, 25, (118, 100))]).astype(int) - large)
    assert away.max() <= 2


def test_a_face_outside_of_the_picture_changes_nothing() -> None:
    small, large = waves(40, 40, 1), waves(80, 80, 2)
    assert np.array_equal(enhanced(small, large, [face(0, 5, (400, -300))], white), large)


def test_a_face_of_ten_pixels() -> None:
    small = np.rint(waves(60, 50, 1) * 255).astype(np.uint8)
    large = np.rint(waves(240, 200, 4) * 255).astype(np.uint8)
    one = face(17, 5, (30, 25))
    away = np.abs(enhanced(small, large, [one]).astype(int) - large)
    assert away.max() <= 2
    assert (enhanced(small, large, [one], white) != large).any()


def test_a_face_larger_than_the_crop_keeps_its_detail() -> None:
    """Of 3000 pixels; what the crop cannot hold stays."""
    rng = np.random.default_rng(3)
    grain = rng.integers(0, 256, (3200, 3000, 1), np.uint8)
    one = face(5, 1100, (1500, 1600))
    away = np.abs(enhanced(grain, grain, [one]).astype(int) - grain)
    assert away.max() <= 1


def test_progress_and_read_only_results() -> None:
    small, large = waves(60, 50, 1), waves(120, 100, 2)
    large.flags.writeable = False
    told: list[float] = []

    def restore(crop: Floats, progress: Progress | None) -> Floats:
        assert progress is not None
        progress(1.0)
        return crop

    faces = [face(0, 12, (20, 25)), face(0, 12, (40, 25))]
    FaceEnhancer(restore).enhance(small, faces, large, FULL, told.append)
    assert told == [0.5, 1.0]


def test_the_similarity_of_a_stretched_picture() -> None:
    """The result may be stretched; positions are, too."""
    there = Similarity(np.eye(2) * 2, np.array([3.0, 4.0]))
    stretched = there.of_scaled(2, 4)
    assert np.allclose(stretched(np.array([[20.0, 40.0]])), there(np.array([[10.0, 10.0]])))
