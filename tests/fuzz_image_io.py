"""Feeds damaged pictures to `image_io` in a process of its own, with limited memory.

Run by `test_hostile.py`, and by hand for longer: `python tests/fuzz_image_io.py EXAMPLES [SEED]`,
or for a time: `python tests/fuzz_image_io.py 60s [SEED]`. Without a seed the examples are always
the same. Ends with the slowest decoding in seconds and the peak memory in MiB, or with a traceback
and the seed.
"""

import contextlib
import json
import resource
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io import encode, formats
from realesrgan_vk.image_io.codecs.color import WorkingCurve
from realesrgan_vk.image_io.containers import photoshop, png_chunks
from realesrgan_vk.image_io.metadata import raw_profiles, xmp
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.imaging.picture import Frame, Metadata, Picture, TiffTags

MOST_ENCODED = 64 * 64  # pixels; larger pictures would take the time
ADDRESS_SPACE = 3 << 30  # bytes; libraries and thread stacks count as well
ANNOUNCING = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-'
    b'ns#"><r:Description r:about="" xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6" '
    b'xmlns:C="http://ns.google.com/photos/1.0/container/" xmlns:I="http://ns.google.com/photos/1.0/'
    b'container/item/" xmlns:g="http://ns.google.com/photos/1.0/camera/" g:MotionPhoto="1">'
    b'<C:Directory><r:Seq><r:li><C:Item I:Semantic="GainMap"/></r:li></r:Seq></C:Directory>'
    b"<t:ImageWidth>12</t:ImageWidth></r:Description></r:RDF></x:xmpmeta>"
)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def seeds() -> list[bytes]:
    """A small valid file of every format and of the modes with code of their own."""
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (12, 14, 4), dtype=np.uint8)
    profile, inks = profiles()[0], bytearray(profiles()[0])
    inks[16:20] = b"CMYK"
    carried = Metadata(profile, _exif(), b"<x:xmpmeta/>", (72.0, 72.0))
    of_inks = replace(carried, icc=bytes(inks))
    colour = Picture((Frame(rgba[..., :3], rgba[..., 3]),), "colour", 8, carried)
    frames = tuple(Frame(np.roll(rgba[..., :3], i, 0), rgba[..., 3], 50) for i in range(3))
    moving = Picture(frames, "colour", 8, carried, plays=2)
    deep = Picture((Frame(rgba[..., :3].astype(np.uint16) * 257),), "colour", 16, carried)
    palette = Picture(colour.frames, "palette", 4, carried)
    cmyk = Picture((Frame(rgba[..., :3]),), "cmyk", 8, of_inks)
    narrow = Picture((Frame(rgba[..., :1]),), "bilevel", 1, carried)
    files = [encode(colour, known)[0] for known in formats.FORMATS]
    files += [encode(moving, known)[0] for known in (formats.PNG, formats.GIF, formats.WEBP)]
    files += [encode(each, formats.PNG)[0] for each in (deep, palette, narrow)]
    files += [encode(each, formats.TIFF)[0] for each in (deep, palette, cmyk, narrow)]
    files += [encode(each, formats.BMP)[0] for each in (palette, narrow)]
    files += [encode(cmyk, formats.JPEG)[0]]
    return files


def annotated() -> list[bytes]:
    """Files with metadata of every kind that has a parser of its own."""
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
    records = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x19\x00\x03key"
    resources = photoshop.of_iptc(records) + b"8BIM\x04\x0c\0\0\0\0\0\4tiny"
    texts = (
        (b"tEXt", b"parameters\0a fox"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"hello")),
        (b"iTXt", b"Title\0\1\0de\0Titel\0" + zlib.compress("größer".encode())),
        raw_profiles.encoded("exif", b"Exif\0\0" + _exif()),
        raw_profiles.encoded("iptc", resources),
        raw_profiles.encoded("xmp", ANNOUNCING),
        raw_profiles.encoded("icc", profiles()[0]),
    )
    plain = (
        (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"bKGD", bytes(6)),
        (b"sBIT", bytes([5, 6, 5])),
        (b"tIME", bytes(7)),
        (b"pHYs", struct.pack(">IIB", 2, 1, 0)),
        (b"cICP", bytes([9, 13, 0, 1])),
        (b"prVt", b"private"),
    )
    png = encode(Picture((Frame(rgb),), "colour", 8), formats.PNG)[0]
    with_chunks = png_chunks.with_chunks
    named = f'xmlns:n="{xmp.MORE[0]}" n:{xmp.MORE[1]}="X"'.encode()
    carried = Metadata(
        None,
        _exif(),
        ANNOUNCING.replace(b"about", named + b" about"),
        None,
        resources,
        (b"a comment", b"another"),
        ANNOUNCING,
    )
    jpeg = encode(Picture((Frame(rgb),), "colour", 8, carried), formats.JPEG)[0]
    several = BytesIO()
    image = Image.fromarray(rgb)
    image.save(several, "MPO", save_all=True, append_images=[image])
    places: dict[int, tuple[int, tuple[float, ...] | bytes]] = {
        33550: (12, (10.0, 10.0, 0.0)),
        33922: (12, (0.0, 0.0, 0.0, 5e5, 4.6e6, 0.0)),
        34735: (3, (1, 1, 0, 1, 1025, 0, 1, 2)),
        42113: (2, b"-9999"),
        270: (2, b'{"shape": [10, 12, 3]}'),
    }
    matrix = {34264: (12, tuple(np.eye(4).ravel())), 50844: (12, tuple(np.ones(92)))}
    files = [with_chunks(png, texts), with_chunks(png, plain), jpeg + bytes(9) + b"ftyp" + jpeg]
    files.append(several.getvalue())
    for tags in (places, matrix):
        geo = replace(carried, tiff=TiffTags(tags, (12, 10)))
        picture = Picture((Frame(rgb, rgb[..., 0]),), "colour", 8, geo)
        files.append(encode(picture, formats.TIFF)[0])
    commented = Metadata(icc=profiles()[0], xmp=ANNOUNCING, comments=(b"a comment",))
    picture = Picture((Frame(rgb),), "colour", 8, commented)
    files += [encode(picture, known)[0] for known in (formats.GIF, formats.JP2, formats.PAM)]
    return [*files, b"P1\n# bits\n4 2\n1010 0101", b"P3 2 1 1023\n0 1 2 3 4 1023"]


def profiles() -> list[bytes]:
    """Colour profiles with curves of each kind."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    at = srgb.index(b"para")
    made = [srgb]
    for kind, count in enumerate((1, 3, 4, 5, 7)):
        values = struct.pack(f">4sIHH{count}i", b"para", 0, kind, 0, *[65536] * count)
        made.append(srgb[:at] + values + srgb[at + len(values) :])
    made.append(srgb[:at] + struct.pack(">4sII4H", b"curv", 0, 4, 0, 9, 99, 999) + srgb[at + 20 :])
    return made


def _exif() -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Maker", 6
    tags.get_ifd(0x8769)[0xA002] = 14
    return tags.tobytes().removeprefix(b"Exif\0\0")


def with_checksums(data: bytes) -> bytes:
    """A PNG file whose checksums are right again, so that its damage reaches the decoder."""
    out, position = bytearray(data), 8
    while position + 12 <= len(out):
        (size,) = struct.unpack_from(">I", out, position)
        end = position + 8 + size
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[position + 4 : end]))
        position = end + 4
    return bytes(out)


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """A file with bytes changed, numbers made extreme, parts cut out, doubled or exchanged."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 3))):
        # Headers are where it matters most.
        near = draw(st.booleans())
        at = draw(st.integers(0, max(0, min(len(data), 80 if near else len(data)) - 1)))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 1:
            layout = draw(st.sampled_from(["<I", ">I", "<H", ">H"]))
            top = 0xFFFF if layout[1] == "H" else 0xFFFFFFFF
            number = struct.pack(layout, draw(st.sampled_from(EXTREMES)) & top)
            data[at : at + len(number)] = number
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            length = draw(st.integers(1, 64))
            data[at:at] = data[at : at + length]
        else:
            del data[at : at + draw(st.integers(1, 64))]
    fixed = data[:4] == b"\x89PNG" and draw(st.booleans())
    return with_checksums(bytes(data)) if fixed else bytes(data)


def main(examples: int, chosen: int | None, seconds: float = 0.0) -> None:
    """Decode damaged files; anything but a picture or an `ImageError` is a fault.

    Args:
        examples: Of each kind of file, in a round.
        chosen: The seed of the first round; each further one takes the next number.
        seconds: How long to begin further rounds.
    """
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    slowest, decoded, refused, curves = 0.0, 0, 0, 0
    common = settings(
        deadline=None,
        derandomize=chosen is None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def check(data: bytes) -> None:
        nonlocal slowest, decoded, refused
        started = time.perf_counter()
        try:
            picture = decode(data)
            decoded += 1
            WorkingCurve.of(picture.metadata.icc)
            for frame in picture.frames:
                assert frame.pixels.ndim == 3
                assert frame.pixels.shape[2] in (1, 3)
                assert frame.alpha is None or frame.alpha.shape == frame.pixels.shape[:2]
            if picture.width * picture.height <= MOST_ENCODED and len(picture.frames) == 1:
                for known in (formats.PNG, formats.JPEG, formats.TIFF):
                    encode(picture, known)
        except ImageError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - started)

    def check_profile(profile: bytes) -> None:
        nonlocal curves
        curves += bool(WorkingCurve.of(profile).curves)

    def check_packet(packet: bytes) -> None:
        with contextlib.suppress(xmp.DamagedError):
            edited = xmp.edited(packet, {(xmp.TIFF, "Orientation"): lambda _: "1"}).packet
            again = xmp.edited(edited, {})
            assert again.packet == edited
            assert not again.announced

    kinds: list[tuple[Callable[[bytes], None], list[bytes], int]] = [
        (check, seeds(), examples),
        (check, annotated(), examples),
        (check_profile, profiles(), examples // 2),
        (check_packet, [ANNOUNCING], examples),
    ]
    started, rounds = time.perf_counter(), 0
    while rounds == 0 or time.perf_counter() - started < seconds:
        for fuzz, files, count in kinds:
            run = settings(common, max_examples=count)(given(damaged(files))(fuzz))
            (run if chosen is None else seed(chosen + rounds)(run))()
        rounds += 1
    # Not ru_maxrss: across exec that keeps what the parent process had.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    report = {
        "slowest": slowest,
        "peak_mib": peak,
        "decoded": decoded,
        "refused": refused,
        "curves": curves,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    try:
        given_seed = int(sys.argv[2]) if len(sys.argv) > 2 else None
        if sys.argv[1].endswith("s"):
            main(200, given_seed or 0, float(sys.argv[1][:-1]))
        else:
            main(int(sys.argv[1]), given_seed)
    except BaseException:
        sys.stderr.write(f"arguments were: {' '.join(sys.argv[1:])}\n")
        raise
