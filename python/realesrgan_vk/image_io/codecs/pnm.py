"""Netpbm's formats: PBM, PGM, PPM, PAM (netpbm.sourceforge.net/doc) and PFM.

Pillow reduces 16-bit colours to 8 bits and supports neither PAM nor colour PFM, and libvips as
pyvips bundles it reads none of them.
"""

import re
from dataclasses import dataclass

import numpy as np

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.limits import Accept, Header, Limit
from realesrgan_vk.imaging.picture import Frame, Metadata, Mode, Picture, Pixels
from realesrgan_vk.imaging.samples import (
    bilevel,
    colour,
    joined,
    original_range,
    to_unit,
    unit_range,
)

_TOKEN = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*([^\s#]+)")
_COMMENT = re.compile(rb"#[ \t]?([^\r\n]*)")
MOST_HEADER = 1 << 16  # bytes
_TOP = 65535
_PAM_CHANNELS = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}


@dataclass(frozen=True, slots=True)
class _Head:
    """A file's header.

    Attributes:
        magic: The two characters that the file begins with.
        width: In pixels.
        height: In pixels.
        channels: Samples a pixel.
        top: The largest sample; of PFM, the scale, which is negative for little-endian samples.
        start: Where samples begin.
        is_bilevel: Whether samples are 0 or 1 by kind, not by their largest value.
    """

    magic: bytes
    width: int
    height: int
    channels: int
    top: float
    start: int
    is_bilevel: bool = False

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of the decoded samples."""
        if self.magic in (b"Pf", b"PF"):
            return np.dtype(np.float32)
        return np.dtype(np.uint8 if self.top < 256 else np.uint16)


def read(data: bytes, limit: Limit, accept: Accept) -> Picture:
    """Decode a file's first picture; `accept` is called with its header before that.

    Raises:
        ImageError: The size is refused, or the samples cannot be used.
        ValueError: The file is damaged.
    """
    head = _pam_head(data) if data[:2] == b"P7" else _head(data)
    limit.check(head.width, head.height, sample_bytes=head.dtype.itemsize)
    has_alpha = head.channels in (2, 4)
    colours = head.channels - has_alpha
    accept(Header(head.width, head.height, 1, has_alpha, colours, head.dtype.name))
    samples, end = _samples(data, head)
    frame = Frame(samples[..., :colours], samples[..., -1] if has_alpha else None)
    value_range = (0.0, 1.0)
    if head.dtype == np.float32:
        frame, value_range = unit_range(frame)
    mode: Mode = "grey" if colours == 1 else "colour"
    bits = 8 * head.dtype.itemsize
    if head.is_bilevel and not has_alpha:
        mode, bits = "bilevel", 1
    notes = ("only the first picture of the file is used",) if data[end : end + 1] == b"P" else ()
    carried = Metadata(comments=tuple(filter(None, _COMMENT.findall(data[: head.start]))))
    return Picture((frame,), mode, bits, carried, value_range=value_range, notes=notes)


class Rows:
    """The rows of a binary PGM or PPM file, read from its beginning to its end."""

    def __init__(self, start: bytes) -> None:
        """`start`: The first bytes, the whole header among them (`MOST_HEADER` suffice).

        Raises:
            ValueError: The header is damaged.
        """
        self._head = _head(start)
        self.width, self.height = self._head.width, self._head.height
        self.channels, self.dtype = self._head.channels, self._head.dtype
        self.header_bytes = self._head.start

    @property
    def row_bytes(self) -> int:
        """Of one row in the file."""
        return self.width * self.channels * self.dtype.itemsize

    def decode(self, rows: bytes) -> Pixels:
        """Whole rows as rows x width x channels, over the whole range of their type."""
        stored = np.dtype(">u2" if self._head.top > 255 else "u1")
        samples = np.frombuffer(rows, stored)
        return _scaled(samples, self._head).reshape(-1, self.width, self.channels)


def encode_pbm(picture: Picture, carried: Metadata) -> bytes:
    """Black and white."""
    packed = np.packbits(~bilevel(picture.frames[0]), axis=1)
    return _begin(b"P4", picture, carried) + packed.tobytes()


def encode_pgm(picture: Picture, carried: Metadata) -> bytes:
    """Grey of 8 or 16 bits."""
    return _begin(b"P5", picture, carried) + _with_maximum(picture.frames[0].pixels)


def encode_ppm(picture: Picture, carried: Metadata) -> bytes:
    """RGB of 8 or 16 bits."""
    return _begin(b"P6", picture, carried) + _with_maximum(colour(picture.frames[0]))


def encode_pam(picture: Picture, carried: Metadata) -> bytes:
    """Grey or RGB of 8 or 16 bits, with alpha where there is some."""
    samples = joined(picture.frames[0])
    channels, top = samples.shape[2], np.iinfo(samples.dtype).max
    lines = [b"P7", *_comment_lines(carried), b"WIDTH %d" % picture.width]
    lines += [b"HEIGHT %d" % picture.height, b"DEPTH %d" % channels, b"MAXVAL %d" % top]
    lines += [b"TUPLTYPE " + _PAM_CHANNELS[channels].encode("ascii"), b"ENDHDR", b""]
    return b"\n".join(lines) + _big_endian(samples)


def encode_pfm(picture: Picture, _carried: Metadata) -> bytes:
    """Grey or RGB floats, the lowest row first."""
    frame = picture.frames[0]
    samples = to_unit(original_range(frame, picture.value_range))
    magic = b"Pf" if samples.shape[2] == 1 else b"PF"
    head = b"%s\n%d %d\n-1.0\n" % (magic, picture.width, picture.height)
    return head + samples[::-1].astype("<f4").tobytes()


def _head(data: bytes) -> _Head:
    magic = data[:2]
    words: list[bytes] = []
    position = 2
    wanted = 2 if magic in (b"P1", b"P4") else 3
    while len(words) < wanted:
        match = _TOKEN.match(data, position, MOST_HEADER)
        if match is None:
            raise ValueError("the header ends early")
        words.append(match[1])
        position = match.end()
    width, height = _whole(words[0]), _whole(words[1])
    channels = 3 if magic in (b"P3", b"P6", b"PF") else 1
    if magic in (b"PF", b"Pf"):
        scale = float(words[2])
        if not np.isfinite(scale) or scale == 0:
            raise ValueError(f"the scale is {scale}")
        return _Head(magic, width, height, channels, scale, position + 1)
    top = _whole(words[2], _TOP) if wanted == 3 else 1
    return _Head(magic, width, height, channels, top, position + 1, is_bilevel=wanted == 2)


def _pam_head(data: bytes) -> _Head:
    end = data.find(b"\nENDHDR\n", 0, MOST_HEADER)
    if end < 0:
        raise ValueError("the header has no end")
    fields: dict[bytes, bytes] = {}
    for line in data[2:end].splitlines():
        field, _, value = line.strip().partition(b" ")
        if not field.startswith(b"#"):
            fields.setdefault(field, value.strip())
    try:
        sides = _whole(fields[b"WIDTH"]), _whole(fields[b"HEIGHT"])
        channels, top = _whole(fields[b"DEPTH"]), _whole(fields[b"MAXVAL"], _TOP)
    except KeyError as error:
        raise ValueError(f"the header has no {error.args[0].decode('ascii')}") from error
    kind = fields.get(b"TUPLTYPE", b"").decode("latin-1")
    name = kind.replace("BLACKANDWHITE", "GRAYSCALE")
    if channels not in _PAM_CHANNELS or name not in ("", _PAM_CHANNELS[channels]):
        raise ImageError(
            f"PAM pixels of {channels} samples of the type {kind[:40]!r} cannot be used, only "
            f"{', '.join(_PAM_CHANNELS.values())} and BLACKANDWHITE"
        )
    return _Head(b"P7", *sides, channels, top, end + 8, is_bilevel=name != kind)


def _whole(word: bytes, most: int = 2**31 - 1) -> int:
    if not word.isdigit() or len(word) > 10 or not 0 < int(word) <= most:
        raise ValueError(f"{word[:20].decode('latin-1')!r} is no number from 1 to {most}")
    return int(word)


def _samples(data: bytes, head: _Head) -> tuple[Pixels, int]:
    """Height x width x channels over the whole range of their type, and where they end."""
    shape = (head.height, head.width, head.channels)
    count = head.height * head.width * head.channels
    if head.dtype == np.float32:
        order = "<f4" if head.top < 0 else ">f4"
        floats = np.frombuffer(_part(data, head.start, 4 * count), order).reshape(shape)
        return floats[::-1].astype(np.float32), head.start + 4 * count
    if head.magic == b"P4":
        row = (head.width + 7) // 8
        packed = np.frombuffer(_part(data, head.start, row * head.height), np.uint8)
        bits = np.unpackbits(packed.reshape(head.height, row), axis=1)[:, : head.width]
        return ((1 - bits) * np.uint8(255))[..., None], head.start + row * head.height
    if head.magic in (b"P1", b"P2", b"P3"):
        values = _of_text(data, head, count)
        end = len(data)
    else:
        stored = np.dtype(">u2" if head.top > 255 else "u1")
        end = head.start + count * stored.itemsize
        values = np.frombuffer(_part(data, head.start, end - head.start), stored)
    return _scaled(values, head).reshape(shape), end


def _of_text(data: bytes, head: _Head, count: int) -> Pixels:
    text = re.sub(rb"#[^\r\n]*", b"", data[head.start - 1 :])
    if head.magic == b"P1":  # digits need no space between them
        digits = np.frombuffer(text.translate(None, b" \t\r\n\v\f"), np.uint8)[:count]
        values = np.uint8(1) - (digits - np.uint8(ord("0")))
        if len(values) < count or (values > 1).any():
            raise ValueError("the samples end early, or are no bits")
        return values
    if text.translate(None, b"0123456789 \t\r\n\v\f"):
        raise ValueError("a sample is no number")
    values = np.fromstring(text, np.uint16, sep=" ")[:count]
    if len(values) < count:
        raise ValueError(f"there are {len(values)} of {count} samples")
    return values


def _part(data: bytes, start: int, size: int) -> memoryview:
    if start + size > len(data):
        raise ValueError(f"the samples end {start + size - len(data)} bytes early")
    return memoryview(data)[start : start + size]


def _scaled(values: Pixels, head: _Head) -> Pixels:
    """Scale samples to the full range: the largest value becomes 255 or 65,535."""
    full = 255 if head.dtype == np.uint8 else _TOP
    if head.top == full:
        return values.astype(head.dtype)
    steps = np.arange(np.iinfo(values.dtype).max + 1, dtype=np.uint32)
    top = np.uint32(head.top)
    table: Pixels = (np.minimum(steps, top) * np.uint32(full) + top // 2) // top
    return table.astype(head.dtype)[values]


def _with_maximum(samples: Pixels) -> bytes:
    return b"%d\n" % np.iinfo(samples.dtype).max + _big_endian(samples)


def _begin(magic: bytes, picture: Picture, carried: Metadata) -> bytes:
    size = b"%d %d" % (picture.width, picture.height)
    return b"\n".join([magic, *_comment_lines(carried), size, b""])


def _comment_lines(carried: Metadata) -> list[bytes]:
    return [b"# " + line for comment in carried.comments for line in comment.splitlines()]


def _big_endian(samples: Pixels) -> bytes:
    return samples.astype(samples.dtype.newbyteorder(">"), copy=False).tobytes()
