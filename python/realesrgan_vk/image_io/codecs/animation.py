"""Restores animation frames that equal the one before, which encoders merge.

The encoder is asked to show every frame for one unit of time, so that the duration of a merged
frame is the number of frames in it. The file then gets the true durations, and for each missing
frame one of the same rectangle that is transparent everywhere.
"""

import struct
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from realesrgan_vk.image_io.containers import gif_blocks

_CENTISECOND = 10  # milliseconds
_DISPOSE_WEBP, _NO_BLEND = 1, 2  # flags of a WebP frame
_ANIMATED, _HAS_ALPHA = 0x02, 0x10  # flags of a WebP file


def gif(data: bytes, durations: list[int]) -> bytes:
    """A GIF file with these durations in milliseconds; it has a hundredth of a second a frame."""
    position: int | None = gif_blocks.first_block(data)
    out, control, times = [data[:position]], b"", iter(durations)
    for start, position in gif_blocks.blocks(data):
        block = data[start:position]
        if data[start] == gif_blocks.IMAGE:
            out += _gif_frames(control, block, times)
        elif block.startswith(b"\x21\xf9"):
            control = block
        else:
            out.append(block)
    return b"".join([*out, data[position:]])


def webp(data: bytes, durations: list[int], plays: int) -> bytes:
    """A WebP file with these durations in milliseconds; it has a millisecond a frame."""
    times = iter(durations)
    chunks: list[tuple[bytes, bytes]] = []
    repeated = False
    given = list(_riff_chunks(data, 12))
    if all(name != b"ANMF" for name, _ in given):  # all frames merged into a still picture
        given = _as_animation(data, given, len(durations), plays)
    for name, content in given:
        if name != b"ANMF":
            chunks.append((name, content))
            continue
        merged = _u24(content, 12)
        repeated = repeated or merged > 1
        dispose = content[15] & _DISPOSE_WEBP
        for index in range(merged):
            flags = content[15] & ~_DISPOSE_WEBP | (dispose if index == merged - 1 else 0)
            image = content[16:]
            if index:
                flags = dispose if index == merged - 1 else 0  # blended over the canvas
                image = _invisible_webp(_u24(content, 6) + 1, _u24(content, 9) + 1)
            head = content[:12] + next(times).to_bytes(3, "little") + bytes([flags])
            chunks.append((b"ANMF", head + image))
    if repeated:
        name, content = chunks[0]  # VP8X
        chunks[0] = (name, bytes([content[0] | _HAS_ALPHA]) + content[1:])
    body = b"".join(_riff_chunk(name, content) for name, content in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def is_lossless_webp(data: bytes) -> bool:
    """Whether all images of a WebP file, of its animation frames as well, are stored so."""
    kinds = []
    for name, content in _riff_chunks(data, 12):
        inside = _riff_chunks(content, 16) if name == b"ANMF" else iter([(name, b"")])
        kinds += [kind for kind, _ in inside if kind in (b"VP8 ", b"VP8L")]
    return bool(kinds) and all(kind == b"VP8L" for kind in kinds)


def _gif_frames(control: bytes, image: bytes, times: Iterator[int]) -> Iterator[bytes]:
    """The frame, and an invisible one for each that was merged into it."""
    flags, merged, transparent = struct.unpack_from("<BHB", control, 3)
    keep = (flags & ~0x1C) | 0x04
    invisible = b""
    for index in range(merged):
        last = index == merged - 1
        delay = round(next(times) / _CENTISECOND)
        shown = flags if last else keep
        if index:
            invisible = invisible or _invisible_gif(image)
            shown, transparent = shown | 1, 0
        yield struct.pack("<2sBBHBB", b"\x21\xf9", 4, shown, delay, transparent, 0)
        yield invisible if index else image


def _invisible_gif(image: bytes) -> bytes:
    """An image of the same rectangle, whose pixels all have index 0, without a colour table."""
    left, top, width, height = struct.unpack_from("<4H", image, 1)
    out = BytesIO()
    blank = Image.new("P", (width, height), 0)
    blank.putpalette([0, 0, 0] * 4)
    blank.save(out, "GIF")
    made = out.getvalue()
    at, end = next(each for each in gif_blocks.blocks(made) if made[each[0]] == gif_blocks.IMAGE)
    pixels = made[gif_blocks.image_data(made, at) : end]
    return b"," + struct.pack("<4HB", left, top, width, height, 0) + pixels


def _invisible_webp(width: int, height: int) -> bytes:
    out = BytesIO()
    blank = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    blank.save(out, "WEBP", lossless=True, exact=True)
    image = next(each for each in _riff_chunks(out.getvalue(), 12) if each[0] == b"VP8L")
    return _riff_chunk(*image)


def _riff_chunks(data: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        yield name, data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _riff_chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _as_animation(
    data: bytes, chunks: list[tuple[bytes, bytes]], frames: int, plays: int
) -> list[tuple[bytes, bytes]]:
    """The chunks of a still picture as those of an animation of one frame."""
    with Image.open(BytesIO(data)) as image:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in image.size)
        alpha = _HAS_ALPHA if image.mode == "RGBA" else 0
    flags = next((content[0] for name, content in chunks if name == b"VP8X"), alpha)
    pixels = [chunk for chunk in chunks if chunk[0] in (b"ALPH", b"VP8 ", b"VP8L")]
    frame = bytes(6) + sides + frames.to_bytes(3, "little") + bytes([_NO_BLEND])
    frame += b"".join(_riff_chunk(*chunk) for chunk in pixels)
    return [
        (b"VP8X", bytes([flags | _ANIMATED, 0, 0, 0]) + sides),
        *(chunk for chunk in chunks if chunk[0] == b"ICCP"),
        (b"ANIM", struct.pack("<IH", 0, plays)),
        (b"ANMF", frame),
        *(chunk for chunk in chunks if chunk[0] in (b"EXIF", b"XMP ")),
    ]


def _u24(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 3], "little")
