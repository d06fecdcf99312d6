"""The whole recipe against an independent implementation, and its promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from benchmarks import straightforward
from realesrgan_train.config.degradation import DegradationConfig, PresetName
from realesrgan_train.degradations import recipe as steps
from realesrgan_train.degradations.draw import DrawnParameters, draw
from realesrgan_train.degradations.recipe import Degrader, degrade
from tests.degradations.pictures import crops

NOISELESS = {"noise": {"probability": 0}}
NO_NOISE: dict[str, Any] = {"first": NOISELESS, "second": NOISELESS}
JPEGLESS = {"jpeg_probability": 0}
NO_JPEG: dict[str, Any] = {"first": JPEGLESS, "second": JPEGLESS}
NO_NOISE_NO_JPEG: dict[str, Any] = dict.fromkeys(NO_JPEG, NOISELESS | JPEGLESS)
PRESETS: list[PresetName] = ["paper", "per-sample"]


def config(preset: PresetName, **change: object) -> DegradationConfig:
    base = DegradationConfig.preset(preset).model_dump()
    for name, value in change.items():
        base[name] = merged(base[name], value)
    return DegradationConfig.model_validate(base)


def merged(base: object, change: object) -> object:
    if isinstance(base, dict) and isinstance(change, dict):
        return base | {key: merged(base[key], value) for key, value in change.items()}
    return change


def distances(preset: PresetName, scale: int, *, with_jpeg: bool) -> npt.NDArray[np.float64]:
    """Differences in 1/255 from the straightforward way, noise off: one row a picture."""
    change = NO_NOISE if with_jpeg else NO_NOISE_NO_JPEG
    recipe = config(preset, patch_size=None, **change)
    degrader, rng = Degrader(recipe, scale), np.random.default_rng(0)
    rows = []
    for seed in range(4):
        x = crops(6, 96, 128, seed)
        drawn = draw(recipe, 6, torch.Generator().manual_seed(seed))
        for order in (drawn.first, drawn.second):
            order.jpeg.quality.round_()  # Pillow takes whole qualities only
        lq = degrader.apply_drawn(x, drawn).lq
        assert lq.shape == (6, 3, 96 // scale, 128 // scale)
        for i in range(6):
            array = np.ascontiguousarray(x[i].permute(1, 2, 0).numpy())
            expected = straightforward.degrade(array, drawn, i, scale, rng)
            rows.append((lq[i].permute(1, 2, 0).numpy() - expected).flatten() * 255)
            assert np.abs(expected - array[::scale, ::scale]).mean() * 255 > 1  # does something
    return np.abs(np.stack(rows)).astype(np.float64)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_blurs_and_resizes_equal_the_straightforward_way(preset: PresetName, scale: int) -> None:
    """Against SciPy's and OpenCV's, rounding to 8 bits included."""
    found = distances(preset, scale, with_jpeg=False).round()
    assert found.max() <= 1
    assert (found == 0).mean() > 0.999


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_all_but_noise_equals_the_straightforward_way(preset: PresetName, scale: int) -> None:
    """With both JPEGs of libjpeg, of which each may be off by 1/255 in the mean."""
    found = distances(preset, scale, with_jpeg=True).mean(axis=1)
    assert found.mean() < 1
    assert np.median(found) < 0.8


@pytest.mark.parametrize("preset", PRESETS)
def test_noise_has_the_strength_of_the_straightforward_way(preset: PresetName) -> None:
    """The pictures differ where the noise does; their distance from the noiseless ones agrees."""
    recipe = config(preset, patch_size=None, **NO_JPEG)
    rng, ours, theirs = np.random.default_rng(0), [], []
    for seed in range(6):
        x = crops(8, 64, 64, seed)
        drawn = draw(recipe, 8, torch.Generator().manual_seed(seed))
        for order in (drawn.first, drawn.second):
            order.noise.sigma.clamp_(max=10)  # clamping to 0..1 aside
        lq = degrade(x, drawn, 2)
        for order in (drawn.first, drawn.second):
            object.__setattr__(order.noise, "applied", torch.zeros(8, dtype=torch.bool))
        clean = degrade(x, drawn, 2)
        for order in (drawn.first, drawn.second):
            object.__setattr__(order.noise, "applied", torch.ones(8, dtype=torch.bool))
        ours += (lq - clean).square().mean(dim=(1, 2, 3)).sqrt().tolist()
        for i in range(8):
            array = np.ascontiguousarray(x[i].permute(1, 2, 0).numpy())
            noisy = degrade_unsharpened(array, drawn, i, rng)
            difference = noisy - clean[i].permute(1, 2, 0).numpy()
            theirs.append(float(np.sqrt((difference**2).mean())))
    ratio = np.array(ours) / np.array(theirs)
    assert abs(np.median(ratio) - 1) < 0.03
    assert np.percentile(np.abs(ratio - 1), 90) < 0.15


def degrade_unsharpened(
    array: straightforward.Picture, drawn: DrawnParameters, i: int, rng: np.random.Generator
) -> straightforward.Picture:
    sharpen = straightforward.usm
    straightforward.usm = lambda picture: picture
    try:
        return straightforward.degrade(array, drawn, i, 2, rng)
    finally:
        straightforward.usm = sharpen


def test_samples_of_a_batch_do_not_touch_each_other() -> None:
    recipe = config("per-sample", patch_size=None, **NO_NOISE)
    degrader, x = Degrader(recipe, 4), crops(7, 96, 96)
    drawn = draw(recipe, 7, torch.Generator().manual_seed(0))
    together = degrader.apply_drawn(x, drawn).lq
    distances = []
    for i in range(7):
        alone = degrader.apply_drawn(x[i : i + 1], drawn.select(torch.tensor([i]))).lq[0]
        distances.append(float((alone - together[i]).abs().mean()) * 255)
    # Sums in another order may tip a JPEG coefficient here and there, nothing more.
    assert np.median(distances) == 0
    assert max(distances) < 0.5


@pytest.mark.parametrize("preset", PRESETS)
def test_the_whole_batch_as_on_a_gpu_equals_the_groups_of_the_cpu(
    preset: PresetName, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = config(preset, patch_size=None, **NO_NOISE_NO_JPEG)
    degrader, x = Degrader(recipe, 4), crops(7, 96, 96)
    for seed in range(4):
        drawn = draw(recipe, 7, torch.Generator().manual_seed(seed))
        grouped = degrader.apply_drawn(x, drawn).lq
        with monkeypatch.context() as patch:
            patch.setattr(steps, "same_sizes", lambda _: [list(range(7))])
            whole = degrader.apply_drawn(x, drawn).lq
        found = ((grouped - whole).abs() * 255).round()
        assert found.max() <= 1
        assert (found == 0).double().mean() > 0.999


def test_groups_are_of_one_size_and_hold_every_sample_once() -> None:
    drawn = draw(DegradationConfig(), 11, torch.Generator().manual_seed(0))
    assert steps.same_sizes(drawn) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    drawn = draw(DegradationConfig.preset("per-sample"), 200, torch.Generator().manual_seed(0))
    groups = steps.same_sizes(drawn)
    assert sorted(sample for group in groups for sample in group) == list(range(200))
    assert any(len(group) > 1 for group in groups)  # kept both times: 0.1 x 0.3
    for group in groups:
        for order in (drawn.first, drawn.second):
            assert len({float(order.resize.factor[i]) for i in group}) == 1


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_shapes_range_and_8_bits(preset: PresetName, scale: int) -> None:
    degrader = Degrader(config(preset, input_size=120, patch_size=48), scale)
    for seed in range(4):
        x = crops(5, 120, 132, seed)
        before = x.clone()
        batch = degrader(x, torch.Generator().manual_seed(seed))
        assert torch.equal(x, before)
        assert batch.lq.shape == (5, 3, 48 // scale, 48 // scale)
        assert batch.gt.shape == batch.gt_usm.shape == (5, 3, 48, 48)
        for picture in batch:
            assert picture.dtype == torch.float32
            assert 0 <= float(picture.min()) <= float(picture.max()) <= 1
        in_steps = batch.lq * 255
        torch.testing.assert_close(in_steps, in_steps.round(), rtol=0, atol=1e-4)


def test_patches_are_cut_at_the_same_place() -> None:
    """With everything switched off LQ is the picture itself, so the patches must agree."""
    off = {
        "blur_probability": 0,
        "resize": {"up": 0, "down": 0, "keep": 1},
        "noise": {"probability": 0},
        "jpeg_probability": 0,
    }
    recipe = config(
        "per-sample",
        input_size=64,
        patch_size=32,
        first=off,
        second=off,
        final_sinc={"probability": 0},
        usm={"weight": 0},
    )
    x = (crops(64, 64, 72) * 255).round() / 255
    lq, gt, gt_usm = Degrader(recipe, 1)(x, torch.Generator().manual_seed(0))
    torch.testing.assert_close(lq, gt, rtol=0, atol=1e-6)
    torch.testing.assert_close(gt_usm, gt, rtol=0, atol=1e-6)
    places = {where(x[i], gt[i]) for i in range(64)}
    assert len(places) > 55  # each sample has its own place
    assert max(top for top, _ in places) > 28
    assert max(left for _, left in places) > 34


def where(picture: Tensor, patch: Tensor) -> tuple[int, int]:
    windows = picture.unfold(1, 32, 1).unfold(2, 32, 1)
    same = (windows == patch[:, None, None]).all(-1).all(-1).all(0)
    top, left = same.nonzero()[0].tolist()
    return top, left


@pytest.mark.parametrize("preset", PRESETS)
def test_generator_alone_decides(preset: PresetName) -> None:
    degrader, x = Degrader(config(preset, patch_size=64, input_size=96), 4), crops(6, 96, 96)
    first = degrader(x, torch.Generator().manual_seed(3))
    torch.rand(5)  # the global generator plays no part
    again = degrader(x, torch.Generator().manual_seed(3))
    other = degrader(x, torch.Generator().manual_seed(4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.lq, other.lq)


def test_tiny_pictures_survive() -> None:
    degrader = Degrader(config("per-sample", input_size=16, patch_size=16), 4)
    for seed in range(10):
        batch = degrader(crops(4, 16, 16, seed), torch.Generator().manual_seed(seed))
        assert bool(batch.lq.isfinite().all())


def test_autocast_changes_nothing() -> None:
    degrader, x = Degrader(config("paper", patch_size=64, input_size=96), 4), crops(2, 96, 96)
    plain = degrader(x, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        cast = degrader(x, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(plain, cast, strict=True))


def test_wrong_batches_are_refused() -> None:
    degrader, generator = (
        Degrader(config("paper", patch_size=64, input_size=64), 4),
        torch.Generator(),
    )
    for x, message in (
        (torch.zeros(3, 64, 64), "needs float32"),
        (torch.zeros(1, 2, 64, 64), "needs float32"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.float64), "got torch.float64"),
        (torch.zeros(1, 3, 66, 64), "66x64 pixels are not a multiple of the scale 4"),
        (torch.zeros(1, 3, 32, 64), "32x64 pixels cannot hold a patch of 64"),
    ):
        with pytest.raises(ValueError, match=message):
            degrader(x, generator)
    with pytest.raises(ValueError, match="patch_size 64 is not a multiple of the scale 3"):
        Degrader(config("paper", patch_size=64), 3)
    with pytest.raises(ValueError, match="scale must be at least 1"):
        Degrader(config("paper"), 0)
