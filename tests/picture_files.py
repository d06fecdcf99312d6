"""Makes and decodes picture files for the tests, by other code than `image_io`."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from realesrgan_vk import Upscaler, image_io
from realesrgan_vk.options import Request

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # of a PNG colour type


def png(samples: NDArray[Any], bits: int, colour_type: int) -> bytes:
    """A PNG file without filters; samples of 1, 2 and 4 bits are packed."""
    if bits == 16:
        rows = samples.astype(">u2").reshape(samples.shape[0], -1).view(np.uint8)
    elif bits == 8:
        rows = samples.reshape(samples.shape[0], -1)
    else:
        binary = np.unpackbits(samples.reshape(samples.shape[0], -1, 1), axis=2)[..., 8 - bits :]
        rows = np.packbits(binary.reshape(samples.shape[0], -1), axis=1)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def decode_png(data: bytes) -> tuple[NDArray[Any], int, int]:
    """Samples of 8 or 16 bits, the depth and the colour type; no palette, no interlacing."""
    position, content = 8, b""
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        if data[position + 4 : position + 8] == b"IDAT":
            content += data[position + 8 : position + 8 + size]
        position += size + 12
    width, height, bits, colour_type = struct.unpack_from(">IIBB", data, 16)
    step = _CHANNELS[colour_type] * bits // 8
    raw = np.frombuffer(zlib.decompress(content), np.uint8).reshape(height, width * step + 1)
    out = np.zeros((height + 1, width + 1, step), np.int64)
    for y in range(height):
        kind, row = raw[y, 0], raw[y, 1:].reshape(width, step)
        for x in range(width):
            left, up, corner = out[y + 1, x], out[y, x + 1], out[y, x]
            estimate = left + up - corner
            nearest = np.where(
                (abs(estimate - left) <= abs(estimate - up))
                & (abs(estimate - left) <= abs(estimate - corner)),
                left,
                np.where(abs(estimate - up) <= abs(estimate - corner), up, corner),
            )
            predicted = (0 * left, left, up, (left + up) // 2, nearest)[kind]
            out[y + 1, x + 1] = (row[x] + predicted) % 256
    samples = out[1:, 1:].astype(np.uint8)
    if bits == 16:
        samples = np.ascontiguousarray(samples).view(">u2").astype(np.uint16)
    return samples, bits, colour_type


def upscaled(fast: Upscaler, source: bytes, path: Path, **options: int | str) -> image_io.Format:
    """Read a source's bytes, upscale, write to `path`; its format."""
    before = path.with_name("source" + path.suffix)
    before.write_bytes(source)
    picture = fast.upscale_picture(image_io.read(before), Request())
    image_io.write(picture, path, image_io.WriteOptions(**options))  # type: ignore[arg-type]
    known = image_io.format_for(path)
    assert known is not None
    return known


def saved(image: Image.Image, name: str, **options: object) -> bytes:
    """The bytes of a file that Pillow writes."""
    out = BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def difference(left: NDArray[Any], right: NDArray[Any]) -> float:
    """The mean absolute difference, of full scale for whole numbers."""
    top = np.iinfo(left.dtype).max if left.dtype.kind == "u" else 1
    return float(np.abs(left.astype(np.float64) - right.astype(np.float64)).mean() / top)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_with(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with further chunks, after its header."""
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG file in its order; IDAT once, checksums must be right."""
    chunks: list[tuple[bytes, bytes]] = []
    position = 8
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", data, position + 8 + size)[0] == zlib.crc32(kind + content)
        if kind != b"IDAT" or b"IDAT" not in dict(chunks):
            chunks.append((kind, content))
        position += size + 12
    return chunks


def matrix_profile(curve: bytes) -> bytes:
    """A profile with sRGB's primaries and this curve."""

    def fixed(*xyz: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in xyz))

    tags = {
        b"wtpt": fixed(0.9642, 1.0, 0.8249),
        b"rXYZ": fixed(0.4361, 0.2225, 0.0139),
        b"gXYZ": fixed(0.3851, 0.7169, 0.0971),
        b"bXYZ": fixed(0.1431, 0.0606, 0.7141),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(content), len(data))
        content += data
    head = bytearray(128)
    head[8:12] = struct.pack(">I", 0x02400000)
    head[12:24] = b"mntrRGB XYZ "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">iii", 63190, 65536, 54061)
    head[0:4] = struct.pack(">I", start + len(content))
    return bytes(head) + table + content


def gamma_profile(gamma: float) -> bytes:
    """A matrix profile with sRGB's primaries and a pure power curve."""
    return matrix_profile(b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2))
