"""Every format and mode: what comes back has the same mode and depth, and the right pixels.

Sources are made, and results decoded, by other code than `image_io`: Pillow's own modes, tifffile,
and a PNG codec of a few lines for the 16-bit colour that Pillow has no mode for.
"""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from conftest import FORMAT_SIZE
from numpy.typing import NDArray
from picture_files import decode_png, difference, png, saved, upscaled
from PIL import Image

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.imaging.picture import Frame, Picture
from realesrgan_vk.options import Request

Photo = Callable[..., NDArray[np.uint8]]
WIDTH, HEIGHT = FORMAT_SIZE
pillow_heif.register_heif_opener()


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_keeps_channels_and_depth(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, bits: int, colour_type: int
) -> None:
    samples: NDArray[Any] = {
        0: rgba[..., :1],
        2: rgba[..., :3],
        4: rgba[..., [0, 3]],
        6: rgba,
    }[colour_type]
    if bits == 16:
        fine = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH, 1) % 200
        samples = np.minimum(samples.astype(np.uint16) * 256 + fine, 65535).astype(np.uint16)
    path = tmp_path / "out.png"
    upscaled(fast, png(samples, bits, colour_type), path)
    out, out_bits, out_type = decode_png(path.read_bytes())
    assert (out_bits, out_type) == (bits, colour_type)
    assert out.shape == (4 * HEIGHT, 4 * WIDTH, samples.shape[2])
    if colour_type == 4:
        expected = np.dstack([fast.upscale(samples[..., 0]), fast.upscale(samples[..., 1])])
    else:
        expected = fast.upscale(samples)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_keeps_narrow_grey(
    rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, bits: int
) -> None:
    levels = (rgb[..., :1] >> (8 - bits)).astype(np.uint8)
    path = tmp_path / "out.png"
    upscaled(fast, png(levels, bits, 0), path)
    data = path.read_bytes()
    assert (data[24], data[25]) == (bits, 0)
    top = 2**bits - 1
    with Image.open(path) as image:
        out = np.asarray(image.convert("L")).astype(np.int64)
    assert out.shape == (4 * HEIGHT, 4 * WIDTH)
    expected = fast.upscale((levels[..., 0] * (255 // top)).astype(np.uint8)).astype(np.int64)
    assert np.abs(out - expected).max() <= 128 // top + 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_png_keeps_a_palette(
    rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, bits: int, transparent: bool
) -> None:
    image = Image.fromarray(rgb).quantize(2**bits, dither=Image.Dither.NONE)
    path = tmp_path / "out.png"
    options = {"transparency": 0} if transparent else {}
    upscaled(fast, saved(image, "PNG", bits=bits, **options), path)
    data = path.read_bytes()
    assert (data[24], data[25]) == (bits, 3)
    with Image.open(path) as out:
        assert (out.mode, out.size) == ("P", (4 * WIDTH, 4 * HEIGHT))
        assert out.has_transparency_data == transparent
        colours = np.asarray(out.convert("RGBA"))
    index = np.asarray(image)
    if transparent:
        seen = colours[2::4, 2::4, 3] > 128
        assert (seen == (index != 0)).mean() > 0.85
    expected = fast.upscale(np.asarray(image.convert("RGB")))
    visible = colours[..., 3] > 128
    off = np.abs(colours[..., :3].astype(int) - expected)[visible].mean()
    assert off < {1: 60, 2: 40, 4: 20, 8: 10}[bits]


def test_16_bit_gradients_keep_more_than_256_levels(fast: Upscaler, tmp_path: Path) -> None:
    ramp = np.linspace(20000, 24000, 40 * 40).reshape(40, 40, 1).repeat(3, 2).astype(np.uint16)
    for name in ("deep.png", "deep.tif"):
        path = tmp_path / name
        source = png(ramp, 16, 2)
        if path.suffix == ".tif":
            tifffile.imwrite(tmp_path / "made.tif", ramp, photometric="rgb")
            source = (tmp_path / "made.tif").read_bytes()
        upscaled(fast, source, path)
        is_png = path.suffix == ".png"
        out = decode_png(path.read_bytes())[0] if is_png else tifffile.imread(path)
        assert out.dtype == np.uint16
        assert len(np.unique(out)) > 2000


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg(rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, mode: str) -> None:
    source = saved(Image.fromarray(rgb).convert(mode), "JPEG", quality=97)
    path = tmp_path / "out.jpg"
    upscaled(fast, source, path, quality=97)
    with Image.open(path) as out, Image.open(BytesIO(source)) as before:
        assert (out.mode, out.size) == (mode, (4 * WIDTH, 4 * HEIGHT))
        assert difference(np.asarray(out), fast.upscale(np.asarray(before))) < 0.01
    sizes = []
    for options in ({"quality": 50}, {"quality": 97, "subsampling": "4:2:0"}, {"quality": 97}):
        upscaled(fast, source, path, **options)
        sizes.append(path.stat().st_size)
    assert sizes[0] < sizes[2]
    assert (sizes[1] < sizes[2]) == (mode == "RGB")


@pytest.mark.parametrize("quality", [90, 94, 95, 100])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_noise_fits_a_jpeg(mode: str, quality: int, capfd: pytest.CaptureFixture[str]) -> None:
    """The most detailed picture there is: no buffer is too small, and libjpeg says nothing."""
    noise = np.random.default_rng(4).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    frame = Frame(noise[..., :1] if mode == "L" else noise)
    picture = Picture((frame,), "cmyk" if mode == "CMYK" else "colour", 8)
    options = image_io.WriteOptions(quality=quality)
    data, _ = image_io.encode(picture, image_io.formats.JPEG, options)
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert (image.mode, image.size) == (mode, (600, 600))
        if quality == 100 and mode != "CMYK":
            assert difference(np.asarray(image), noise[..., 0] if mode == "L" else noise) < 0.02
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg(rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, adobe: bool) -> None:
    """Adobe's files hold inverted inks, others do not; both look alike afterwards."""
    inks = 255 - np.dstack([rgb, np.full((HEIGHT, WIDTH), 225, np.uint8)])
    stored = inks if adobe else 255 - inks
    data = saved(Image.fromarray(stored, "CMYK"), "JPEG", quality=97)
    if not adobe:
        start = data.index(b"\xff\xee")
        size = struct.unpack_from(">H", data, start + 2)[0]
        data = data[:start] + data[start + 2 + size :]
    path = tmp_path / "out.jpg"
    upscaled(fast, data, path, quality=97)
    with Image.open(path) as out:
        assert (out.mode, out.size) == ("CMYK", (4 * WIDTH, 4 * HEIGHT))
        shown = np.asarray(out.convert("RGB"))
    expected = fast.upscale((rgb * (225 / 255)).astype(np.uint8))
    assert difference(shown, expected) < 0.02


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_webp(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, lossless: bool, alpha: bool
) -> None:
    samples = rgba if alpha else rgba[..., :3]
    source = saved(Image.fromarray(samples), "WEBP", lossless=lossless, quality=95, exact=True)
    path = tmp_path / "out.webp"
    upscaled(fast, source, path)
    assert (b"VP8L" in path.read_bytes()) == lossless, "stored as the source was"
    with Image.open(path) as out, Image.open(BytesIO(source)) as before:
        assert out.mode == ("RGBA" if alpha else "RGB")
        expected = fast.upscale(np.asarray(before))
        off = difference(np.asarray(out), expected)
    assert off == 0 if lossless else off < 0.02


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp(rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(rgb).convert(mode, dither=Image.Dither.NONE)
    path = tmp_path / "out.bmp"
    upscaled(fast, saved(image, "BMP"), path)
    with Image.open(path) as out:
        assert (out.mode, out.size) == (mode, (4 * WIDTH, 4 * HEIGHT))
        expected = fast.upscale(np.asarray(image.convert("RGB")))
        shown = np.asarray(out.convert("RGB"))
        assert difference(shown, expected) < {"1": 0.15, "P": 0.03}.get(mode, 0.005)


@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_avif_and_heic(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, suffix: str
) -> None:
    name = "AVIF" if suffix == "avif" else "HEIF"
    source = saved(Image.fromarray(rgba), name, quality=95)
    path = tmp_path / f"out.{suffix}"
    upscaled(fast, source, path)
    with Image.open(path) as out, Image.open(BytesIO(source)) as before:
        assert (out.mode, out.size) == ("RGBA", (4 * WIDTH, 4 * HEIGHT))
        assert difference(np.asarray(out), fast.upscale(np.asarray(before))) < 0.03


def test_what_a_format_cannot_hold_is_said(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path
) -> None:
    picture = fast.upscale_picture(
        image_io.read(_written(tmp_path / "a.png", saved(Image.fromarray(rgba), "PNG"))), Request()
    )
    assert image_io.write(picture, tmp_path / "b.png") == ()
    notes = image_io.write(picture, tmp_path / "b.jpg")
    assert notes == ("JPEG holds no transparency; the picture is composited onto white",)
    with Image.open(tmp_path / "b.jpg") as out:
        assert out.mode == "RGB"
        faint = np.asarray(out)[:, :8].mean()
    assert faint > 200, "nearly transparent is nearly white"


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
