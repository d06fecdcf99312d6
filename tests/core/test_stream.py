"""The row stream on the CPU: the picture stock ncnn gives whole, at any band and any memory."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import ncnn
import numpy as np
import pytest
from numpy.typing import NDArray

from realesrgan_vk import _core
from realesrgan_vk.models import find_model

Photo = Callable[..., NDArray[np.uint8]]
Picture = NDArray[np.float32]

FAST = "realesr-animevideov3"
OFFICIAL = [FAST, f"{FAST}-x2", f"{FAST}-x3", "realesrgan-x4plus-anime", "realesrgan-x4plus"]


def load(name: str, *, memory_limit: int = 0, band: int = 0) -> _core.Upscaler:
    model = find_model(name)
    return _core.Upscaler(
        str(model.param),
        str(model.bin),
        threads=2,
        memory_limit=memory_limit,
        band=band,
    )


def run(upscaler: _core.Upscaler, image: NDArray[np.uint8]) -> Picture:
    scale = upscaler.network.scale
    height, width = image.shape[:2]
    output = np.zeros((height * scale, width * scale, 3), np.float32)
    upscaler.run(image, output)
    return output


def to_8_bits(picture: Picture) -> NDArray[np.int16]:
    return (picture * 255 + 0.5).astype(np.int16)


def stock(param: Path, weights: Path, image: NDArray[np.uint8]) -> Picture:
    """The whole picture through PyPI's ncnn in fp32, which shares nothing with the stream."""
    net = ncnn.Net()
    net.opt.num_threads = 2
    net.opt.use_vulkan_compute = False
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(weights)) == 0
    planes = np.ascontiguousarray(image.transpose(2, 0, 1).astype(np.float32) / 255)
    source = ncnn.Mat(planes)
    extractor = net.create_extractor()
    extractor.input("data", source)
    code, result = extractor.extract("output")
    assert code == 0
    picture: Picture = np.array(result).transpose(1, 2, 0).clip(0, 1).astype(np.float32)
    del extractor, result  # before the net whose memory they use
    return picture


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_network_gives_the_whole_pictures_result(photo: Photo, name: str) -> None:
    size = (48, 32) if "x4plus" in name else (96, 80)
    image = photo(*size)
    upscaler = load(name)
    model = find_model(name)
    expected = stock(Path(model.param), Path(model.bin), image)
    result = run(upscaler, image)
    assert np.abs(result - expected).max() <= 1e-4
    eight = np.zeros(result.shape, np.uint8)
    upscaler.run(image, eight)
    steps = np.abs(eight.astype(np.int16) - to_8_bits(expected))
    assert steps.max() <= 1
    assert (steps == 0).mean() >= 0.999
    plan = upscaler.plan(*size)
    assert (plan["path"], plan["column_tiles"]) == ("stream", 1)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (500, 1), (1, 500), (3, 7), (300, 2000)])
def test_any_size(photo: Photo, width: int, height: int) -> None:
    image = np.resize(photo(200, 200), (height, width, 3))
    model = find_model(FAST)
    result = run(load(FAST), image)
    if height < 2000:
        expected = stock(Path(model.param), Path(model.bin), image)
    else:  # its last rows: the receptive field of 18 rows sees no more of the picture
        tail = image[-120:]
        expected = stock(Path(model.param), Path(model.bin), tail)[100 * 4 :]
        result = result[-20 * 4 :]
    assert np.abs(result - expected).max() <= 1e-4


@pytest.mark.parametrize("name", [FAST, f"{FAST}-x3", "realesrgan-x4plus-anime"])
def test_the_band_does_not_matter(photo: Photo, name: str) -> None:
    image = photo(40, 33)
    results = [run(load(name, band=band), image) for band in (1, 7, 16, 500)]
    for one, other in pairwise(results):
        assert np.abs(one - other).max() <= 5e-5


def in_strips(name: str, width: int, height: int) -> tuple[_core.Upscaler, int]:
    """Bands of 8 rows with a limit a byte too small for the whole width, and that limit."""

    def total(limit: int) -> int:
        upscaler = load(name, band=8, memory_limit=limit)
        return upscaler.plan(width, height)["memory_bytes"]["total"]

    limit = total(total(0)) - 1  # a limit this tight makes the weights lean first
    return load(name, band=8, memory_limit=limit), limit


@pytest.mark.parametrize(
    ("name", "halo"), [("realesrgan-x4plus-anime", 94), ("realesrgan-x4plus", 64)]
)
def test_strips_of_a_tiny_budget_are_at_most_three_steps_off(
    photo: Photo, name: str, halo: int
) -> None:
    width, height = 320, 16
    image = photo(width, height)
    upscaler, limit = in_strips(name, width, height)
    plan = upscaler.plan(width, height)
    assert plan["column_tiles"] > 1
    assert plan["halo"] == halo <= upscaler.network.receptive_field
    assert "memory" in plan["reason"]
    assert plan["memory_bytes"]["total"] <= limit
    whole = to_8_bits(run(load(name), image))
    assert np.abs(to_8_bits(run(upscaler, image)) - whole).max() <= 3


def test_memory_does_not_grow_with_the_height(photo: Photo) -> None:
    upscaler = load(FAST)
    totals = {upscaler.plan(512, height)["memory_bytes"]["total"] for height in (512, 5000, 90000)}
    assert len(totals) == 1


def test_a_tighter_limit_gives_a_smaller_band_that_keeps_to_it() -> None:
    free = load(FAST).plan(512, 512)
    limit = free["memory_bytes"]["total"] - 2_000_000
    tight = load(FAST, memory_limit=limit).plan(512, 512)
    assert tight["band_rows"] < free["band_rows"] or (
        tight["memory_bytes"]["weights"] < free["memory_bytes"]["weights"]
    )
    assert tight["memory_bytes"]["total"] <= limit
    kinds = {kind: size for kind, size in tight["memory_bytes"].items() if kind != "total"}
    assert sum(kinds.values()) == tight["memory_bytes"]["total"]
