"""The public API and the commands on the first Vulkan device, by the row stream and in tiles."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import drop_in
import numpy as np
import pytest
from compact_network import write_compact
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import DeviceInfo, Upscaler, list_devices

FAST_MODEL = "realesr-animevideov3"
Photo = Callable[..., NDArray[np.uint8]]
Tile = int | str
PATHS: dict[Tile, str] = {"auto": "stream", 32: "tiles", "whole": "tiles"}


@pytest.fixture(scope="module", autouse=True)
def device() -> DeviceInfo:
    """The first device; without one all of these tests are skipped."""
    devices = list_devices()
    if not devices:
        pytest.skip("no Vulkan device: no loader (libvulkan.so.1) or no driver is installed")
    return devices[0]


def load(tile: Tile = "auto", model: str | Path = FAST_MODEL, **options: object) -> Upscaler:
    return Upscaler(model, device=0, tile=tile, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of scale 2 that a software driver runs in no time."""
    return write_compact(tmp_path_factory.mktemp("network"), "small")


@pytest.fixture(scope="module")
def on_cpu(small: Path) -> Upscaler:
    return Upscaler(small, device="cpu", threads=1)


@pytest.fixture(scope="module", params=PATHS)
def upscaler(request: pytest.FixtureRequest, small: Path) -> Upscaler:
    """The small network by every path."""
    loaded = load(request.param, small)
    assert loaded.device == 0
    assert loaded.plan((90, 70)).path == PATHS[request.param]
    return loaded


def steps(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    """The largest difference of two 8-bit pictures."""
    return int(np.abs(a.astype(int) - b).max())


def test_precision_follows_the_device_or_the_caller(
    device: DeviceInfo, photo: Photo, small: Path, on_cpu: Upscaler
) -> None:
    picture = photo(40, 34)
    expected = on_cpu.upscale(picture)
    for tile in PATHS:
        assert load(tile, small).fp16 == device.fp16_storage
        exact = load(tile, small, precision="fp32")
        assert not exact.fp16
        assert steps(exact.upscale(picture), expected) <= 1
        if device.fp16_storage:
            half = load(tile, small, precision="fp16")
            assert half.fp16
            assert steps(half.upscale(picture), expected) <= 2


def test_a_device_is_found_by_its_name_and_by_its_number(device: DeviceInfo, small: Path) -> None:
    for name in (device.name, device.name.upper(), "vulkan:0", "0"):
        assert Upscaler(small, device=name).device == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 3)])
def test_tiny_and_narrow_pictures(
    upscaler: Upscaler, on_cpu: Upscaler, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = upscaler.upscale(image)
    assert out.shape == (2 * size[0], 2 * size[1], 3)
    assert steps(out, on_cpu.upscale(image)) <= 2


def test_every_kind_of_array_and_picture(upscaler: Upscaler, photo: Photo) -> None:
    picture = photo(24, 20)
    expected = upscaler.upscale(picture)
    large = upscaler.upscale(Image.fromarray(picture))
    assert np.array_equal(np.asarray(large), expected)
    floats = upscaler.upscale((picture / 255).astype(np.float32))
    assert np.abs(floats * 255 - expected).max() <= 0.51
    planar = np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert np.array_equal(upscaler.upscale(planar), expected)
    rgba = np.dstack([picture, picture[..., 0]])
    assert upscaler.upscale(rgba, scale=2.5).shape == (50, 60, 4)
    assert upscaler.upscale(picture[..., 0]).shape == (40, 48)


def test_a_callback_that_raises_stops_the_run(upscaler: Upscaler, photo: Photo) -> None:
    fractions: list[float] = []

    def stop(fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        upscaler.upscale(photo(90, 90), progress=stop)
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1
    assert upscaler.upscale(photo(8, 8)).shape == (16, 16, 3), "the upscaler still works"


@pytest.mark.parametrize("tile", PATHS)
def test_ctrl_c_stops_a_run_before_its_end(photo: Photo, tile: Tile) -> None:
    slow = load(tile)
    picture = photo(8, 300)
    fractions: list[float] = []
    ready = threading.Event()

    def interrupt() -> None:
        ready.wait()
        os.kill(os.getpid(), signal.SIGINT)

    def note(fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0:
            ready.set()

    other = threading.Thread(target=interrupt)
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            slow.upscale(picture, progress=note)
    finally:
        ready.set()
        other.join()
    assert 0 < fractions[-1] < 0.9


def test_eight_threads_share_one_upscaler(
    upscaler: Upscaler, on_cpu: Upscaler, photo: Photo
) -> None:
    images = [photo(70 + index, 74 - index) for index in range(8)]
    expected = [upscaler.upscale(image) for image in images]
    assert steps(expected[0], on_cpu.upscale(images[0])) <= 2
    results: dict[int, NDArray[np.uint8]] = {}

    def work(index: int) -> None:
        results[index] = upscaler.upscale(images[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(8):
        assert np.array_equal(results[index], expected[index])


@pytest.mark.parametrize("tile", PATHS)
def test_tta(photo: Photo, small: Path, tile: Tile) -> None:
    picture = photo(40, 36)
    expected = Upscaler(small, device="cpu", tta=True).upscale(picture)
    assert steps(load(tile, small, tta=True, precision="fp32").upscale(picture), expected) <= 1


def test_the_command_upscales_on_a_device(photo: Photo, tmp_path: Path) -> None:
    picture = photo(20, 16)
    Image.fromarray(picture).save(tmp_path / "in.png")
    done = subprocess.run(
        [sys.executable, "-m", "realesrgan_vk", "upscale", str(tmp_path / "in.png"), "-o",
         str(tmp_path / "out.png"), "-m", FAST_MODEL, "--device", "0"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), load().upscale(picture))


def test_the_drop_in_program_upscales_on_a_device(source: Path, tmp_path: Path) -> None:
    done = drop_in.run(
        "-i", source, "-o", tmp_path / "out.png", "-n", "realesr-animevideov3", "-s", "4", gpu="0"
    )
    assert done.returncode == 0, done.stderr
    drop_in.assert_progress(done.stderr)
    expected = load().upscale(np.asarray(Image.open(source)))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), expected)
