"""DiffJPEG, and the whole recipe with it, against the reference's formulas in plain NumPy.

The formulas are those of Shin and Song (2017) with the tables of ITU-T T.81 and JFIF's colours, as
the published networks were trained with them. Nothing of the package is used for the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from benchmarks import straightforward
from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.degradations import recipe as steps
from realesrgan_train.degradations.draw import draw
from realesrgan_train.degradations.extent import Extent
from realesrgan_train.degradations.jpeg import diffjpeg, diffjpeg_tables, jpeg
from realesrgan_train.degradations.recipe import Degrader
from realesrgan_train.degradations.usm import usm_sharpen
from tests.degradations.pictures import crops, ragged

Array = npt.NDArray[np.float64]

SIZES = [(128, 160), (61, 97), (16, 16), (9, 130), (64, 39)]
BOUND = 0.02
"""Largest mean difference of a stage, and of the chain, in 1/255: 0.2 is required, 0.0002 found."""

K1 = """
16 11 10 16  24  40  51  61
12 12 14 19  26  58  60  55
14 13 16 24  40  57  69  56
14 17 22 29  51  87  80  62
18 22 37 56  68 109 103  77
24 35 55 64  81 104 113  92
49 64 78 87 103 121 120 101
72 92 95 98 112 100 103  99
"""
K2 = """
17 18 24 47
18 21 26 66
24 26 56 99
47 66 99 99
"""


def table(text: str) -> Array:
    full = np.full((8, 8), 99.0)
    rows = np.array([line.split() for line in text.strip().splitlines()], dtype=np.float64)
    full[: len(rows), : len(rows)] = rows
    return full


def through_formulas(picture: straightforward.Picture, quality: float) -> straightforward.Picture:
    """[H, W, 3], 0..1, there and back: one picture, block by block, in 64 bits."""
    height, width = picture.shape[:2]
    rgb = np.pad(picture.astype(np.float64), ((0, -height % 16), (0, -width % 16), (0, 0))) * 255
    to_ycc = np.array(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    ycc = rgb @ to_ycc.T + np.array([0, 128, 128])
    factor = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    luma = through_blocks(ycc[..., 0], table(K1).T * factor)
    halves = (height + -height % 16) // 2, (width + -width % 16) // 2
    planes = [luma]
    for channel in (1, 2):
        mean = ycc[..., channel].reshape(halves[0], 2, halves[1], 2).mean(axis=(1, 3))
        chroma = through_blocks(mean, table(K2) * factor)
        planes.append(chroma.repeat(2, axis=0).repeat(2, axis=1))
    to_rgb = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
    back = (np.stack(planes, axis=-1) - np.array([0, 128, 128])) @ to_rgb.T
    result: straightforward.Picture = (back.clip(0, 255) / 255).astype(np.float32)
    return result[:height, :width]


def through_blocks(plane: Array, divisors: Array) -> Array:
    """Transform, quantise and transform back each block of 8x8; rows are vertical frequencies."""
    basis = np.array(
        [[math.cos((2 * x + 1) * u * math.pi / 16) / 2 for x in range(8)] for u in range(8)]
    )
    basis[0] /= math.sqrt(2)
    out = np.empty_like(plane)
    for top in range(0, plane.shape[0], 8):
        for left in range(0, plane.shape[1], 8):
            block = plane[top : top + 8, left : left + 8] - 128
            coefficients = np.round(basis @ block @ basis.T / divisors) * divisors
            out[top : top + 8, left : left + 8] = basis.T @ coefficients @ basis + 128
    return out


def as_array(picture: Tensor) -> straightforward.Picture:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def mean_difference(ours: Tensor, theirs: straightforward.Picture) -> float:
    """In 1/255, of a picture [3, H, W]."""
    return float(np.abs(as_array(ours).astype(np.float64) - theirs).mean()) * 255


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("quality", [1.0, 30.0, 37.6, 49.9, 50.0, 71.3, 95.0, 99.5])
def test_equals_the_formulas(quality: float, height: int, width: int) -> None:
    """A coefficient that lies between two steps may tip, as sums differ in the last bits."""
    x = crops(4, height, width, seed=int(quality)) * 1.004 - 0.001  # beyond 0..1 and 8 bits, too
    x = x.clamp(0, 1)
    out = diffjpeg(x, torch.full((4,), quality))
    for ours, picture in zip(out, x, strict=True):
        assert mean_difference(ours, through_formulas(as_array(picture), quality)) < 0.01


def test_is_not_libjpegs() -> None:
    """By as much as was found between the two trainings: 1.4 to 3.7 of 255 on average."""
    for quality, least in ((30.0, 2.0), (95.0, 1.0)):
        x = crops(8, 128, 160)
        qualities = torch.full((8,), quality)
        difference = float((diffjpeg(x, qualities) - jpeg(x, qualities)).abs().mean()) * 255
        assert least < difference < 5


def test_tables_are_transposed_and_not_rounded() -> None:
    found = diffjpeg_tables(torch.tensor([37.5, 90.0], dtype=torch.float64))
    for row, factor in zip(found, (50 / 37.5, 0.2), strict=True):
        assert np.allclose(row[0].view(8, 8).numpy(), table(K1).T * factor)
        assert np.allclose(row[1].view(8, 8).numpy(), table(K2) * factor)


def test_quality_100_changes_almost_nothing_but_colour_resolution() -> None:
    gray = crops(2, 32, 48).mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    out = diffjpeg(gray, torch.tensor([100.0, 100.0]))
    torch.testing.assert_close(out, gray, rtol=0, atol=1e-5)


def test_each_sample_has_its_own_quality_and_none_is_touched() -> None:
    x = crops(3, 48, 48)
    before, quality = x.clone(), torch.tensor([30.0, 62.5, 95.0])
    out = diffjpeg(x, quality)
    assert torch.equal(x, before)
    assert quality.tolist() == [30.0, 62.5, 95.0]
    for number in range(3):
        alone = diffjpeg(x[number : number + 1], quality[number : number + 1])
        assert torch.equal(out[number], alone[0])


def test_mixed_sizes_are_those_of_each_alone() -> None:
    pictures, canvas = ragged(SIZES)
    quality = torch.tensor([30.0, 50.0, 70.0, 90.0, 40.0])
    out = diffjpeg(canvas, quality, Extent(tuple(h for h, _ in SIZES), tuple(w for _, w in SIZES)))
    for number, (h, w) in enumerate(SIZES):
        alone = diffjpeg(pictures[number], quality[number : number + 1])
        torch.testing.assert_close(out[number, :, :h, :w], alone[0], rtol=0, atol=1e-6)


def test_gradient_of_gray_passes_unchanged() -> None:
    """Rounding aside, it is linear, and on gray changes it is the identity."""
    x = (crops(1, 32, 48) * 0.5 + 0.25).requires_grad_()
    gray = torch.randn(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    torch.autograd.backward((diffjpeg(x, torch.tensor([80.0])) * gray).sum())
    assert x.grad is not None
    torch.testing.assert_close(x.grad.sum(1, keepdim=True), 3 * gray, rtol=1e-4, atol=1e-4)


class Recorder:
    """Runs a stage of the package and keeps what it was given and what it made of it."""

    def __init__(self, stage: Callable[..., Tensor]) -> None:
        self.stage = stage
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, *arguments: Any) -> Tensor:  # noqa: ANN401 - any stage's
        before = x.clone()
        result = self.stage(x, *arguments)
        if result is not x:  # a resize to the same size leaves its input
            self.calls.append((before, result.clone()))
        return result


RECORDED = ("usm_sharpen", "filter2d", "resize", "diffjpeg", "gaussian_noise", "poisson_noise")


def stage_by_stage(
    picture: Tensor, scale: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[float]]:
    """Mean differences in 1/255 of each stage, on what it was given here, and of the chain.

    The noise fields are drawn on the device and count as drawn: the NumPy chain adds those.
    """
    config = DegradationConfig(jpeg="diffjpeg", patch_size=None)
    drawn = draw(config, 1, torch.Generator().manual_seed(seed))
    recorders = {name: Recorder(getattr(steps, name)) for name in RECORDED}
    fields: list[Tensor] = []

    def noted(stage: Recorder) -> Callable[..., Tensor]:
        def noise(x: Tensor, *arguments: Any) -> Tensor:  # noqa: ANN401 - any noise's
            field = stage(x, *arguments)
            fields.append(field.clone())
            return field

        return noise

    with monkeypatch.context() as patch:
        for name, recorder in recorders.items():
            is_noise = name.endswith("noise")
            patch.setattr(steps, name, noted(recorder) if is_noise else recorder)
        lq = Degrader(config, scale).apply_drawn(picture[None], drawn).lq[0]

    found: dict[str, list[float]] = {"usm": [], "blur": [], "resize": [], "jpeg": [], "chain": []}

    def compare(name: str, recorder: str, theirs: Callable[..., Any]) -> Callable[..., Any]:
        """The straightforward stage, which is also run on the input that the package's had."""
        calls = iter(recorders[recorder].calls)

        def run(x: straightforward.Picture, *arguments: Any) -> Any:  # noqa: ANN401 - any stage's
            result = theirs(x, *arguments)
            if result is not x:  # a stage that was not drawn leaves its input
                before, after = next(calls)
                found[name].append(
                    mean_difference(after[0], theirs(as_array(before[0]), *arguments))
                )
            return result

        return run

    def add_field(x: straightforward.Picture, *_: object) -> straightforward.Picture:
        field = as_array(fields.pop(0).expand(1, 3, -1, -1)[0])
        noisy: straightforward.Picture = np.clip(x + field, 0, 1)
        return noisy

    with monkeypatch.context() as patch:
        patch.setattr(straightforward, "usm", compare("usm", "usm_sharpen", straightforward.usm))
        patch.setattr(straightforward, "blur", compare("blur", "filter2d", straightforward.blur))
        patch.setattr(
            straightforward, "resize", compare("resize", "resize", straightforward.resize)
        )
        patch.setattr(straightforward, "jpeg", compare("jpeg", "diffjpeg", clamped_formulas))
        patch.setattr(straightforward, "noise", add_field)
        rng = np.random.default_rng(0)
        theirs = straightforward.degrade(as_array(picture), drawn, 0, scale, rng)
    assert not fields
    found["chain"].append(mean_difference(lq, theirs))
    return found


def clamped_formulas(picture: straightforward.Picture, quality: float) -> straightforward.Picture:
    return through_formulas(np.clip(picture, 0, 1), quality)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_every_stage_and_the_whole_chain(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, list[float]] = {}
    for seed in range(12):
        picture = crops(4, 112, 144, seed)[seed % 4]
        for name, values in stage_by_stage(picture, scale, seed, monkeypatch).items():
            found.setdefault(name, []).extend(values)
    counts = {name: len(values) for name, values in found.items()}
    assert counts["usm"] == counts["chain"] == 12
    assert counts["jpeg"] == 24
    assert counts["blur"] >= 24
    assert counts["resize"] >= 20
    for name, values in found.items():
        assert max(values) < BOUND, (name, values)


def test_the_recipe_takes_the_configured_jpeg() -> None:
    x, seen = crops(2, 96, 96), {}
    for kind in ("libjpeg", "diffjpeg"):
        config = DegradationConfig.model_validate({"jpeg": kind, "patch_size": None})
        generator = torch.Generator().manual_seed(1)
        seen[kind] = Degrader(config, 2)(x, generator).lq
    assert not torch.equal(seen["libjpeg"], seen["diffjpeg"])
    default = Degrader(DegradationConfig(patch_size=None), 2)
    assert torch.equal(seen["libjpeg"], default(x, torch.Generator().manual_seed(1)).lq)


def test_targets_as_published_are_sharpened_after_the_crop() -> None:
    x, made = crops(3, 160, 160), {}
    for target in ("picture", "patch"):
        config = DegradationConfig.model_validate(
            {"input_size": 160, "patch_size": 96, "usm": {"target": target}}
        )
        made[target] = Degrader(config, 4)(x, torch.Generator().manual_seed(2))
    assert torch.equal(made["picture"].lq, made["patch"].lq)
    assert torch.equal(made["picture"].gt, made["patch"].gt)
    assert torch.equal(made["patch"].gt_usm, usm_sharpen(made["patch"].gt))
    assert not torch.equal(made["picture"].gt_usm, made["patch"].gt_usm)
