"""The contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.data.pictures import Picture
from realesrgan_train.degradations.draw import draw
from realesrgan_train.errors import ConfigError
from realesrgan_train.preview import VARIANTS, describe, preview
from realesrgan_train.sheet import CELL
from tests.degradations.pictures import photograph


def picture(name: str) -> Picture:
    pixels: Picture = (photograph(name) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels[:120, :150]


def test_sheet_shows_original_sharpened_and_variants(tmp_path: Path) -> None:
    images = [picture("astronaut"), picture("coffee")]
    config = DegradationConfig(input_size=96, patch_size=96)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        preview(images, config, 4, tmp_path / f"{name}.png", seed)
    a, b, c = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    original = images[0][12:108, 27:123]
    # Enlarged three times, to 288 of 320 pixels; each pixel is repeated.
    assert a.shape[0] == 2 * (288 + 10 * 14 + 6)
    assert np.array_equal(a[:288, :288], original.repeat(3, 0).repeat(3, 1))
    a = a[: a.shape[0] // 2]
    width = a.shape[1] // (2 + VARIANTS)
    for number in range(1, 2 + VARIANTS):
        cell = a[:288:3, number * width : number * width + 288 : 3]
        assert not np.array_equal(cell, original)
        if number > 1:  # low resolution, enlarged by repetition
            blocks = cell.reshape(24, 4, 24, 4, 3)
            assert (blocks == blocks[:, :1, :, :1]).all()
        text = a[288:, number * width : (number + 1) * width]
        assert (text < 128).any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]


def test_description_follows_the_order_of_the_steps() -> None:
    config = DegradationConfig.preset("per-sample")
    drawn = draw(config, 200, torch.Generator().manual_seed(0))
    for sample in range(200):
        lines = describe(drawn, sample)
        assert len(lines) == 10
        assert max(len(line) for line in lines) <= 60
        assert max(ImageFont.load_default().getlength(line) for line in lines) <= CELL
        quality = [
            f"JPEG quality {d.jpeg.quality[sample]:.0f}" for d in (drawn.first, drawn.second)
        ]
        assert lines[3] == quality[0]
        early = bool(drawn.resize_before_jpeg[sample])
        assert lines[9 if early else 7] == quality[1]
        assert lines[7 if early else 8].startswith("resize to LQ")


def test_refusals(tmp_path: Path) -> None:
    some = picture("coffee")
    config, out = DegradationConfig(), tmp_path / "sheet.png"
    with pytest.raises(ConfigError, match="at least one picture"):
        preview([], config, 4, out, 0)
    with pytest.raises(ConfigError, match=r"must end in \.png"):
        preview([some], config, 4, tmp_path / "sheet.jpg", 0)
    with pytest.raises(ConfigError, match="scale must be"):
        preview([some], config, 0, out, 0)
    assert not out.exists()
