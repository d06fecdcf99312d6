"""Resizing against OpenCV and NumPy, and mixed sizes against each alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks import straightforward
from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.degradations import recipe
from realesrgan_train.degradations.extent import Extent
from realesrgan_train.degradations.resize import RESIZE_MODES, resize, resize_weights
from tests.degradations.pictures import crops, ragged


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize(("height", "width"), [(17, 23), (61, 80), (40, 52), (7, 130), (1, 1)])
def test_one_size_equals_opencv(mode: str, height: int, width: int) -> None:
    x = crops(3, 40, 52)
    index = RESIZE_MODES.index(mode)
    modes = torch.full((3,), index)
    out = resize(x, Extent.of(x), Extent((height,) * 3, (width,) * 3), modes)
    assert out.shape == (3, 3, height, width)
    for picture, found in zip(x, out, strict=True):
        array = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        expected = straightforward.resize(array, height, width, index)
        np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("times", [1, 4])
def test_mixed_sizes_and_modes_equal_each_alone(times: int) -> None:
    sizes = [(30, 41), (9, 25), (37, 8), (16, 16), (30, 12), (11, 40)]
    targets = [(12, 60), (20, 5), (37, 8), (50, 3), (2, 12), (33, 44)]
    sizes = [(times * h, times * w) for h, w in sizes]
    targets = [(times * h - times // 2, times * w - times // 2) for h, w in targets]
    pictures, canvas = ragged(sizes)
    modes = torch.tensor([0, 1, 2, 2, 0, 1])
    out = resize(
        canvas,
        Extent(tuple(h for h, _ in sizes), tuple(w for _, w in sizes)),
        Extent(tuple(h for h, _ in targets), tuple(w for _, w in targets)),
        modes,
    )
    assert out.shape == (6, 3, max(h for h, _ in targets), max(w for _, w in targets))
    for number, (h, w) in enumerate(targets):
        mode = RESIZE_MODES[int(modes[number])]
        align = None if mode == "area" else False
        alone = functional.interpolate(pictures[number], (h, w), mode=mode, align_corners=align)
        torch.testing.assert_close(out[number, :, :h, :w], alone[0], rtol=0, atol=2e-5)
        assert float(out[number, :, h:].abs().sum() + out[number, :, :, w:].abs().sum()) == 0


def test_weights_of_every_output_pixel_add_up_to_one() -> None:
    modes = torch.arange(3).repeat(3)
    sizes, targets = (9, 9, 9, 50, 50, 50, 4, 4, 4), (20, 20, 20, 7, 7, 7, 4, 4, 4)
    weights = resize_weights(sizes, targets, modes)
    assert weights.shape == (9, 20, 50)
    for number, (size, target) in enumerate(zip(sizes, targets, strict=True)):
        rows = weights[number, :target]
        torch.testing.assert_close(rows.sum(1), torch.ones(target))
        assert float(weights[number, target:].abs().sum() + rows[:, size:].abs().sum()) == 0
        if size == target:
            torch.testing.assert_close(rows[:, :size], torch.eye(size))


def test_same_size_is_the_very_picture() -> None:
    x = crops(2, 20, 20)
    assert resize(x, Extent.of(x), Extent.of(x), torch.tensor([0, 2])) is x


@pytest.mark.parametrize("mode", [1, 2])
def test_a_resize_by_factor_is_that_of_pytorch(mode: int) -> None:
    """The published training calls `interpolate(scale_factor=...)`, which steps by 1 / factor."""
    dice = np.random.default_rng(mode)
    for height, width in ((40, 57), (131, 100), (9, 200)):
        x = torch.from_numpy(dice.random((5, 3, height, width), dtype=np.float32))
        factors = torch.tensor([*dice.uniform(0.15, 1.5, 4), 1.0], dtype=torch.float64)
        modes = torch.full((5,), mode)
        full = Extent.of(x)
        target = full.scaled(factors.tolist())
        together = resize(x, full, target, modes, factors)
        for number, factor in enumerate(factors.tolist()):
            some = slice(number, number + 1)
            expected = functional.interpolate(
                x[some],
                scale_factor=factor,
                mode=RESIZE_MODES[mode],
                align_corners=False,
            )
            one = Extent.of(x[some])
            size = one.scaled([factor])
            assert size.canvas == expected.shape[-2:]
            alone = resize(x[some], one, size, modes[some], factors[some])
            torch.testing.assert_close(alone, expected, rtol=0, atol=1e-6)
            found = together[number, :, : size.heights[0], : size.widths[0]]
            torch.testing.assert_close(found, expected[0], rtol=0, atol=2e-5)


def test_area_knows_sizes_only_and_a_factor_of_one_changes_nothing() -> None:
    x = torch.rand(2, 3, 30, 41, generator=torch.Generator().manual_seed(0))
    full, half = Extent.of(x), torch.tensor([0.47, 0.47])
    target, area = full.scaled(half.tolist()), torch.tensor([0, 0])
    assert torch.equal(resize(x, full, target, area, half), resize(x, full, target, area))
    assert resize(x, full, full, torch.tensor([1, 2]), torch.ones(2)) is x


def test_the_recipe_steps_by_the_first_factor_only_where_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, made = crops(3, 96, 96), {}
    given: list[bool] = []

    def noted(*arguments: Any) -> torch.Tensor:  # noqa: ANN401 - a resize's
        given.append(len(arguments) == 5 and arguments[4] is not None)
        return resize(*arguments)

    monkeypatch.setattr(recipe, "resize", noted)
    for kind in ("size", "factor"):
        config = DegradationConfig.model_validate(
            {
                "granularity": "sample",
                "first_resize": kind,
                "first": {"resize": {"up": 0, "down": 1, "keep": 0, "modes": ("bilinear",)}},
                "patch_size": None,
            }
        )
        given.clear()
        made[kind] = recipe.Degrader(config, 2)(x, torch.Generator().manual_seed(3)).lq
        # Three resizes a group, of which the first may step by a factor.
        firsts = given[::3]
        assert all(each == (kind == "factor") for each in firsts)
        assert not any(given[1::3] + given[2::3])
    assert not torch.equal(made["size"], made["factor"])
