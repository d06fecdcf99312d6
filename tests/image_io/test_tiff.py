"""TIFF of every depth and mode: what comes back is the same, decoded by tifffile and Pillow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import FORMAT_SIZE
from numpy.typing import NDArray
from picture_files import difference, saved, upscaled
from PIL import Image

from realesrgan_vk import ImageError, Upscaler
from realesrgan_vk.image_io import read

Photo = Callable[..., NDArray[np.uint8]]
WIDTH, HEIGHT = FORMAT_SIZE


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_keeps_channels_and_depth(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, dtype: type, channels: int
) -> None:
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    samples: NDArray[Any] = (rgba[..., :channels] / 255 * top).astype(dtype)
    extra: dict[str, Any] = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(
        tmp_path / "made.tif",
        samples if channels > 1 else samples[..., 0],
        photometric="minisblack" if channels == 1 else "rgb",
        compression="zlib",
        **extra,
    )
    path = tmp_path / "out.tif"
    upscaled(fast, (tmp_path / "made.tif").read_bytes(), path)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        out = page.asarray()
    expected = fast.upscale(samples if channels > 1 else samples[..., 0])
    assert out.dtype == dtype
    assert out.shape == expected.shape
    assert np.array_equal(out, expected)


def test_tiff_floats_beyond_one_keep_their_range(fast: Upscaler, tmp_path: Path) -> None:
    ramp = np.linspace(-0.5, 12.0, 32, dtype=np.float32)[None].repeat(24, 0)
    tifffile.imwrite(tmp_path / "made.tif", ramp, photometric="minisblack")
    path = tmp_path / "out.tif"
    upscaled(fast, (tmp_path / "made.tif").read_bytes(), path)
    out = tifffile.imread(path)
    assert out.min() == pytest.approx(-0.5, abs=0.5)
    assert out.max() == pytest.approx(12.0, abs=0.5)


def test_tiff_floats_of_a_range_beyond_floats_are_an_error_of_the_picture(tmp_path: Path) -> None:
    samples = np.full((20, 24), 0.5, np.float32)
    samples[3, 4], samples[5, 6] = 2.5e38, -2.5e38
    path = tmp_path / "made.tif"
    tifffile.imwrite(path, samples, photometric="minisblack")
    with pytest.raises(ImageError, match=r"values from -2.5e\+38 to 2.5e\+38"):
        read(path)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "LA"])
def test_other_tiffs(rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(rgb).convert(mode, dither=Image.Dither.NONE)
    source = saved(image, "TIFF", compression="tiff_lzw" if mode != "1" else "group4")
    path = tmp_path / "out.tif"
    upscaled(fast, source, path)
    with Image.open(path) as out:
        assert (out.mode, out.size) == (mode, (4 * WIDTH, 4 * HEIGHT))
        expected = fast.upscale(np.asarray(image.convert("RGB")))
        limit = 0.15 if mode == "1" else 0.04
        assert difference(np.asarray(out.convert("RGB")), expected) < limit


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # Pillow's
@pytest.mark.parametrize("kind", ["preview", "filter array", "linear", "Canon's"])
def test_a_raw_file_is_refused_in_place_of_upscaling_its_preview(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "shot.dng"
    preview = np.zeros((8, 12, 3), np.uint8)
    sensor = np.zeros((32, 48, 3) if kind == "linear" else (32, 48), np.uint16)
    photometric = 34892 if kind == "linear" else 32803
    with tifffile.TiffWriter(path) as file:
        if kind == "preview":
            file.write(preview, photometric="rgb", subfiletype=1, subifds=1)
        pattern = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, (0, 1, 1, 2), True)]
        if kind == "Canon's":
            file.write(preview, photometric="rgb")
        else:
            file.write(sensor, photometric=photometric, extratags=pattern, metadata=None)
    if kind == "Canon's":  # the directory is behind the header, which is 8 bytes longer
        plain = path.read_bytes()
        start = int.from_bytes(plain[4:8], "little")
        entries = plain[start : start + 2 + 12 * int.from_bytes(plain[start : start + 2], "little")]
        path.write_bytes(b"II*\0\x10\0\0\0CR\2\0\0\0\0\0" + entries + bytes(4))
    with pytest.raises(ImageError, match="it is a camera's raw file; develop it first"):
        read(path)


def test_a_reduced_page_alone_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "small.tif", np.zeros((8, 12, 3), np.uint8), photometric="rgb", subfiletype=1
    )
    assert read(tmp_path / "small.tif").frames[0].pixels.shape == (8, 12, 3)
