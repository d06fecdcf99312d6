"""A PNG file's gAMA, cHRM, sRGB and cICP: kept, used, and a profile for other formats.

The colours of results are judged by Little CMS, through Pillow's ImageCms.
"""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import SRGB, chunks_of, png, png_with
from PIL import Image, ImageCms

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.image_io.codecs.color import WorkingCurve
from realesrgan_vk.image_io.formats import BMP, JPEG, PNG, TIFF, WEBP, Format
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.imaging.picture import Picture
from realesrgan_vk.options import Request

LINEAR = (b"gAMA", struct.pack(">I", 100_000))
P3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
BT2020_SRGB = (b"cICP", bytes([9, 13, 0, 1]))
PQ = (b"cICP", bytes([9, 16, 0, 1]))
MASTERING = (b"mDCV", bytes(24))
LIGHT = (b"cLLI", bytes(8))
ICC = (b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB))


def source(*chunks: tuple[bytes, bytes]) -> Picture:
    samples = np.full((12, 16, 3), (178, 60, 90), np.uint8)
    return decode(png_with(png(samples, 8, 2), *chunks))


def upscaled(fast: Upscaler, *chunks: tuple[bytes, bytes]) -> Picture:
    return fast.upscale_picture(source(*chunks), Request())


def shown(data: bytes) -> NDArray[np.float64]:
    """The middle pixel of a file in sRGB, as a colour-managed reader sees it."""
    with Image.open(BytesIO(data)) as image:
        profile = image.info.get("icc_profile")
        rgb = image.convert("RGB")
        if profile:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(rgb, source, ImageCms.createProfile("sRGB"))
            assert converted is not None
            rgb = converted
        middle: NDArray[np.float64] = np.asarray(rgb, np.float64)[rgb.height // 2, rgb.width // 2]
        return middle


@pytest.mark.parametrize(
    "chunks",
    [
        (LINEAR,),
        (LINEAR, P3),
        ((b"sRGB", b"\1"), (b"gAMA", struct.pack(">I", 45455))),
        (BT2020_SRGB,),
        (PQ, MASTERING, LIGHT),
    ],
)
def test_what_png_says_of_its_colours_is_kept_as_it_is(
    fast: Upscaler, chunks: tuple[tuple[bytes, bytes], ...]
) -> None:
    data, notes = image_io.encode(upscaled(fast, *chunks), PNG)
    kinds = [kind for kind, _ in chunks_of(data)]
    assert [each for each in chunks_of(data) if each[0] not in (b"IHDR", b"IDAT", b"IEND")] == list(
        chunks
    )
    assert max(kinds.index(kind) for kind, _ in chunks) < kinds.index(b"IDAT")
    assert notes == ()


@pytest.mark.parametrize("known", [JPEG, WEBP, TIFF, BMP], ids=lambda known: known.name)
@pytest.mark.parametrize("chunks", [(LINEAR,), (LINEAR, P3), (BT2020_SRGB,)])
def test_other_formats_look_the_same(
    known: Format, chunks: tuple[tuple[bytes, bytes], ...]
) -> None:
    options = image_io.WriteOptions(lossless=True, quality=100)
    data, notes = image_io.encode(source(*chunks), known, options)
    assert notes == ()
    linear = chunks[0] == LINEAR
    value = np.array([178, 60, 90]) / 255
    light = value if linear else ((value + 0.055) / 1.055) ** 2.4
    to_srgb = {  # of linear light
        1: np.eye(3),
        2: np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0196, -0.0786, 1.0979]]),
    }[len(chunks)]
    if not linear:
        to_srgb = np.array(
            [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
        )
    light = np.clip(to_srgb @ light, 0, 1)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(shown(data) - expected).max() < 2, expected


def test_the_network_works_in_the_curve_of_the_chunks(fast: Upscaler) -> None:
    rng = np.random.default_rng(4)
    samples = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = decode(png_with(png(samples, 8, 2), LINEAR))
    curve = WorkingCurve.of(picture.metadata.icc)
    light = samples[0, 0, 0] / 255
    encoded = curve.encode(samples)[0, 0, 0] / 65535
    assert abs(encoded - (1.055 * light ** (1 / 2.4) - 0.055)) < 1e-3
    done = fast.upscale_picture(picture, Request()).frames[0].pixels
    expected = curve.decode(fast.upscale(curve.encode(samples)), np.dtype(np.uint8))
    assert np.array_equal(done, expected)
    assert not np.array_equal(done, fast.upscale(samples))


def test_a_pil_image_of_such_a_file_is_upscaled_as_the_file_is(
    fast: Upscaler, tmp_path: Path
) -> None:
    samples = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(png_with(png(samples, 8, 2), LINEAR, P3))
    of_file = fast.upscale(path)
    with Image.open(path) as image:
        large = fast.upscale(image)
    assert np.array_equal(np.asarray(large), np.asarray(of_file))
    assert large.info["gamma"] == 1.0, "Pillow's own words for it are kept"


def test_chunks_take_precedence_in_the_order_of_the_standard() -> None:
    """cICP, iCCP, sRGB, gAMA and cHRM (third edition, section 4.3)."""
    grey = np.full((4, 4, 3), 100, np.uint8)

    def profile(*chunks: tuple[bytes, bytes]) -> bytes | None:
        return decode(png_with(png(grey, 8, 2), *chunks)).metadata.icc

    srgb = (b"sRGB", b"\0")
    assert profile(ICC, srgb, LINEAR) == SRGB
    assert profile(srgb, LINEAR) is None
    primaries = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    assert profile((b"cHRM", primaries)) is None, "those of sRGB"
    assert profile(P3) is not None
    assert profile((b"cICP", bytes([1, 13, 0, 1])), ICC, LINEAR) is None
    assert profile(BT2020_SRGB, ICC) not in (SRGB, None)
    assert profile((b"cICP", bytes([2, 2, 0, 1])), ICC) == SRGB, "2 is: unspecified"
    assert profile(PQ, ICC) == SRGB, "for readers that know ICC profiles only"


def test_grey_gets_a_grey_profile() -> None:
    samples = np.full((12, 16, 1), 55, np.uint8)
    picture = decode(png_with(png(samples, 8, 0), LINEAR))
    data, notes = image_io.encode(picture, TIFF)
    assert notes == ()
    with Image.open(BytesIO(data)) as image:
        assert image.mode == "L"
        source = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        seen = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert seen is not None
        value = np.asarray(seen)[6, 8]
    assert np.abs(value - 255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055)).max() < 1.5
    webp, _ = image_io.encode(picture, WEBP, image_io.WriteOptions(lossless=True))
    assert abs(shown(webp)[0] - int(value[0])) < 2


def test_what_cannot_be_told_or_makes_no_sense_is_said(fast: Upscaler, tmp_path: Path) -> None:
    picture = upscaled(fast, PQ, MASTERING, LIGHT)
    notes = image_io.write(picture, tmp_path / "a.jpg")
    assert [note for note in notes if "PQ (cICP)" in note]
    assert [note for note in notes if "mastering display" in note]
    grey = png(np.full((4, 4, 3), 100, np.uint8), 8, 2)
    for chunk, words in (
        ((b"gAMA", bytes(4)), "gAMA is 0"),
        ((b"cHRM", bytes(32)), "cHRM is"),
        ((b"cHRM", struct.pack(">8I", *[33333] * 8)), "the primaries span no triangle"),
    ):
        odd = decode(png_with(grey, chunk))
        assert odd.metadata.icc is None
        assert odd.notes == (next(note for note in odd.notes if words in note),)
    for chunk in ((b"gAMA", b"abc"), (b"cICP", b"\1")):
        odd = decode(png_with(grey, chunk))
        name = chunk[0].decode()
        assert odd.notes == (f"the chunk {name} is damaged and is dropped",)
    odd = decode(png_with(grey, (b"iCCP", b"name\0\0no zlib stream"), LINEAR))
    assert odd.notes == ("the colour profile is damaged or too large and is dropped",)
    assert odd.metadata.icc is not None, "gAMA's"


def test_stripping_makes_colours_srgb(fast: Upscaler) -> None:
    data, _ = image_io.encode(upscaled(fast, LINEAR), PNG, image_io.WriteOptions(strip=True))
    assert [kind for kind, _ in chunks_of(data)] == [b"IHDR", b"IDAT", b"IEND"]
    assert abs(shown(data)[0] - 218) < 5
