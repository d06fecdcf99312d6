"""The tile path of the core against PyPI's ncnn, on real photographs."""

from collections.abc import Callable

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from core_oracle import FILES, Picture, load, oracle, run, seams, steps

from realesrgan_vk import _core

Photo = Callable[..., Picture]
SIZE = (96, 80)


def sized(*, smaller: dict[str, tuple[int, int]]) -> list[ParameterSet]:
    """Every network with a picture's size.

    That is `SIZE`; networks that take minutes there get a smaller one, and `SIZE` only among the
    slow tests (`make test-python-slow`).
    """
    quick = [pytest.param(name, smaller.get(name, SIZE), id=name) for name in FILES]
    whole = [
        pytest.param(name, SIZE, id=f"{name}-full", marks=pytest.mark.slow) for name in smaller
    ]
    return [*quick, *whole]


@pytest.fixture(scope="module")
def vulkan() -> int:
    """The first Vulkan device's index."""
    devices = _core.list_devices()
    if not devices:
        pytest.skip("no Vulkan device: no loader (libvulkan.so.1) or no driver is installed")
    return devices[0].index


@pytest.mark.parametrize("network", FILES)
def test_the_whole_picture_on_the_cpu_is_the_oracles(network: str, photo: Photo) -> None:
    picture = photo(*SIZE)
    result = run(load(network, tile=_core.TILE_WHOLE), picture)
    assert np.abs(result - oracle(network, picture)).max() <= 1e-4


@pytest.mark.parametrize(
    ("network", "size"), sized(smaller={"x4plus": (32, 24), "x4plus-anime": (48, 40)})
)
def test_the_whole_picture_on_vulkan_is_the_oracles(
    network: str, size: tuple[int, int], photo: Photo, vulkan: int
) -> None:
    picture = photo(*size)
    result = run(load(network, tile=_core.TILE_WHOLE, device=vulkan), picture)
    assert np.abs(result - oracle(network, picture)).max() <= 1e-4


# Where lavapipe converts halves in software, x4plus takes a quarter of an hour at full size.
@pytest.mark.parametrize(
    ("network", "size"), sized(smaller={"x4plus": (24, 16), "x4plus-anime": (32, 24)})
)
def test_16_bit_storage_is_within_2_steps_of_the_oracle(
    network: str, size: tuple[int, int], photo: Photo, vulkan: int
) -> None:
    if not _core.list_devices()[vulkan].fp16_storage:
        pytest.skip("the first Vulkan device has no 16-bit storage")
    picture = photo(*size)
    result = run(load(network, tile=_core.TILE_WHOLE, device=vulkan, fp16=True), picture)
    assert steps(result, oracle(network, picture)).max() <= 2


@pytest.mark.parametrize(
    "network",
    [pytest.param(n, marks=pytest.mark.slow) if n == "x4plus" else n for n in FILES],
)
def test_tiles_are_close_to_the_whole_picture_and_leave_no_grid(network: str, photo: Photo) -> None:
    picture = photo(192, 160)
    whole = run(load(network, tile=_core.TILE_WHOLE), picture)
    tiled = run(load(network, tile=64), picture)
    assert steps(tiled, whole).max() <= 4
    difference = tiled.astype(np.float64) - whole
    scale = whole.shape[1] // 192
    if np.abs(difference).max() > 1e-5:  # otherwise there is nothing that could show
        assert seams(difference, [64 * scale, 128 * scale]) < 1.5
        rows = [160 // 3 * scale, 320 // 3 * scale]
        assert seams(difference.transpose(1, 0, 2), rows) < 1.5


def test_the_plan_tells_how_much_of_the_field_tiles_read() -> None:
    field = load("x4plus", tile=64).network.receptive_field
    cut = load("x4plus", tile=64).plan(200, 100)["reason"]
    assert f"tiles read 64 pixels around, of the {field}" in cut
    assert "around" not in load("x4plus", tile=_core.TILE_WHOLE).plan(200, 100)["reason"]
    assert "around" not in load("animevideov3", tile=64).plan(200, 100)["reason"]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 3)])
def test_tiny_and_narrow_pictures(size: tuple[int, int], photo: Photo) -> None:
    picture = np.ascontiguousarray(np.resize(photo(64, 64), (size[1], size[0], 3)))
    want = oracle("animevideov3", picture)
    for tile in (_core.TILE_WHOLE, 32):
        result = run(load("animevideov3", tile=tile), picture)
        assert np.abs(result - want).max() <= 1e-4
