"""PNG texts, raw profiles, background, time and significant bits: kept, or a note says so."""

import struct
import time
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import SRGB, chunk, chunks_of, png, png_with
from PIL import Image

from realesrgan_vk import ImageError, Upscaler, image_io
from realesrgan_vk.image_io.formats import GIF, JPEG, PNG, TIFF, WEBP
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.imaging.picture import Picture
from realesrgan_vk.options import Request

TEXTS = (
    (b"tEXt", b"parameters\0a red fox\nSteps: 20"),
    (b"iTXt", b"workflow\0\0\0en\0\0" + '{"title": "täst"}'.encode()),
    (b"zTXt", b"Comment\0\0" + zlib.compress(b"zipped " * 40)),
    (b"iTXt", b"Title\0\1\0\0\0" + zlib.compress("größer".encode())),
)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
IPTC = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x19\x00\x03key"
RESOURCES = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + bytes(len(IPTC) % 2)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Maker", orientation
    return tags.tobytes().removeprefix(b"Exif\0\0")


def raw_profile(name: bytes, content: bytes, kind: bytes = b"zTXt") -> tuple[bytes, bytes]:
    """As ImageMagick writes it."""
    digits = content.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = b"\n" + name + b"\n%8d\n" % len(content) + lines + b"\n"
    head = b"Raw profile type " + name + b"\0"
    return kind, head + (b"\0" + zlib.compress(text) if kind == b"zTXt" else text)


def upscaled(fast: Upscaler, data: bytes) -> Picture:
    return fast.upscale_picture(decode(data), Request())


def extra(data: bytes) -> list[tuple[bytes, bytes]]:
    pixels = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    return [each for each in chunks_of(data) if each[0] not in pixels]


@pytest.mark.parametrize("bits", [8, 16])
def test_texts_and_the_time_are_kept_as_they_are(
    rgb: NDArray[np.uint8], fast: Upscaler, bits: int
) -> None:
    samples = rgb.astype(np.uint16) * 257 if bits == 16 else rgb
    time = (b"tIME", struct.pack(">HBBBBB", 2024, 2, 29, 1, 2, 3))
    private = (b"prVt", b"safe to copy")
    data = png(samples, bits, 2)
    late = b"".join(chunk(*each) for each in TEXTS[2:])
    source = png_with(data, *TEXTS[:2], time, private)
    picture = upscaled(fast, source[:-12] + late + source[-12:])
    out, notes = image_io.encode(picture, PNG)
    assert notes == picture.notes == ()
    assert sorted(extra(out)) == sorted([*TEXTS, time, private])
    stripped, _ = image_io.encode(picture, PNG, image_io.WriteOptions(strip=True))
    assert extra(stripped) == []


def test_texts_of_an_animation_are_kept(rgb: NDArray[np.uint8], fast: Upscaler) -> None:
    out = BytesIO()
    frames = [Image.fromarray(np.roll(rgb, index, 0)) for index in range(3)]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    picture = upscaled(fast, png_with(out.getvalue(), *TEXTS))
    again, _ = image_io.encode(picture, PNG)
    assert [each for each in chunks_of(again) if each[0].endswith(b"Xt")] == list(TEXTS)
    assert len(decode(again).frames) == 3


def test_other_formats_keep_comments_and_say_which_texts_go(rgb: NDArray[np.uint8]) -> None:
    picture = decode(png_with(png(rgb, 8, 2), *TEXTS, (b"tEXt", b"odd\nname\0text")))
    for known in (JPEG, GIF):
        data, notes = image_io.encode(picture, known)
        names = "parameters, workflow, Title, odd?name"
        assert notes == (f"{known.name} holds no PNG texts; they are dropped: {names}",)
        with Image.open(BytesIO(data)) as image:
            assert image.info["comment"] == b"zipped " * 40
    for known in (WEBP, TIFF):
        _, notes = image_io.encode(picture, known)
        names = "parameters, workflow, Comment, Title, odd?name"
        assert notes == (f"{known.name} holds no PNG texts; they are dropped: {names}",)
    for kind, content, words in (
        (b"tIME", bytes(7), "time of modification"),
        (b"bKGD", bytes(6), "background colour"),
        (b"sBIT", bytes([5, 6, 5]), "number of significant bits"),
    ):
        _, notes = image_io.encode(decode(png_with(png(rgb, 8, 2), (kind, content))), JPEG)
        assert notes == (f"JPEG holds no {words}; it is dropped",)


@pytest.mark.parametrize("kind", [b"zTXt", b"tEXt"])
@pytest.mark.parametrize("name", [b"exif", b"APP1"])
@pytest.mark.parametrize("prefix", [b"Exif\0\0", b""])
def test_exif_in_a_raw_profile_is_applied_and_kept(
    rgb: NDArray[np.uint8], fast: Upscaler, name: bytes, kind: bytes, prefix: bytes
) -> None:
    source = png_with(png(rgb, 8, 2), raw_profile(name, prefix + exif(6), kind))
    picture = decode(source)
    assert np.array_equal(picture.frames[0].pixels, np.rot90(rgb, -1))
    out, _ = image_io.encode(upscaled(fast, source), PNG)
    (only,) = extra(out)
    assert only[0] == b"eXIf"
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + only[1])
    assert (tags[0x010F], tags[0x0112]) == ("Maker", 1)


def test_xmp_iptc_and_profiles_in_raw_profiles_are_used(rgb: NDArray[np.uint8]) -> None:

    for name, content in ((b"iptc", RESOURCES), (b"8bim", RESOURCES), (b"iptc", IPTC)):
        picture = decode(png_with(png(rgb, 8, 2), raw_profile(name, content)))
        assert picture.metadata.photoshop == RESOURCES
        assert b"Photoshop 3.0\0" + RESOURCES in image_io.encode(picture, JPEG)[0]
    again = decode(image_io.encode(picture, PNG)[0])
    assert again.metadata.photoshop == RESOURCES
    for name, content in ((b"xmp", XMP), (b"APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP)):
        assert decode(png_with(png(rgb, 8, 2), raw_profile(name, content))).metadata.xmp == XMP
    assert decode(png_with(png(rgb, 8, 2), raw_profile(b"icc", SRGB))).metadata.icc == SRGB


def test_damaged_raw_profiles_stay_texts(rgb: NDArray[np.uint8]) -> None:
    whole = raw_profile(b"exif", exif(6), b"tEXt")
    for text in (
        (whole[0], whole[1][:-20]),
        (whole[0], whole[1].replace(b"\n", b" ")),
        (b"zTXt", b"Raw profile type exif\0\0no zlib stream"),
        raw_profile(b"exif", b"no TIFF header"),
        raw_profile(b"unknown", b"content"),
        (b"tEXt", b"Raw profile type exif\0\nexif\n99999999\n00"),
    ):
        picture = decode(png_with(png(rgb, 8, 2), text))
        assert picture.metadata.exif is None
        assert picture.metadata.png == (text,)


def test_time_grows_with_the_size_of_a_file_only(rgb: NDArray[np.uint8]) -> None:
    blank = zlib.compress(b" \n" * 200_000)
    declared = b" ".join(b'xmlns:n%d="u"' % index for index in range(20_000))
    packet = b"<a " + declared + b">" + b'<b xmlns:c="d"/>' * 20_000 + b"</a>"
    cases = (
        [(b"zTXt", b"Raw profile type exif\0\0" + blank)],
        [(b"tEXt", b"a\0b")] * 30_000 + [(b"sBIT", b"\x08\x08\x08")] * 30_000,
        [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)],
    )
    for chunks in cases:
        data = png_with(png(rgb, 8, 2), *chunks)
        started = time.perf_counter()
        decode(data)
        assert time.perf_counter() - started < 5


def test_a_bomb_in_a_text_is_not_unpacked(rgb: NDArray[np.uint8]) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    chunks = [(b"zTXt", b"Raw profile type exif\0\0" + bomb)] * 40
    chunks += [(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb)]
    chunks += [(b"iCCP", b"name\0\0" + bomb)]
    picture = decode(png_with(png(rgb, 8, 2), *chunks))
    assert picture.notes == (
        "of the packed metadata the first 16 are used",
        "the colour profile is damaged or too large and is dropped",
    )


def test_backgrounds_are_scaled_to_the_depth_of_the_result(fast: Upscaler) -> None:
    def background(samples: NDArray[np.generic], bits: int, kind: int, content: bytes) -> bytes:
        picture = upscaled(fast, png_with(png(samples, bits, kind), (b"bKGD", content)))
        out = image_io.encode(picture, PNG)[0]
        assert (out[24], out[25]) == (bits, kind)
        return dict(chunks_of(out))[b"bKGD"]

    rgb = np.full((6, 6, 3), 90, np.uint8)
    assert background(rgb, 8, 2, bytes([0, 1, 0, 2, 0, 3])) == bytes([0, 1, 0, 2, 0, 3])
    deep = rgb.astype(np.uint16) * 257
    assert background(deep, 16, 2, b"\1\2\3\4\5\6") == b"\1\2\3\4\5\6"
    assert background(rgb[..., :1] >> 5, 4, 0, b"\0\7") == b"\0\7"
    # White transparent makes grey and alpha of it, in 8 bits.
    grey = png(rgb[..., :1] >> 7, 1, 0)
    narrow = png_with(grey, (b"tRNS", b"\0\1"), (b"bKGD", b"\0\1"))
    out = image_io.encode(upscaled(fast, narrow), PNG)[0]
    assert (out[24], out[25], dict(chunks_of(out))[b"bKGD"]) == (8, 4, b"\0\xff")


def test_a_palette_keeps_its_background(fast: Upscaler) -> None:
    stripes = (np.arange(36).reshape(6, 6, 1) % 2).astype(np.uint8)
    palette = (b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    source = png_with(png(stripes, 8, 3), palette, (b"bKGD", b"\1"))
    out = image_io.encode(upscaled(fast, source), PNG)[0]
    chunks = dict(chunks_of(out))
    kinds = [kind for kind, _ in chunks_of(out)]
    assert kinds.index(b"PLTE") < kinds.index(b"bKGD") < kinds.index(b"IDAT")
    entry = 3 * chunks[b"bKGD"][0]
    found = np.frombuffer(chunks[b"PLTE"][entry : entry + 3], np.uint8).astype(int)
    assert np.abs(found - [200, 100, 50]).max() < 40, "the nearest entry"


@pytest.mark.parametrize(
    ("shape", "kind", "bits", "expected"),
    [
        (3, 2, bytes([5, 6, 5]), bytes([5, 6, 5])),
        (4, 6, bytes([5, 6, 5, 1]), bytes([5, 6, 5, 1])),
        (1, 0, bytes([7]), bytes([7])),
    ],
)
def test_significant_bits_fit_the_result(
    rgba: NDArray[np.uint8], shape: int, kind: int, bits: bytes, expected: bytes
) -> None:
    picture = decode(png_with(png(rgba[..., :shape], 8, kind), (b"sBIT", bits)))
    assert dict(chunks_of(image_io.encode(picture, PNG)[0]))[b"sBIT"] == expected
    damaged = decode(png_with(png(rgba[..., :shape], 8, kind), (b"sBIT", bits + b"\x09")))
    assert damaged.notes == ("the chunk sBIT is damaged and is dropped",)


def test_chunks_of_the_old_pixels_are_dropped_with_a_note(rgb: NDArray[np.uint8]) -> None:
    picture = decode(png_with(png(rgb, 8, 2), (b"prVT", b"unsafe to copy"), (b"caBX", b"c2pa")))
    assert picture.metadata.png == ()
    assert picture.notes == (
        "the chunk prVT describes the old pixels and is dropped",
        "the content credentials (C2PA) vouch for the old pixels and are dropped",
    )


def test_a_wrong_checksum_costs_an_ancillary_chunk_only(rgb: NDArray[np.uint8]) -> None:
    data = png(rgb, 8, 2)
    wrong = bytearray(chunk(b"tEXt", b"Comment\0hello"))
    wrong[-1] ^= 1
    kept = (b"tEXt", b"Author\0Jane")
    picture = decode(data[:33] + bytes(wrong) + chunk(*kept) + data[33:])
    assert picture.notes == ("chunks with a wrong checksum are skipped: tEXt",)
    assert picture.metadata.png == (kept,)
    assert np.array_equal(picture.frames[0].pixels, rgb)
    for at in (29, 50, len(data) - 13):  # IHDR's checksum, and IDAT's content and checksum
        broken = bytearray(data)
        broken[at] ^= 0xFF
        with pytest.raises(ImageError, match="damaged, or no whole PNG"):
            decode(bytes(broken))


def test_a_wrong_checksum_in_an_animation_leaves_its_first_picture(rgb: NDArray[np.uint8]) -> None:
    out = BytesIO()
    frames = [Image.fromarray(np.roll(rgb, index, 0)) for index in range(3)]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    broken = bytearray(out.getvalue())
    broken[broken.index(b"fdAT") + 30] ^= 0xFF
    picture = decode(bytes(broken))
    assert len(picture.frames) == 1
    assert np.array_equal(picture.frames[0].pixels, rgb)
    assert picture.notes == (
        "chunks with a wrong checksum are skipped: fdAT",
        "the animation is damaged; only its first picture is used",
    )


def test_apples_variant_is_called_by_its_name(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    data = png(rgb, 8, 2)
    path = tmp_path / "icon.png"
    path.write_bytes(data[:8] + chunk(b"CgBI", b"\x50\0\x20\6") + data[8:])
    with pytest.raises(ImageError, match=r"icon\.png: this is Apple's variant of PNG \(CgBI\)"):
        image_io.read(path)
