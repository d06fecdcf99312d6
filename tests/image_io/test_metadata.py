"""EXIF, ICC, XMP, resolution, orientation and colour: kept, corrected, or dropped when asked."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.image_io.metadata import exif
from realesrgan_vk.imaging.picture import Picture
from realesrgan_vk.options import Request

Photo = Callable[..., NDArray[np.uint8]]
WIDTH, HEIGHT = 24, 16
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation='
    b'"%d" tiff:ImageWidth="24"/></rdf:RDF></x:xmpmeta>'
)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

pillow_heif.register_heif_opener()


def exif_block(orientation: int, order: str = "<") -> bytes:
    """An EXIF block with a maker note, sizes and a JPEG thumbnail, as cameras write it."""
    thumbnail = b"\xff\xd8\xff\xe0 old picture \xff\xd9"
    maker, maker_note = b"Camera\0\0", b"a maker's own notes, with offsets in them"

    def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
        out = struct.pack(order + "H", len(entries))
        for tag, kind, count, value in entries:
            word = "HH" if kind == 3 else "I"
            values = (value, 0) if kind == 3 else (value,)
            out += struct.pack(order + "HHI" + word, tag, kind, count, *values)
        return out + struct.pack(order + "I", following)

    exif_at, thumb_at, data_at = 62, 120, 160
    first = directory(
        [
            (0x0100, 4, 1, WIDTH),
            (0x010F, 2, len(maker), data_at),
            (0x0112, 3, 1, orientation),
            (0x8769, 4, 1, exif_at),
        ],
        thumb_at,
    )
    details = directory(
        [
            (0x927C, 7, len(maker_note), data_at + 10),
            (0xA002, 3, 1, WIDTH),
            (0xA003, 3, 1, HEIGHT),
        ],
        0,
    )
    small = directory([(0x0201, 4, 1, data_at + 60), (0x0202, 4, 1, len(thumbnail))], 0)
    block = bytearray(data_at + 60)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    for at, content in (
        (0, mark + struct.pack(order + "I", 8)),
        (8, first),
        (exif_at, details),
        (thumb_at, small),
        (data_at, maker),
        (data_at + 10, maker_note),
    ):
        block[at : at + len(content)] = content
    return bytes(block) + thumbnail


def write_source(path: Path, image: Image.Image, orientation: int) -> None:
    """A file with all metadata that its format can hold."""
    block = exif_block(orientation)
    options: dict[str, Any] = {"exif": b"Exif\0\0" + block, "icc_profile": SRGB, "dpi": (300, 240)}
    options["xmp"] = XMP % orientation
    if path.suffix == ".png":
        from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode())
        options["pnginfo"] = info
    name = {".heic": "HEIF", ".tif": "TIFF"}.get(path.suffix)
    if path.suffix == ".tif":
        tags = Image.Exif()
        tags.load(options.pop("exif"))
        tags[700] = options.pop("xmp")
        tags[0x0100] = image.width
        options["exif"] = tags
    image.save(path, name, quality=95, **options)


def enhanced(fast: Upscaler, source: Path, target: Path, **options: Any) -> Picture:  # noqa: ANN401
    picture = fast.upscale_picture(image_io.read(source), Request())
    image_io.write(picture, target, image_io.WriteOptions(**options))
    return picture


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_metadata_is_kept_and_corrected(
    photo: Photo, fast: Upscaler, tmp_path: Path, suffix: str
) -> None:
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    write_source(source, Image.fromarray(photo(WIDTH, HEIGHT)), 6)
    enhanced(fast, source, target)
    with Image.open(target) as out:
        assert out.size == (4 * HEIGHT, 4 * WIDTH), "upright"
        tags = out.getexif()
        assert tags[0x010F].rstrip("\0") == "Camera"
        assert tags.get(0x0112, 1) == 1
        assert tags[0x0100] == 4 * HEIGHT
        details = tags.get_ifd(0x8769)
        assert details[0x927C] == b"a maker's own notes, with offsets in them"
        assert (details[0xA002], details[0xA003]) == (4 * HEIGHT, 4 * WIDTH)
        assert not tags.get_ifd(1), "no thumbnail"
        assert out.info["icc_profile"] == SRGB
        packet = out.info.get("xmp") or out.info.get("XML:com.adobe.xmp")
        packet = packet.encode() if isinstance(packet, str) else packet
        expected = XMP.replace(b'Width="24"', b'Width="%d"' % (4 * HEIGHT)) % 1
        if suffix == "heic":  # pillow-heif turns the picture itself and takes the tag out
            expected = expected.replace(b'tiff:Orientation="1"', b"")
        assert packet == expected
        if suffix in ("jpg", "png", "tif"):
            assert out.info["dpi"] == pytest.approx((240, 300), rel=1e-3), "turned as the picture"
    assert b"old picture" not in target.read_bytes()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_strip_drops_it_all(photo: Photo, fast: Upscaler, tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    write_source(source, Image.fromarray(photo(WIDTH, HEIGHT)), 3)
    enhanced(fast, source, target, strip=True)
    with Image.open(target) as out:
        assert 0x010F not in out.getexif()
        assert not out.info.get("xmp")
        assert "XML:com.adobe.xmp" not in out.info
        assert out.info.get("dpi", (96, 96)) != (300, 240)
    assert SRGB not in target.read_bytes()
    assert b"Camera" not in target.read_bytes()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "deep.tif", "avif", "heic"])
def test_every_orientation_comes_out_upright(
    photo: Photo, fast: Upscaler, tmp_path: Path, suffix: str
) -> None:
    upright = photo(WIDTH, HEIGHT)
    # How a camera stores the upright picture for each orientation.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }
    for orientation, pixels in stored.items():
        source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
        if suffix == "deep.tif":
            deep = pixels.astype(np.uint16) * 257
            tags = [(274, 3, 1, orientation, True)]
            tifffile.imwrite(source, deep, photometric="rgb", extratags=tags)
        else:
            write_source(source, Image.fromarray(np.ascontiguousarray(pixels)), orientation)
        enhanced(fast, source, target)
        with Image.open(target) as out:
            assert out.size == (4 * WIDTH, 4 * HEIGHT)
            if suffix != "deep.tif":
                assert out.getexif().get(0x0112, 1) == 1
            small = np.asarray(out.convert("RGB").resize((WIDTH, HEIGHT))).astype(int)
        assert np.abs(small - upright).mean() < 8, (suffix, orientation)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_edited_in_place(order: str) -> None:
    block = exif_block(8, order)
    assert exif.orientation(block) == 8
    edited = exif.upright(block, 70_000, 3)
    assert edited is not None
    assert exif.orientation(edited) == 1
    assert b"old picture" not in edited
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + edited)
    assert tags[0x0100] == 70_000
    assert tags.get_ifd(0x8769)[0xA002] == 70_000, "too large for the 16 bits it had"
    assert edited.index(b"a maker's own") == block.index(b"a maker's own")


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # Pillow's
def test_damaged_exif_is_dropped_and_said(photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    block = b"Exif\0\0" + exif_block(6)[:40]
    Image.fromarray(photo(WIDTH, HEIGHT)).save(path, exif=block)
    picture = image_io.read(path)
    assert picture.metadata.exif is None
    assert picture.notes == ("the EXIF data was damaged and is dropped",)
