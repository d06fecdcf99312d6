"""Masks: where a network's result is used, in Python and by `realesrgan-vk upscale --mask`."""

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import run_here
from compact_network import write_compact
from conftest import Photo
from numpy.typing import NDArray
from PIL import Image

import realesrgan_vk
from realesrgan_vk import ImageError, Upscaler
from realesrgan_vk.imaging.resample import resize, resized_rows
from realesrgan_vk.options import FILTERS, LIGHTS, Filter, Light, Request

FAST = "realesr-animevideov3"


def of_half(width: int, height: int, top: int = 255) -> NDArray[np.uint8]:
    """White on the left, black on the right."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = top
    return mask


def gif_of_two(width: int, height: int) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("L", (width, height), level) for level in (0, 200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("scale", [4, 2.5])
def test_white_is_the_network_and_black_the_plain_enlargement(
    photo: Photo, fast: Upscaler, dtype: type, scale: float
) -> None:
    top = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    image: realesrgan_vk.Pixels = (photo(24, 70) / 255 * top).astype(dtype)
    full, plain = (fast.upscale(image, scale=scale, strength=share) for share in (1, 0))
    height, width = full.shape[:2]
    for mask in (of_half(width, height), of_half(width, height) > 0):
        result = fast.upscale(image, scale=scale, mask=mask)
        assert result.dtype == dtype
        assert np.array_equal(result[:, : width // 2], full[:, : width // 2])
        assert np.array_equal(result[:, width // 2 :], plain[:, width // 2 :])
    grey = np.full((height, width), 51, np.uint8)  # a fifth
    blend = fast.upscale(image, scale=scale, mask=grey)
    assert np.array_equal(blend, fast.upscale(image, scale=scale, strength=np.float32(51) / 255))
    halved = fast.upscale(image, scale=scale, mask=of_half(width, height), strength=0.5)
    assert np.array_equal(
        halved[:, : width // 2], fast.upscale(image, scale=scale, strength=0.5)[:, : width // 2]
    )


def test_a_mask_of_the_sources_size_is_enlarged_linearly(photo: Photo, fast: Upscaler) -> None:
    image = photo(24, 20)
    small = of_half(24, 20)
    large = Image.fromarray(small).resize((96, 80), Image.Resampling.BILINEAR)
    expected = fast.upscale(image, mask=np.asarray(large)).astype(int)
    assert np.abs(fast.upscale(image, mask=small).astype(int) - expected).max() <= 1
    full = fast.upscale(image)
    assert np.array_equal(fast.upscale(image, mask=np.full((20, 24), 255, np.uint8)), full)


def test_a_mask_given_in_any_way(photo: Photo, fast: Upscaler, tmp_path: Path) -> None:
    image = photo(24, 20)
    mask = of_half(24, 20)
    expected = fast.upscale(image, mask=mask)
    path = tmp_path / "mask.png"
    Image.fromarray(mask).save(path)
    bilevel = Image.fromarray(mask).convert("1")
    deep = (mask.astype(np.uint16) * 257, mask.astype(np.float32) / 255)
    colour = np.dstack([mask] * 3)
    opaque = np.dstack([colour, np.full_like(mask, 255)])
    data = path.read_bytes()
    given: list[Any] = [path, str(path), data, io.BytesIO(data), Image.fromarray(mask), bilevel]
    for each in (*given, *deep, colour, opaque, mask[..., None]):
        assert np.array_equal(fast.upscale(image, mask=each), expected)
        assert np.array_equal(
            realesrgan_vk.upscale(image, model=FAST, device="cpu", threads=1, mask=each), expected
        )


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (np.zeros((21, 24), np.uint8), ImageError, "24 x 21 pixels.*24 x 20 or 96 x 80"),
        (np.zeros((20, 24, 4), np.uint8), ImageError, "partly transparent"),
        (np.zeros((20, 24), np.int32), TypeError, "mask has samples of type int32"),
        (np.zeros((20, 24, 2), np.uint8), ValueError, "mask has shape"),
        (np.full((20, 24), np.nan, np.float32), ImageError, "mask has values that are NaN"),
        (np.ma.masked_equal(np.zeros((20, 24), np.uint8), 0), TypeError, "mask is a masked array"),
        (b"no picture", ImageError, "the picture"),
        ("missing.png", ImageError, "missing.png does not exist"),
        (12, TypeError, "mask must be a NumPy array"),
        (Image.new("L", (96, 81)), ImageError, "96 x 81"),
        (gif_of_two(24, 20), ImageError, "the mask is an animation"),
    ],
)
def test_what_is_no_mask(
    photo: Photo, fast: Upscaler, mask: object, error: type[Exception], words: str
) -> None:
    def progress(_: float) -> None:
        raise AssertionError("the network has run")

    with pytest.raises(error, match=words):
        fast.upscale(photo(24, 20), mask=mask, progress=progress)  # type: ignore[call-overload]


def test_transparency_and_every_frame_follow_the_mask(photo: Photo, fast: Upscaler) -> None:
    alpha = np.tile(np.linspace(0, 255, 24).astype(np.uint8), (20, 1))
    image = np.dstack([photo(24, 20), alpha])
    black = np.zeros((20, 24), np.uint8)
    assert np.array_equal(fast.upscale(image, mask=black), fast.upscale(image, strength=0))
    frames = [Image.fromarray(photo(24, 20, name)) for name in ("astronaut", "chelsea")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    picture = realesrgan_vk.image_io.decode(file.getvalue())
    plain = fast.upscale_picture(picture, Request(strength=0))
    masked = fast.upscale_picture(picture, Request(), mask=black)
    assert len(masked.frames) == 2
    for one, other in zip(plain.frames, masked.frames, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("kernel", FILTERS)
@pytest.mark.parametrize("light", LIGHTS)
def test_rows_of_a_resized_picture_are_those_of_the_whole(kernel: Filter, light: Light) -> None:
    random = np.random.default_rng(3)
    for height, target in ((50, (33, 171)), (120, (40, 41)), (7, (9, 7)), (1, (5, 130))):
        pixels = random.random((height, 30, 2), dtype=np.float32)
        whole = resize(pixels, target, light, kernel)
        for top in range(0, target[1], 37):
            rows = range(top, min(top + 37, target[1]))
            part = resized_rows(pixels, target, rows, light, kernel)
            assert part.shape == (len(rows), target[0], 2)
            assert np.abs(part - whole[rows.start : rows.stop]).max() < 2e-5


def test_a_mask_takes_no_memory_that_grows_with_the_result(fast: Upscaler) -> None:
    """But for the mask itself: a float plane of this result would be 1 MB, and three more."""
    image, mask = np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.uint8)
    peaks = []
    for strength, given in ((1, None), (0.5, mask)):
        tracemalloc.start()
        fast.upscale(image, strength=strength, mask=given)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 64 * 512 * 3 * 4 * 5  # floats of a band of 64 rows


def test_the_command(photo: Photo, tmp_path: Path) -> None:
    write_compact(tmp_path / "installed", "tiny")
    source, mask, target = (tmp_path / name for name in ("in.png", "mask.png", "out.png"))
    Image.fromarray(photo(24, 20)).save(source)
    Image.fromarray(of_half(24, 20)).save(mask)
    common = ("-m", "tiny", "-d", "cpu")
    done = run_here("upscale", source, "-o", target, "--mask", mask, *common)
    assert done.returncode == 0, done.stderr
    upscaler = Upscaler(tmp_path / "installed" / "tiny.param", device="cpu")
    expected = upscaler.upscale(photo(24, 20), mask=of_half(24, 20))
    assert np.array_equal(np.asarray(Image.open(target)), expected)

    Image.fromarray(of_half(23, 20)).save(mask)
    done = run_here("upscale", source, "-o", target, "--mask", mask, *common)
    assert (done.returncode, "23 x 20 pixels" in done.stderr) == (1, True), done.stderr
    done = run_here("upscale", source, "-o", mask, "--mask", mask, *common)
    assert (done.returncode, "would replace the mask" in done.stderr) == (2, True), done.stderr
    assert np.asarray(Image.open(mask)).shape == (20, 23)
    done = run_here("upscale", source, "--mask", tmp_path / "none.png", *common)
    assert (done.returncode, "none.png does not exist" in done.stderr) == (2, True), done.stderr


def test_a_folder_of_masks(photo: Photo, tmp_path: Path) -> None:
    write_compact(tmp_path / "installed", "tiny")
    inside, masks, out = (tmp_path / name for name in ("in", "masks", "out"))
    (inside / "deeper").mkdir(parents=True)
    (masks / "deeper").mkdir(parents=True)
    for name in ("a.jpg", "deeper/b.png"):
        Image.fromarray(photo(24, 20)).save(inside / name)
    Image.fromarray(of_half(24, 20)).save(masks / "a.png")
    command = ("upscale", inside, "-r", "-o", out, "--mask", masks, "-m", "tiny", "-d", "cpu")
    done = run_here(*command)
    assert (done.returncode, out.exists()) == (2, False)
    assert "deeper/b.png has no mask in" in done.stderr
    Image.fromarray(np.zeros((80, 96), np.uint8)[:20, :24]).save(masks / "deeper" / "b.png")
    done = run_here(*command)
    assert done.returncode == 0, done.stderr
    tiny = Upscaler(tmp_path / "installed" / "tiny.param", device="cpu")
    plain = tiny.upscale(photo(24, 20), strength=0)
    assert np.array_equal(np.asarray(Image.open(out / "deeper" / "b.png")), plain)
    Image.fromarray(of_half(24, 20)).save(masks / "a.tif")
    done = run_here(*command)
    assert (done.returncode, "several masks" in done.stderr) == (2, True)
    done = run_here("upscale", inside, "-r", "-o", out, "--mask", masks / "a.png")
    assert (done.returncode, "there are 2; give a folder" in done.stderr) == (2, True)
