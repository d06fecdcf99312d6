"""What a file says of itself: read wherever it stands, and what cannot be kept is said."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from picture_files import png, saved
from PIL import Image, ImageCms

from realesrgan_vk import ImageError, Upscaler, image_io
from realesrgan_vk.image_io import Header
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.image_io.rows import TiffRows, TiffRowWriter
from realesrgan_vk.imaging.picture import Metadata
from realesrgan_vk.options import Request

pillow_heif.register_heif_opener()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Maker", orientation
    return tags.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("bits", [8, 16])
def test_png_metadata_after_the_pixels_is_read(rgba: NDArray[np.uint8], bits: int) -> None:
    samples: NDArray[Any] = rgba[..., :3].astype(np.uint16) * (257 if bits == 16 else 1)
    made = png(samples if bits == 16 else rgba[..., :3], bits, 2)
    late = chunk(b"eXIf", exif(6)) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    picture = decode(made[:-12] + late + made[-12:])
    height, width = samples.shape[:2]
    assert (picture.width, picture.height) == (height, width), "turned upright"
    assert picture.metadata.xmp == XMP
    assert picture.metadata.exif is not None
    assert b"Maker" in picture.metadata.exif
    assert np.array_equal(picture.frames[0].pixels, np.rot90(samples, -1))


@pytest.mark.parametrize("carries", [{}, {"icc_profile": SRGB}, {"exif": exif(1)}])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_lossless_webp_is_told_from_a_lossy_one(
    rgb: NDArray[np.uint8], carries: dict[str, bytes], frames: int, lossless: bool
) -> None:
    images = [Image.fromarray(np.roll(rgb, 3 * index, axis=1)) for index in range(frames)]
    more = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    data = saved(images[0], "WEBP", lossless=lossless, **more, **carries)
    picture = decode(data)
    assert len(picture.frames) == frames
    assert picture.lossless is lossless
    again = image_io.encode(picture, image_io.format_for(Path("a.webp")))[0]  # type: ignore[arg-type]
    exact = all(
        np.array_equal(left.pixels, right.pixels)
        for left, right in zip(picture.frames, decode(again).frames, strict=True)
    )
    assert exact is lossless


def test_big_tiff_is_read(rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path) -> None:
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    deep = rgb.astype(np.uint16) * 257
    maker = [(271, 2, 0, "Maker", True)]
    tifffile.imwrite(
        source, deep, photometric="rgb", bigtiff=True, byteorder="<", resolution=(300, 240),
        resolutionunit="INCH", extratags=maker,
    )  # fmt: skip
    picture = image_io.read(source)
    assert np.array_equal(picture.frames[0].pixels, deep)
    assert picture.metadata.dpi == (300, 240)
    image_io.write(fast.upscale_picture(picture, Request()), target)
    with tifffile.TiffFile(target) as file:
        assert not file.is_bigtiff
        assert file.pages.first.tags["Make"].value == "Maker"
        assert np.array_equal(file.asarray(), fast.upscale(deep))
    tifffile.imwrite(source, deep, photometric="rgb", bigtiff=True, byteorder=">")
    with pytest.raises(ImageError, match="BigTIFF can only be read in little-endian order"):
        image_io.read(source)


def test_a_result_beyond_4_gib_is_written_as_big_tiff(
    rgba: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the limit lowered, as nobody wants to wait for 4 GiB; Pillow and tifffile read it."""
    monkeypatch.setattr("realesrgan_vk.image_io.codecs.tiff.MAX_BYTES", 1000)
    Image.fromarray(rgba).save(tmp_path / "in.png", exif=b"Exif\0\0" + exif(1), dpi=(300, 300))
    target = tmp_path / "out.tif"
    assert image_io.write(image_io.read(tmp_path / "in.png"), target) == ()
    with tifffile.TiffFile(target) as file:
        assert file.is_bigtiff
        assert file.pages.first.tags["Make"].value == "Maker"
        assert np.array_equal(file.asarray(), rgba)
    with Image.open(target) as image:
        assert np.array_equal(np.asarray(image), rgba)
        assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
    assert np.array_equal(image_io.read(target).frames[0].pixels, rgba[..., :3])


def test_rows_are_read_from_and_written_to_big_tiff(
    rgb: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realesrgan_vk.image_io.codecs.tiff.MAX_BYTES", 1000)
    target, (height, width) = tmp_path / "out.tif", rgb.shape[:2]
    with TiffRowWriter(target, width, height, Metadata(exif=exif(1))) as sink:
        for row in range(0, height, 4):
            sink.write(row, rgb[row : row + 4])
    with tifffile.TiffFile(target) as file:
        assert file.is_bigtiff
        assert file.pages.first.tags["Make"].value == "Maker"
        assert np.array_equal(file.asarray(), rgb)
    source = TiffRows(target)
    assert b"Maker" in (source.metadata.exif or b"")
    assert np.array_equal(source.read(0, height), rgb)
    for damaged in (b"II*", target.read_bytes()[:12]):
        (tmp_path / "damaged.tif").write_bytes(damaged)
        with pytest.raises(ImageError, match=r"damaged\.tif cannot be read"):
            TiffRows(tmp_path / "damaged.tif")


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32", "uint32", "int16"])
def test_samples_that_cannot_be_used_are_named(dtype: str) -> None:
    out = BytesIO()
    tifffile.imwrite(out, np.ones((4, 4), dtype), photometric="minisblack")
    bits = "64 bit" if "64" in dtype else dtype
    with pytest.raises(ImageError, match=f"{bits} samples cannot be used, only whole numbers of 8"):
        decode(out.getvalue())


def test_bilevel_grey_with_transparency_becomes_grey_and_alpha(
    rgb: NDArray[np.uint8], fast: Upscaler, tmp_path: Path
) -> None:
    levels = (rgb[..., :1] >> 7).astype(np.uint8)
    made = png(levels, 1, 0)
    path = tmp_path / "out.png"
    picture = decode(made[:33] + chunk(b"tRNS", struct.pack(">H", 1)) + made[33:])
    assert (picture.mode, picture.bits) == ("grey", 8)
    image_io.write(fast.upscale_picture(picture, Request()), path)
    with Image.open(path) as image:
        assert image.mode == "LA"
        shown = np.asarray(image)[2::4, 2::4, 1] < 128
    assert (shown == (levels[..., 0] == 1)).mean() > 0.85, "white was transparent"


def test_the_depth_that_is_lost_is_said(rgb: NDArray[np.uint8]) -> None:
    deep = pillow_heif.from_bytes(
        "RGB;16", (rgb.shape[1], rgb.shape[0]), (rgb.astype("<u2") * 257).tobytes()
    )
    out = BytesIO()
    deep.save(out, quality=90)
    assert decode(out.getvalue()).notes == ("its 10 bits a sample become 8",)
    assert decode(saved(Image.fromarray(rgb), "AVIF")).notes == ()
    for name in ("AVIF", "HEIF"):
        several = {"save_all": True, "append_images": [Image.fromarray(255 - rgb)]}
        several_notes = decode(saved(Image.fromarray(rgb), name, **several)).notes
        assert several_notes == ("only the first of 2 pictures is used",)
    samples = rgb.astype(np.uint16) * 257
    moving = png(samples, 16, 2)
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    picture = decode(moving[:33] + control + moving[33:])
    assert picture.notes == ("of a 16-bit animation only the first picture can be read",)
    assert len(picture.frames) == 1


def test_the_limit_says_how_it_counts() -> None:
    data = png(np.zeros((30, 40, 3), np.uint16), 16, 2)
    words = r"claims 40 x 30 pixels of 16 bits \(they count as 2400\), more than the limit of 2000"
    with pytest.raises(ImageError, match=words):
        decode(data, max_pixels=2000)
    assert decode(data, max_pixels=2400).bits == 16


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF", "BMP"])
def test_the_header_is_told_before_pixels_are_decoded(
    rgb: NDArray[np.uint8], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(Image.fromarray(rgb), name, exif=b"Exif\0\0" + exif(6))
    told: list[Header] = []

    class TooLargeError(ImageError):
        pass

    def accept(header: Header) -> None:
        told.append(header)
        raise TooLargeError("too large")

    def decodes(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decodes)
    monkeypatch.setattr("realesrgan_vk.image_io.codecs.vips.pixels_of", decodes)
    with pytest.raises(TooLargeError, match="the picture: too large"):
        decode(data, accept=accept)
    turned = name not in ("GIF", "BMP")  # which hold no EXIF
    height, width = rgb.shape[:2]
    assert [each.width for each in told] == [height if turned else width]
    assert [each.height for each in told] == [width if turned else height]


def claimed(header: Header) -> tuple[int, int, int, bool]:
    return header.width, header.height, header.frames, header.has_alpha


def test_the_header_tells_transparency_and_frames(rgba: NDArray[np.uint8]) -> None:
    headers: list[Header] = []
    cut_out = rgba * (rgba[..., 3:] > 100)
    images = [Image.fromarray(np.roll(cut_out, index, axis=1)) for index in range(3)]
    height, width = rgba.shape[:2]
    for name in ("PNG", "WEBP", "TIFF", "GIF"):
        decode(saved(images[0], name), accept=headers.append)
    assert list(map(claimed, headers)) == [(width, height, 1, True)] * 4
    headers.clear()
    for name in ("PNG", "WEBP", "GIF"):
        moving = saved(images[0], name, save_all=True, append_images=images[1:])
        decode(moving, accept=headers.append)
    assert list(map(claimed, headers)) == [(width, height, 3, True)] * 3
