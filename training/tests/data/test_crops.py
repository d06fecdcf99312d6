"""Crops are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from realesrgan_train.data.crops import multiscale_crop, paired_crop


def test_a_crop_is_the_shrunk_picture_or_its_reflection() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    crop = multiscale_crop(picture, 20, (1.0,), np.random.default_rng(1), flip=False)
    places = [
        (y, x)
        for y in range(31)
        for x in range(51)
        if np.array_equal(picture[y : y + 20, x : x + 20], crop)
    ]
    assert len(places) == 1
    # Half size: the window is 40 pixels, and a constant stays one.
    flat = np.full((50, 70, 3), 7, dtype=np.uint8)
    assert np.all(multiscale_crop(flat, 20, (0.5,), rng) == 7)
    small = multiscale_crop(picture[:6, :9], 20, (1 / 3,), rng, flip=False)
    assert np.array_equal(small, np.pad(picture[:6, :9], ((0, 14), (0, 11), (0, 0)), "reflect"))


def test_scales_are_used_evenly() -> None:
    """A ramp's slope tells by which factor it was shrunk."""
    ramp = np.repeat(np.arange(240, dtype=np.uint8)[None, :, None], 240, 0).repeat(3, 2)
    slopes = []
    for seed in range(300):
        crop = multiscale_crop(ramp, 40, (1.0, 0.5, 0.25), np.random.default_rng(seed), flip=False)
        row = crop[20, :, 0].astype(float)
        slopes.append(round((row[30] - row[10]) / 20))
    counts = [slopes.count(slope) for slope in (1, 2, 4)]
    assert sum(counts) == 300
    assert min(counts) > 70  # expected 100, standard deviation 8.2


@pytest.mark.parametrize("shape", [(24, 32), (10, 40), (6, 5)])
def test_paired_crops_stay_aligned(shape: tuple[int, int]) -> None:
    lq = np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8)
    gt = lq.repeat(2, 0).repeat(2, 1)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        gt_crop, lq_crop = paired_crop(gt, lq, 32, 2, rng, flip=True, rotate=True)
        assert gt_crop.shape == (32, 32, 3)
        assert np.array_equal(gt_crop, lq_crop.repeat(2, 0).repeat(2, 1))


def test_half_of_the_crops_are_mirrored_and_turned_only_when_asked() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    seen: list[str] = []
    for rotate in (False, True):
        for seed in range(400):
            rng = np.random.default_rng(seed)
            crop = multiscale_crop(picture, 20, (1.0,), rng, flip=True, rotate=rotate)
            flipped = crop.transpose(1, 0, 2)
            ways = {"as it is": crop, "turned": flipped}
            back = [name for name, way in ways.items() if np.array_equal(way, picture)]
            back += [
                f"mirrored, {name}"
                for name, way in ways.items()
                if np.array_equal(way[:, ::-1], picture)
            ]
            assert len(back) == 1
            seen.append(f"{rotate}: {back[0]}")
    counts = {way: seen.count(way) for way in set(seen)}
    assert set(counts) == {
        "False: as it is",
        "False: mirrored, as it is",
        "True: as it is",
        "True: mirrored, as it is",
        "True: turned",
        "True: mirrored, turned",
    }
    for way, count in counts.items():
        expected = 200 if way.startswith("False") else 100
        assert abs(count - expected) < 45, way  # deviations of 10 and 9; the seeds are fixed
