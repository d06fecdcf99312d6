"""`Upscaler` with arrays, images and paths: kinds, sizes, alpha, threads, callbacks."""

import inspect
import os
import pickle
import re
import threading
import weakref
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from compact_network import write_compact
from numpy.typing import NDArray
from PIL import Image

import realesrgan_vk
from realesrgan_vk import Upscaler
from realesrgan_vk.image_io.rows import ArrayRows
from realesrgan_vk.models import find_model
from realesrgan_vk.processing import processor

FAST_MODEL = "realesr-animevideov3"
Photo = Callable[..., NDArray[np.uint8]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_an_array_comes_back_as_an_array_of_its_kind(
    photo: Photo, fast: Upscaler, dtype: type, channels: int
) -> None:
    rgb = photo(24, 20)
    image = {
        0: rgb[..., 0],
        1: rgb[..., :1],
        3: rgb,
        4: np.concatenate([rgb, 255 - rgb[..., :1]], axis=2),
    }[channels]
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    scaled: NDArray[Any] = (image / 255 * top).astype(dtype)
    out = fast.upscale(scaled)
    assert out.dtype == dtype
    assert out.shape == (80, 96, *image.shape[2:])
    # The same picture, larger: each 4 x 4 block keeps about its mean.
    blocks = (out / top).reshape(20, 4, 24, 4, -1).mean(axis=(1, 3))
    assert np.abs(blocks - (scaled / top).reshape(20, 24, -1)).mean() < 0.02


def test_any_strides_and_byte_order_give_the_same(photo: Photo, fast: Upscaler) -> None:
    image = photo(24, 20)
    expected = fast.upscale(image)
    wide = np.zeros((40, 48, 5), np.uint8)
    wide[::2, ::2, 1:4] = image
    assert np.array_equal(fast.upscale(wide[::2, ::2, 1:4]), expected)
    backwards = np.ascontiguousarray(image[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    assert np.array_equal(fast.upscale(backwards), expected)
    assert np.array_equal(fast.upscale(pickle.loads(pickle.dumps(image))), expected)
    deep = image.astype(np.uint16) * 257
    swapped = deep.astype(">u2")
    assert np.array_equal(fast.upscale(swapped), fast.upscale(deep))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_an_image_comes_back_as_an_image_of_its_mode(
    photo: Photo, fast: Upscaler, mode: str
) -> None:
    rgb = Image.fromarray(photo(24, 20))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    else:
        image = rgb.convert(mode, dither=Image.Dither.NONE)
    image.info["dpi"] = (300, 300)
    out = fast.upscale(image)
    assert (out.mode, out.size, out.info["dpi"]) == (mode, (96, 80), (300, 300))
    small = np.asarray(out.convert("RGB" if mode != "I;16" else "F").resize((24, 20)), np.float64)
    before = np.asarray(image.convert("RGB" if mode != "I;16" else "F"), np.float64)
    scale = 257 if mode == "I;16" else 1
    assert np.abs(small - before).mean() / scale < (30 if mode in ("1", "P") else 6)


def test_a_path_gives_an_upright_image(photo: Photo, fast: Upscaler, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    path = tmp_path / "turned.jpg"
    Image.fromarray(photo(24, 20)).save(path, exif=exif)
    out = fast.upscale(path)
    assert isinstance(out, Image.Image)
    assert (out.size, out.getexif()[0x0112]) == ((80, 96), 1)
    assert fast.upscale(str(path), width=40).size == (40, 48)


def test_sizes_other_than_the_networks(photo: Photo, fast: Upscaler) -> None:
    image = photo(24, 20)
    assert fast.upscale(image, scale=2.5).shape == (50, 60, 3)
    assert fast.upscale(image, height=10).shape == (10, 12, 3)
    large = fast.upscale(image, scale=8)
    assert large.shape == (160, 192, 3)
    twice = Image.fromarray(fast.upscale(fast.upscale(image)))
    expected = np.asarray(twice.resize((192, 160), Image.Resampling.LANCZOS))
    assert np.array_equal(large, expected), "x8 is two runs and one resampling"
    assert not np.array_equal(fast.upscale(image, scale=2, light="linear"),
                              fast.upscale(image, scale=2))  # fmt: skip


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("scale", [4, 2.5])
def test_less_strength_keeps_more_of_the_source(
    photo: Photo, fast: Upscaler, dtype: type, scale: float
) -> None:
    """Against Pillow's Lanczos of floats, blended in doubles."""
    top = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    image: realesrgan_vk.Pixels = (photo(24, 20) / 255 * top).astype(dtype)
    full = fast.upscale(image, scale=scale)
    size = (full.shape[1], full.shape[0])
    planes = [Image.fromarray(image[..., c].astype(np.float32)) for c in range(3)]
    plain = np.dstack([np.asarray(p.resize(size, Image.Resampling.LANCZOS)) for p in planes])
    result = fast.upscale(image, scale=scale, strength=0.3)
    assert result.dtype == dtype
    difference = result - (0.3 * full.astype(np.float64) + 0.7 * plain.clip(0, top))
    assert np.abs(difference).max() <= (1e-6 if dtype is np.float32 else 1)
    assert np.array_equal(fast.upscale(image, scale=scale, strength=1), full)
    (frame,) = fast.upscale_frames([image], scale=scale, strength=0.3)
    assert np.array_equal(frame, result)


@pytest.mark.parametrize("size", [(1, 1), (1, 120), (120, 1), (7, 3)])
def test_odd_and_tiny_pictures(fast: Upscaler, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert fast.upscale(image).shape == (4 * size[0], 4 * size[1], 3)


def test_grey_stays_grey_and_equals_the_colour_run(photo: Photo, fast: Upscaler) -> None:
    grey = photo(24, 20)[..., 1]
    colour = fast.upscale(np.repeat(grey[..., None], 3, axis=2)).astype(int)
    assert np.abs(fast.upscale(grey).astype(int) - colour.mean(axis=2)).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_through_a_colour_network_is_rounded_once(
    photo: Photo, fast: Upscaler, dtype: type[np.unsignedinteger[Any]]
) -> None:
    """Against the mean of the network's floats: half a step, not 0.8."""
    top = np.iinfo(dtype).max
    grey = (photo(48, 40)[..., 1].astype(np.float32) * np.float32(top / 255)).astype(dtype)
    unit = grey.astype(np.float32) / np.float32(top)
    exact = fast.upscale(np.repeat(unit[..., None], 3, axis=2)).astype(np.float64).mean(axis=2)
    assert np.abs(fast.upscale(grey) - exact * top).max() <= 0.5 + top * 1e-7


def test_progress_rises_to_one_over_all_runs(photo: Photo, fast: Upscaler) -> None:
    fractions: list[float] = []
    rgba = np.concatenate([photo(24, 20), photo(24, 20)[..., :1]], axis=2)
    fast.upscale(rgba, scale=8, progress=fractions.append)
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < 0.05
    assert fractions[-1] == 1
    assert len(fractions) > 4


def test_a_callback_that_raises_stops_the_run(photo: Photo, fast: Upscaler) -> None:
    calls: list[float] = []

    def stop(fraction: float) -> None:
        calls.append(fraction)
        if fraction > 0.1:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        fast.upscale(photo(64, 200), progress=stop)
    assert calls[-1] < 0.9
    assert fast.upscale(photo(8, 8)).shape == (32, 32, 3), "the upscaler still works"


def test_a_callback_may_cancel_the_run(photo: Photo, fast: Upscaler) -> None:
    def stop(_share: float) -> None:
        raise realesrgan_vk.Cancelled("not needed any more")

    with pytest.raises(realesrgan_vk.Cancelled, match="not needed any more"):
        fast.upscale(photo(16, 16), progress=stop)


@pytest.mark.parametrize("tile", ["auto", "whole"])
def test_floats_outside_the_range_are_seen_and_the_result_is_clipped(
    photo: Photo, tile: Literal["auto", "whole"]
) -> None:
    upscaler = Upscaler(FAST_MODEL, device="cpu", threads=1, tile=tile)
    inside = photo(24, 20).astype(np.float32) / 255
    outside = inside * 3 - 1
    out = upscaler.upscale(outside)
    assert (out.min(), out.max()) == (0, 1)
    assert not np.array_equal(out, upscaler.upscale(outside.clip(0, 1))), "not clipped before"


def test_floats_on_another_scale_are_refused(photo: Photo, fast: Upscaler) -> None:
    bytes_as_floats = photo(24, 20).astype(np.float32)
    bytes_as_floats[0, :2] = [[0], [255]]
    with pytest.raises(ValueError, match=r"image has float samples from 0 to 255; .* by 255"):
        fast.upscale(bytes_as_floats)
    for value in (-1.5, 2.5, 12.0):
        with pytest.raises(ValueError, match="-1 to 2 are allowed, for overshoot"):
            fast.upscale(np.array([[0.5, value]], np.float32))
    rows, sink = ArrayRows(bytes_as_floats), ArrayRows(np.zeros((80, 96, 3), np.float32))
    with pytest.raises(ValueError, match=r"source has float samples from 0 to 255"):
        fast.upscale_rows(rows, sink)


def test_the_bytes_of_a_file_and_open_files_are_pictures(
    photo: Photo, fast: Upscaler, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(photo(24, 20)).save(path)
    data = path.read_bytes()
    expected = fast.upscale(path)
    with path.open("rb") as file, path.open("rb") as read:
        read.read(10)  # as with PIL, a file is read from its start
        for given in (data, bytearray(data), memoryview(data), BytesIO(data), file, read):
            assert fast.upscale(given).tobytes() == expected.tobytes()
            assert fast.plan(given) == fast.plan((24, 20))
    assert realesrgan_vk.upscale(data, model=FAST_MODEL, device="cpu").size == (96, 80)
    with path.open(encoding="latin-1") as text, pytest.raises(TypeError, match="mode 'rb'"):
        fast.upscale(text)  # type: ignore[arg-type]
    with pytest.raises(realesrgan_vk.ImageError, match=r"cannot be read: .*closed"):
        fast.upscale(file)
    with pytest.raises(realesrgan_vk.ImageError, match="is not a picture of a known format"):
        fast.upscale(b"photo.png")
    for small in (data, BytesIO(data)):
        with pytest.raises(realesrgan_vk.ImageError, match="more than the limit of 100"):
            fast.upscale(small, max_pixels=100)
    endless = open("/dev/zero", "rb")  # noqa: PTH123, SIM115
    with endless, pytest.raises(realesrgan_vk.ImageError, match="more than any picture within"):
        fast.upscale(endless, max_pixels=100)
    with pytest.raises(realesrgan_vk.ImageError, match=r"cannot be decoded by PIL: .*truncated"):
        fast.upscale(Image.open(BytesIO(data[:-300])))


def test_a_file_of_deep_colour_is_returned_whole_as_an_array(
    photo: Photo, fast: Upscaler, tmp_path: Path
) -> None:
    deep = photo(24, 20).astype(np.uint16) * 257
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, deep, photometric="rgb")
    result = fast.upscale(path, as_array=True)
    assert result.dtype == np.uint16
    assert np.array_equal(result, fast.upscale(deep))
    with pytest.warns(UserWarning, match=r"16 bits a channel, .* 8: .* as_array=True"):
        assert fast.upscale(path).mode == "RGB"
    with pytest.warns(UserWarning, match="as_array=True") as warned:
        realesrgan_vk.upscale(path, model=FAST_MODEL, device="cpu")
    assert warned[0].filename == __file__
    grey = Image.fromarray(photo(24, 20)).convert("LA")
    assert fast.upscale(grey, as_array=True).shape == (80, 96, 4)
    assert fast.upscale(grey.convert("L"), as_array=True).shape == (80, 96)


def test_eight_threads_share_one_upscaler(photo: Photo, fast: Upscaler) -> None:
    images = [photo(20 + index, 24 - index) for index in range(8)]
    expected = [fast.upscale(image) for image in images]
    results: dict[int, NDArray[np.uint8]] = {}

    def work(index: int) -> None:
        for _ in range(2):
            results[index] = fast.upscale(images[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(8):
        assert np.array_equal(results[index], expected[index])


def test_tta_and_whole_and_tiles_are_accepted(photo: Photo, fast: Upscaler) -> None:
    image = photo(40, 36)
    plain = fast.upscale(image).astype(int)
    for arguments in ({"tta": True}, {"tile": "whole"}, {"tile": 32}):
        other = Upscaler(FAST_MODEL, device="cpu", threads=1, **arguments)
        difference = np.abs(other.upscale(image).astype(int) - plain)
        assert difference.mean() < 2, arguments
        if "tta" in arguments:
            assert difference.max() > 0, "averaging orientations changes something"


def test_the_module_level_call(photo: Photo) -> None:
    out = realesrgan_vk.upscale(photo(8, 8), model=FAST_MODEL, device="cpu", scale=2)
    assert out.shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "nope"}, realesrgan_vk.ModelError, "unknown model 'nope'"),
        ({"device": "radeon 9"}, realesrgan_vk.DeviceError, "no device 'radeon 9'"),
        ({"device": 99}, realesrgan_vk.DeviceError, "no device '99'"),
        ({"device": "--5"}, realesrgan_vk.DeviceError, "no device '--5'"),
        ({"device": "-5"}, realesrgan_vk.DeviceError, "no device '-5'"),
        ({"device": "vulkan:-1"}, realesrgan_vk.DeviceError, "no device 'vulkan:-1'"),
        ({"device": "9" * 5000}, realesrgan_vk.DeviceError, "no device '999"),
        ({"device": ""}, realesrgan_vk.DeviceError, "no device ''"),
        ({"precision": "fp8"}, ValueError, "precision is 'fp8'; it must be one of auto, fp32"),
        ({"precision": "fp16"}, realesrgan_vk.DeviceError, "the CPU has none"),
        ({"tile": 16}, ValueError, "tile is 16; it must be from 32 to"),
        ({"tile": "big"}, TypeError, "tile must be a whole number, or 'auto', or 'whole'"),
        ({"tile": True}, TypeError, "tile must be"),
        ({"tta": 1}, TypeError, "tta must be True or False, not 1"),
        ({"threads": 0}, ValueError, "threads is 0; it must be at least 1"),
        ({"threads": 1.5}, TypeError, "threads must be a whole number"),
        ({"memory_limit": -5}, ValueError, "memory_limit is -5"),
    ],
)
def test_wrong_arguments_of_the_upscaler(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Upscaler(**({"model": FAST_MODEL, "device": "cpu"} | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), ValueError, r"shape \(4, 4, 2\).*1, 3 or 4 channels"),
        (np.zeros((4, 4, 3, 1), np.uint8), ValueError, "shape"),
        (np.zeros(4, np.uint8), ValueError, "shape"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "has no pixels"),
        (np.zeros((4, 4, 3)), TypeError, "float64; it must be uint8, uint16 or float32"),
        (np.zeros((4, 4, 3), bool), TypeError, "bool"),
        (np.zeros((4, 4, 3), np.int32), TypeError, "int32"),
        (np.full((4, 4), np.nan, np.float32), realesrgan_vk.ImageError, "NaN or infinite"),
        ([[1, 2]], TypeError, "must be a NumPy array, a PIL image, a path, .*, not list"),
        (None, TypeError, "not NoneType"),
        ("/nowhere/a.png", realesrgan_vk.ImageError, r"/nowhere/a\.png does not exist"),
    ],
)
def test_wrong_images(fast: Upscaler, image: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fast.upscale(image)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale": 0}, ValueError, "scale is 0"),
        ({"alpha": "none"}, ValueError, "alpha is 'none'; it must be one of network, lanczos"),
        ({"light": "dark"}, ValueError, "light is 'dark'"),
        ({"scale": 256}, realesrgan_vk.OutOfMemoryError, "needs .* GiB, this machine has"),
    ],
)
def test_wrong_options(
    fast: Upscaler, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fast.upscale(np.zeros((4000, 4000, 3), np.uint8), **options)  # type: ignore[call-overload]


def test_a_grey_picture_counts_as_the_colours_it_runs_as(
    fast: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.full((100, 100), 90, np.uint8)
    one_result = 400 * 400
    monkeypatch.setattr(processor, "installed_memory", lambda: 4 * one_result)
    assert fast.upscale(grey).shape == (400, 400)
    monkeypatch.setattr(processor, "installed_memory", lambda: 4 * one_result - 1)
    with pytest.raises(realesrgan_vk.OutOfMemoryError, match="400 x 400 pixels needs"):
        fast.upscale(grey)


def test_memory_that_cannot_be_had_is_an_error_of_the_family(
    fast: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "installed_memory", lambda: None)  # as where it is not known
    endless = np.broadcast_to(np.uint8(90), (2_000_000, 2_000_000, 3))  # the result: 192 TB
    with pytest.raises(realesrgan_vk.OutOfMemoryError, match="8000000 x 8000000 pixels; free some"):
        fast.upscale(endless)


def test_broken_model_files(tmp_path: Path) -> None:
    official = find_model(FAST_MODEL)
    other = find_model("realesrgan-x4plus-anime")
    param, weights = official.param.read_bytes(), official.bin.read_bytes()
    cases = {
        "truncated": (param, weights[: len(weights) // 2]),
        "of another network": (other.param.read_bytes(), weights),
        "empty weights": (param, b""),
        "empty graph": (b"", weights),
        "no graph": (b"hello\nworld\n", weights),
        "binary graph": (weights[:5000], weights),
    }
    for name, (graph, content) in cases.items():
        (tmp_path / "net.param").write_bytes(graph)
        (tmp_path / "net.bin").write_bytes(content)
        try:
            Upscaler(tmp_path / "net.param", device="cpu")
        except realesrgan_vk.ModelError as error:
            assert "net.param" in str(error) or "net.bin" in str(error), name  # noqa: PT017
        else:
            pytest.fail(f"a network that is {name} was loaded")


def test_a_pickled_upscaler_is_loaded_anew_with_the_same_arguments(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_compact(tmp_path, "net")
    monkeypatch.chdir(tmp_path)
    first = Upscaler("net.param", device="cpu", tile=32, tta=True, threads=1, memory_limit="1GiB")
    pickled = pickle.dumps(first)
    monkeypatch.chdir("/")
    second = pickle.loads(pickled)
    assert second.plan((90, 80)) == first.plan((90, 80))
    assert np.array_equal(second.upscale(photo(9, 8)), first.upscale(photo(9, 8)))
    named = pickle.loads(pickle.dumps(Upscaler("RealESR_AnimeVideoV3", device="cpu")))
    assert named.model.name == FAST_MODEL


def test_a_closed_upscaler_has_freed_its_network(photo: Photo) -> None:
    with Upscaler(FAST_MODEL, device="cpu") as upscaler:
        large = upscaler.upscale(photo(9, 8))
        core = weakref.ref(upscaler._core)
    assert core() is None
    upscaler.close()
    for use in (
        lambda: upscaler.upscale(photo(9, 8)),
        lambda: upscaler.plan((9, 8)),
        lambda: upscaler.prepare((9, 8)),
        lambda: upscaler.scale,
        lambda: upscaler.network,
    ):
        with pytest.raises(ValueError, match="this upscaler is closed"):
            use()
    another = pickle.loads(pickle.dumps(upscaler))
    assert np.array_equal(another.upscale(photo(9, 8)), large)


def test_a_run_ends_though_its_upscaler_is_closed(photo: Photo, fast: Upscaler) -> None:
    upscaler = Upscaler(FAST_MODEL, device="cpu", threads=1)
    large = upscaler.upscale(photo(40, 30), progress=lambda _: upscaler.close())
    assert np.array_equal(large, fast.upscale(photo(40, 30)))


def test_help_shows_every_parameter_with_its_default() -> None:
    parameters = inspect.signature(realesrgan_vk.upscale).parameters
    made = inspect.signature(Upscaler).parameters
    run = inspect.signature(Upscaler.upscale).parameters
    expected = {name: value.default for name, value in [*made.items(), *run.items()]}
    del expected["self"]
    assert {name: value.default for name, value in parameters.items()} == expected
    described = inspect.getdoc(realesrgan_vk.upscale) or ""
    assert all(re.search(rf"^    {name}: ", described, re.M) for name in parameters)


def test_model_paths_and_layer_names_that_are_not_utf_8(photo: Photo, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    param = write_compact(folder, "net")
    expected = Upscaler(write_compact(tmp_path, "net"), device="cpu").upscale(photo(9, 8))
    for model in (param, str(param), folder):
        assert np.array_equal(Upscaler(model, device="cpu").upscale(photo(9, 8)), expected)
    graph = param.read_bytes()
    param.write_bytes(graph.replace(b"Convolution ", b"Nonsense\xff\x1b\x07 ", 1))
    with pytest.raises(realesrgan_vk.ModelError, match=r"Nonsense\\xff\\x1b\\x07"):
        Upscaler(param, device="cpu")
    param.with_suffix(".bin").write_bytes(b"")
    param.write_bytes(graph)
    with pytest.raises(realesrgan_vk.ModelError, match=r"caf\\xe9"):
        Upscaler(param, device="cpu")
