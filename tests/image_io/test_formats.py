"""TGA, JPEG 2000 and Netpbm's formats, sources made and results decoded by other code; and files
that are no pictures."""

import json
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import SRGB, png, saved
from PIL import Image

from realesrgan_vk import ImageError, Upscaler, image_io
from realesrgan_vk.image_io import formats
from realesrgan_vk.image_io.containers import photoshop
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.imaging.picture import Frame, Metadata, Picture
from realesrgan_vk.options import Request

FAST = "realesr-animevideov3"


def netpbm(samples: NDArray[Any], magic: bytes, top: int = 255) -> bytes:
    """A binary file of a kind that needs no more than a size."""
    height, width = samples.shape[:2]
    head = b"%s # made here\n%d %d\n%d\n" % (magic, width, height, top)
    return head + samples.astype(">u2" if top > 255 else "u1").tobytes()


def pam(samples: NDArray[Any], kind: bytes, top: int) -> bytes:
    height, width, depth = samples.shape
    head = b"P7\nWIDTH %d\nHEIGHT %d\n# a comment\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n"
    stored = samples.astype(">u2" if top > 255 else "u1").tobytes()
    return head % (width, height, depth, top, kind) + stored


@pytest.mark.parametrize("deep", [False, True])
def test_binary_netpbm_files_are_read(rgba: NDArray[np.uint8], deep: bool) -> None:
    samples: NDArray[Any] = rgba.astype(np.uint16) * 257 if deep else rgba
    top, bits = (65535, 16) if deep else (255, 8)
    for data, channels, alpha in (
        (netpbm(samples[..., :1], b"P5", top), 1, False),
        (netpbm(samples[..., :3], b"P6", top), 3, False),
        (pam(samples[..., :1], b"GRAYSCALE", top), 1, False),
        (pam(samples[..., [0, 3]], b"GRAYSCALE_ALPHA", top), 1, True),
        (pam(samples[..., :3], b"RGB", top), 3, False),
        (pam(samples, b"RGB_ALPHA", top), 3, True),
    ):
        picture = decode(data)
        frame = picture.frames[0]
        assert (picture.bits, frame.pixels.dtype.itemsize * 8) == (bits, bits)
        assert np.array_equal(frame.pixels, samples[..., :channels])
        assert (frame.alpha is not None) == alpha
        if frame.alpha is not None:
            assert np.array_equal(frame.alpha, samples[..., 3])
        assert len(picture.metadata.comments) == 1


def test_plain_netpbm_files_are_read(rgb: NDArray[np.uint8]) -> None:
    height, width = rgb.shape[:2]
    text = "\n".join(" ".join(map(str, row.ravel())) for row in rgb)
    picture = decode(f"P3 {width} {height}\n# plain\n255\n{text}\n".encode())
    assert np.array_equal(picture.frames[0].pixels, rgb)
    ten_bits = decode(b"P2 3 1 1023\n0 512 1023")
    assert ten_bits.frames[0].pixels.ravel().tolist() == [0, 32800, 65535]
    narrow = decode(b"P5 4 1 3\n\0\1\2\3")
    assert narrow.frames[0].pixels.ravel().tolist() == [0, 85, 170, 255]
    bits = decode(b"P1\n# bits\n5 2\n1 0 1 0 1\n01010")
    assert (bits.mode, bits.bits) == ("bilevel", 1)
    assert bits.frames[0].pixels[..., 0].tolist() == [[0, 255, 0, 255, 0], [255, 0, 255, 0, 255]]
    packed = decode(b"P4\n10 2\n" + bytes([0b10101010, 0b01000000, 0, 0]))
    assert packed.frames[0].pixels[0, :, 0].tolist() == [0, 255] * 4 + [255, 0]
    two = decode(netpbm(rgb, b"P6") * 2)
    assert two.notes == ("only the first picture of the file is used",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_maps_keep_their_range(channels: int, order: str) -> None:
    rng = np.random.default_rng(1)
    samples = (rng.random((6, 7, channels)) * 5 - 1).astype(np.float32)
    scale = -1 if order == "<" else 1
    head = b"%s\n7 6\n%d.0\n" % (b"PF" if channels == 3 else b"Pf", scale)
    data = head + samples[::-1].astype(f"{order}f4").tobytes()
    picture = decode(data)
    assert picture.bits == 32
    out, notes = image_io.encode(picture, formats.PFM)
    assert notes == ()
    again = np.frombuffer(out[-samples.nbytes :], "<f4").reshape(samples.shape)[::-1]
    assert again == pytest.approx(samples, abs=1e-5)
    if channels == 1:
        with Image.open(BytesIO(out)) as image:
            assert np.asarray(image) == pytest.approx(samples[..., 0], abs=1e-5)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"P6 4 4 255\n" + bytes(40), "end 8 bytes early"),
        (b"P6 4 4", "header ends early"),
        (b"P6 4 4 0\n", "'0' is no number from 1 to 65535"),
        (b"P6 4 -4 255\n", "'-4' is no number"),
        (b"P6 4 99999999999999999999 255\n", "is no number"),
        (b"P3 1 1 255\n1 2 x", "a sample is no number"),
        (b"P3 2 2 255\n1 2 3", "there are 3 of 12 samples"),
        (b"P1 2 2\n1 0 1", "end early"),
        (b"P1 2 2\n1 0 1 7", "are no bits"),
        (b"Pf 2 2 nan\n" + bytes(16), "scale is nan"),
        (b"P7\nWIDTH 2\nENDHDR\n", "header has no HEIGHT"),
        (b"P6\n" + b"#" * 60_000, "header ends early"),
        (b"P6\n" + b"# " * 30_000 + b"\n", "header ends early"),
        (b"P7\nWIDTH 2\n", "header has no end"),
    ],
)
def test_damaged_netpbm_files_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=f"damaged, or no whole P[A-Z]M file: .*{words}"):
        decode(data)


def test_pam_of_other_kinds_is_refused(rgba: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match="PAM pixels of 4 samples of the type 'CMYK' cannot be"):
        decode(pam(rgba, b"CMYK", 255))


@pytest.mark.parametrize("suffix", [".pgm", ".ppm", ".pam", ".pbm", ".pnm"])
@pytest.mark.parametrize("deep", [False, True])
def test_netpbm_files_are_written(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, suffix: str, deep: bool
) -> None:
    """Pillow judges, and a reader of PAM made here."""
    samples: NDArray[Any] = rgba.astype(np.uint16) * 257 if deep else rgba
    grey = suffix in (".pgm", ".pbm")
    source = netpbm(samples[..., :1] if grey else samples[..., :3], b"P5" if grey else b"P6",
                    65535 if deep else 255)  # fmt: skip
    if suffix == ".pam":
        source = pam(samples, b"RGB_ALPHA", 65535 if deep else 255)
    picture = fast.upscale_picture(decode(source), Request())
    path = tmp_path / f"out{suffix}"
    notes = image_io.write(picture, path)
    assert notes == (("PBM holds black and white only",) if suffix == ".pbm" else ())
    again = image_io.read(path)
    if suffix != ".pbm":
        assert np.array_equal(again.frames[0].pixels, picture.frames[0].pixels)
        assert again.bits == (16 if deep else 8)
    assert b"# " in path.read_bytes()[:40], "the comment is kept"
    if suffix != ".pam":
        with Image.open(path) as image:
            assert image.size == (96, 80)
            expected = picture.frames[0].pixels[..., 0 if grey else slice(None)]
            if suffix == ".pbm":
                assert image.mode == "1"
                eight = expected >> 8 if deep else expected
                assert (np.asarray(image) == (eight >= 128)).mean() > 0.99
            elif not deep or grey:
                assert np.array_equal(np.asarray(image), expected)


def test_formats_of_grey_say_that_colours_go(rgb: NDArray[np.uint8]) -> None:
    picture = Picture((Frame(rgb),), "colour", 8)
    data, notes = image_io.encode(picture, formats.PGM)
    assert notes == ("PGM holds no colours; they become grey",)
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(Image.fromarray(rgb).convert("L")).astype(int)
        assert np.abs(np.asarray(image) - expected).max() <= 1
    _, notes = image_io.encode(picture, formats.PBM)
    assert notes == ("PBM holds no colours; they become grey", "PBM holds black and white only")


@pytest.mark.parametrize("rle", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_tga_is_read_and_written(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, mode: str, rle: bool
) -> None:
    image = Image.fromarray(rgba[..., :3] if mode == "P" else rgba).convert(mode)
    source, target = tmp_path / "in.tga", tmp_path / "out.tga"
    image.save(source, rle=rle)
    picture = image_io.read(source)
    assert image_io.write(fast.upscale_picture(picture, Request()), target) == ()
    with Image.open(target) as out:
        assert (out.mode, out.size) == (mode, (96, 80))
        if mode in ("L", "RGB", "RGBA"):
            assert np.array_equal(np.asarray(out), fast.upscale(np.asarray(image)))


def test_tga_of_either_origin_and_without_alpha(rgba: NDArray[np.uint8]) -> None:
    height, width = rgba.shape[:2]
    for flags, stored in ((0x20, rgba), (0, rgba[::-1]), (0x30, rgba[:, ::-1])):
        head = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, width, height, 24, flags)
        picture = decode(head + stored[..., 2::-1].tobytes())
        assert np.array_equal(picture.frames[0].pixels, rgba[..., :3])
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, width, height, 32, 0x28)
    clear = np.dstack([rgba[..., 2::-1], np.zeros_like(rgba[..., 0])])
    picture = decode(head + clear.tobytes() + bytes(26))
    assert picture.frames[0].alpha is None
    assert picture.notes == ("its alpha is zero everywhere and is not used",)


@pytest.mark.parametrize("suffix", [".jp2", ".j2k"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I;16"])
def test_jpeg_2000_is_read_and_written(
    rgba: NDArray[np.uint8], fast: Upscaler, tmp_path: Path, mode: str, suffix: str
) -> None:
    pixels = rgba[..., 0].astype(np.uint16) * 257 if mode == "I;16" else rgba
    image = Image.fromarray(pixels) if mode == "I;16" else Image.fromarray(rgba).convert(mode)
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    image.save(source, "JPEG2000", no_jp2=suffix == ".j2k")
    picture = image_io.read(source)
    assert picture.notes == ()
    done = fast.upscale_picture(picture, Request())
    assert image_io.write(done, target) == ()
    assert formats.sniff(target.read_bytes()[:64]) is image_io.format_for(target)
    with Image.open(target) as out:
        assert out.mode == mode
        assert np.array_equal(
            np.asarray(out).reshape(80, 96, -1)[..., 0], done.frames[0].pixels[..., 0]
        )


def test_jpeg_2000_keeps_metadata_and_says_what_goes(rgb: NDArray[np.uint8]) -> None:

    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    picture = decode(saved(Image.fromarray(rgb), "PNG", icc_profile=SRGB))
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    block = tags.tobytes().removeprefix(b"Exif\0\0")
    resources = photoshop.of_iptc(b"\x1c\x02\x05\x00\x05Title")
    carried = Metadata(SRGB, block, packet, photoshop=resources, comments=(b"a hill",))
    data, notes = image_io.encode(Picture(picture.frames, "colour", 8, carried), formats.JP2)
    assert notes == ()
    again = decode(data)
    assert again.metadata == carried
    assert np.array_equal(again.frames[0].pixels, rgb)
    deep = Picture((Frame(rgb.astype(np.uint16) * 257),), "colour", 16)
    data, notes = image_io.encode(deep, formats.JP2)
    assert notes == ("JPEG 2000 holds 8 bits a sample of colours here; 16 become 8",)
    assert np.array_equal(decode(data).frames[0].pixels, rgb)
    sixteen = bytearray(data)  # the depth that its header tells
    at = sixteen.index(b"\xff\x4f\xff\x51") + 42
    sixteen[at : at + 9 : 3] = bytes([15, 15, 15])
    assert decode(bytes(sixteen)).notes == ("its 16 bits a sample become 8",)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"<!DOCTYPE html><html>", "is an HTML page"),
        (b"\xef\xbb\xbf\n <html lang='en'>", "is an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "is an SVG drawing"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"8BPS\0\1", "is a Photoshop document"),
        (b"\0\0\0\x18ftypmp42", "is a video"),
        (b"\0\0\0\x18ftypcrx ", "is a camera's raw file"),
        (b"FUJIFILMCCD-RAW 0201", "is a camera's raw file"),
        (b"IIU\0\x18\0\0\0", "is a camera's raw file"),
        (b"\xff\x0a\0\0", "is a JPEG XL picture"),
        (b"PK\3\4", "is a ZIP archive"),
        (bytes(64), "is a file of zeros"),
        (b"some text", "is not a picture of a known format"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(start: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(start)
    with pytest.raises(ImageError, match=f"photo.png {words}.*; these can be read: PNG, JPEG"):
        image_io.read(path)


def test_a_result_too_large_for_its_format_is_no_failure_to_decode(
    rgb: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png(rgb, 8, 2))
    command = [sys.executable, "-m", "realesrgan_vk", "upscale", "a.png", "-o", "b.webp"]
    done = subprocess.run(
        [*command, "--width", "16384", "-m", FAST, "-d", "cpu", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    failed = next(
        event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "failed"
    )
    assert failed["stage"] == "size"
    assert (
        "a WebP file holds at most 16383 pixels a side, the result would be 16384 x"
        in (failed["error"])
    )
    assert "decode" not in done.stdout + done.stderr


def test_folders_find_the_formats(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for suffix in ("tga", "ppm", "jp2", "pgm"):
        Image.fromarray(rgb[..., 0] if suffix == "pgm" else rgb).save(folder / f"{suffix}.{suffix}")
    command = [sys.executable, "-m", "realesrgan_vk", "upscale", "in", "-o", "out"]
    done = subprocess.run(
        [*command, "-m", FAST, "-d", "cpu"], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["jp2.jp2", "pgm.pgm", "ppm.ppm", "tga.tga"]
