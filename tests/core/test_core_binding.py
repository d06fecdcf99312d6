"""The extension itself: arrays as they lie, callbacks, signals, threads, the interpreter's end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from core_oracle import Picture, files, load, run
from numpy.typing import NDArray

from realesrgan_vk import _core
from realesrgan_vk.options import SMALLEST_TILE

Photo = Callable[..., Picture]


@pytest.fixture(scope="module", params=[_core.TILE_AUTO, _core.TILE_WHOLE, 32])
def upscaler(request: pytest.FixtureRequest) -> _core.Upscaler:
    """The fast network, by every path there is on the CPU."""
    return load("animevideov3", tile=request.param, threads=1)


def test_the_smallest_tile_is_the_one_that_callers_are_told() -> None:
    load("animevideov3", tile=SMALLEST_TILE)
    with pytest.raises(ValueError, match=f"at least {SMALLEST_TILE} pixels"):
        load("animevideov3", tile=SMALLEST_TILE - 1)


def test_any_strides_give_the_same_and_nothing_is_copied(
    upscaler: _core.Upscaler, photo: Photo
) -> None:
    picture = photo(24, 20)
    expected = np.empty((80, 96, 3), np.uint8)
    upscaler.run(picture, expected)
    planar = np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0)
    mirrored = np.ascontiguousarray(picture[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    for view in (planar, mirrored, np.repeat(picture, 2, axis=1)[:, ::2]):
        out = np.zeros((160, 96, 4), np.uint8)
        upscaler.run(view, out[::-2, :, 2::-1])
        assert np.array_equal(out[::-2, :, 2::-1], expected)
        assert not out[::2].any()
        assert not out[..., 3].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_sample_type_in_and_out(
    upscaler: _core.Upscaler, photo: Photo, dtype: type[np.generic]
) -> None:
    picture = photo(24, 20)
    expected = run(upscaler, picture)
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max  # type: ignore[type-var]
    converted = (picture / 255 * top).round(0 if top > 1 else 7).astype(dtype)
    out = np.empty((80, 96, 3), dtype)
    upscaler.run(converted, out)
    assert np.abs(out / top - expected).max() <= 0.5 / top + 2e-6 + (0 if top == 255 else 1e-5)


def test_progress_rises_to_one(upscaler: _core.Upscaler, photo: Photo) -> None:
    fractions: list[float] = []
    upscaler.run(photo(96, 200), np.empty((800, 384, 3), np.uint8), fractions.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert len(fractions) >= 5


def test_a_callback_that_raises_stops_the_run(upscaler: _core.Upscaler, photo: Photo) -> None:
    calls = 0

    def stop(_share: float) -> None:
        nonlocal calls
        calls += 1
        raise LookupError("enough")

    out = np.empty((320, 384, 3), np.uint8)
    with pytest.raises(LookupError, match="enough"):
        upscaler.run(photo(96, 80), out, stop)
    assert calls == 1


@pytest.mark.parametrize("tile", [_core.TILE_AUTO, _core.TILE_WHOLE, 64])
def test_ctrl_c_stops_a_run_before_its_end(photo: Photo, tile: int) -> None:
    slow = load("x4plus-anime", tile=tile, threads=1)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    out = np.zeros((1024, 1280, 3), np.uint8)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        slow.run(photo(320, 256), out)
    assert not out[-100:].any(), "the end of the picture was not made any more"


def test_threads_share_an_upscaler(upscaler: _core.Upscaler, photo: Photo) -> None:
    picture = photo(48, 40)
    expected = run(upscaler, picture)
    results: list[NDArray[np.float32]] = []
    threads = [
        threading.Thread(target=lambda: results.append(run(upscaler, picture))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        assert np.array_equal(result, expected)


@pytest.mark.parametrize(
    ("error", "message", "image", "output"),
    [
        (ValueError, "2 dimensions", np.zeros((4, 4), np.uint8), np.zeros((16, 16, 3), np.uint8)),
        (TypeError, "float64", np.zeros((4, 4, 3)), np.zeros((16, 16, 3), np.uint8)),
        (ValueError, "16x16x3", np.zeros((4, 4, 3), "u1"), np.zeros((16, 17, 3), np.uint8)),
        (_core.ImageError, "1 channels", np.zeros((4, 4, 1), "u1"), np.zeros((16, 16, 3), "u1")),
        (_core.ImageError, "empty", np.zeros((0, 4, 3), "u1"), np.zeros((0, 16, 3), "u1")),
    ],
)
def test_wrong_arrays(
    upscaler: _core.Upscaler,
    error: type[Exception],
    message: str,
    image: NDArray[np.generic],
    output: NDArray[np.generic],
) -> None:
    with pytest.raises(error, match=message):
        upscaler.run(image, output)


def test_broken_networks(tmp_path: Path) -> None:
    param, weights = files("animevideov3")
    other_param, other_weights = files("x4plus-anime")
    truncated = tmp_path / "truncated.bin"
    truncated.write_bytes(Path(weights).read_bytes()[:-100])
    empty = tmp_path / "empty.param"
    empty.touch()
    for pair, message in {
        (param, str(truncated)): "truncated",
        (param, other_weights): "another network",
        (other_param, weights): "another network",
        (str(empty), weights): "empty",
        (weights, weights): "7767517",
        (param, str(tmp_path / "none.bin")): "none.bin",
    }.items():
        for tile in (_core.TILE_AUTO, _core.TILE_WHOLE):
            with pytest.raises(_core.ModelError, match=message):
                _core.Upscaler(*pair, tile=tile)


def test_paths_and_names_that_are_no_utf8(tmp_path: Path) -> None:
    param, weights = files("animevideov3")
    folder = tmp_path / os.fsdecode(b"\xff\n")
    folder.mkdir()
    copies = folder / "n.param", folder / "n.bin"
    for source, target in zip((param, weights), copies, strict=True):
        target.write_bytes(Path(source).read_bytes())
    scale = _core.inspect_network(copies[0]).scale
    assert _core.Upscaler(*copies).network.scale == scale
    assert _core.Upscaler(*map(str, copies)).network.scale == scale
    with pytest.raises(_core.ModelError, match=r"/\\xff\\n/none.param: no such file"):
        _core.inspect_network(folder / "none.param")
    copies[0].write_bytes(b"7767517\n2 2\nInput in 0 1 data\nPReLU \xc9\x1b 1 1 data out 0=2\n")
    with pytest.raises(_core.ModelError, match=r"layer '\\xc9\\x1b' \(PReLU\) has 2 slopes for 3"):
        _core.inspect_network(copies[0])


END = """
import sys, threading, time
import numpy as np
from realesrgan_vk import _core
param, weights, device, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
upscaler = _core.Upscaler(param, weights, device=device)
picture = np.zeros((40, 40, 3), np.uint8)
def run(times):
    for _ in range(times):
        upscaler.run(picture, np.empty((160, 160, 3), np.uint8))
run(1)
for _ in range(threads):
    threading.Thread(target=run, args=(10**6,), daemon=True).start()
time.sleep(0.2)
_core.alive = upscaler
"""


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("on", ["cpu", "vulkan"])
def test_the_interpreter_ends_cleanly_with_runs_under_way(on: str, threads: int) -> None:
    if on == "vulkan" and not _core.list_devices():
        pytest.skip("no Vulkan device: no loader (libvulkan.so.1) or no driver is installed")
    device = _core.CPU_DEVICE if on == "cpu" else 0
    command = [sys.executable, "-c", END, *files("animevideov3"), str(device), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
