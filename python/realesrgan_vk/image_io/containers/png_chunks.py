"""The chunks of a PNG file (PNG specification, third edition, sections 5 and 11)."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from realesrgan_vk.errors import ImageError

Chunk = tuple[bytes, bytes]
"""A chunk's kind and its content."""

_SIGNATURE = 8  # bytes
_MOST_CHUNKS = 1 << 18  # 2 GiB in the usual IDAT chunks of 8 KiB
_DECODED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # needed to decode pixels
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_AFTER_PALETTE = (b"bKGD", b"tIME")


@dataclass(frozen=True, slots=True)
class PngFile:
    """A parsed file.

    Attributes:
        pixels: A PNG file of the chunks that a decoder needs for pixels and frames, and of the
            bytes that cannot be parsed, so that the decoder reports them.
        palette: The content of PLTE; empty where there is none.
        others: All other chunks whose checksums are right, in the file's order.
        animated: Whether it holds an animation.
        notes: What was skipped, in words.
    """

    pixels: bytes
    palette: bytes
    others: tuple[Chunk, ...]
    animated: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a chunk is in the file, with its length and checksum."""

    kind: bytes
    start: int
    end: int

    def content(self, png: bytes) -> bytes:
        return png[self.start + 8 : self.end - 4]


def parse(png: bytes) -> PngFile:
    """Read the chunks; an ancillary one with a wrong checksum is skipped, with a note.

    Raises:
        ImageError: The file is of Apple's variant of PNG, which other decoders refuse, or has
            too many chunks.
        ValueError: A critical chunk has a wrong checksum.
    """
    if png[12:16] == b"CgBI":
        raise ImageError(
            "this is Apple's variant of PNG (CgBI), made for iOS applications; convert it on a Mac "
            "with: xcrun pngcrush -revert-iphone-optimizations IN OUT"
        )
    spans, view = list(_spans(png)), memoryview(png)
    whole: list[_Span] = []
    wrong: set[bytes] = set()
    for span in spans:
        checksum = zlib.crc32(view[span.start + 4 : span.end - 4])
        if checksum == int.from_bytes(view[span.end - 4 : span.end], "big"):
            whole.append(span)
        elif _is_ancillary(span.kind):
            wrong.add(span.kind)
        else:
            name = ascii(span.kind.decode("latin-1"))[1:-1]
            raise ValueError(f"the chunk {name} has a wrong checksum")
    notes = []
    if wrong:
        names = ", ".join(sorted(kind.decode("ascii") for kind in wrong))
        notes.append(f"chunks with a wrong checksum are skipped: {names}")
    kinds: tuple[bytes, ...] = (*_DECODED, *_ANIMATION)
    if wrong.intersection(_ANIMATION):
        notes.append("the animation is damaged; only its first picture is used")
        kinds = _DECODED
    kept = [span for span in whole if span.kind in kinds or not _is_ancillary(span.kind)]
    others = [span for span in whole if span.kind not in (*_DECODED, *_ANIMATION)]
    palette = next((span.content(png) for span in kept if span.kind == b"PLTE"), b"")
    parts = [view[:_SIGNATURE], *(view[span.start : span.end] for span in kept)]
    if spans and spans[-1].kind != b"IEND":  # the decoder has to report the damage that follows
        parts.append(view[spans[-1].end :])
    return PngFile(
        png if len(kept) == len(spans) else b"".join(parts),
        palette,
        tuple((span.kind, span.content(png)) for span in others if _is_ancillary(span.kind)),
        any(span.kind == b"acTL" for span in kept),
        tuple(notes),
    )


def without_pixels(png: bytes) -> bytes:
    """The file with an empty IDAT and no animation, for what reads the header only."""
    kinds = (b"IHDR", b"PLTE", b"tRNS")
    kept = [(span.kind, span.content(png)) for span in _spans(png) if span.kind in kinds]
    return png[:_SIGNATURE] + joined([*kept, (b"IDAT", b""), (b"IEND", b"")])


def with_chunks(png: bytes, added: Iterable[Chunk]) -> bytes:
    """An encoded file with these chunks in place of the encoder's own metadata."""
    added = list(added)
    early = joined(each for each in added if each[0] not in _AFTER_PALETTE)
    late = joined(each for each in added if each[0] in _AFTER_PALETTE)
    out = [png[:_SIGNATURE]]
    for span in _spans(png):
        if span.kind == b"IDAT":
            out.append(late)
            late = b""
        if span.kind in (*_DECODED, *_ANIMATION):
            out.append(png[span.start : span.end])
        if span.kind == b"IHDR":
            out.append(early)
    return b"".join(out)


def content_of(png: bytes, kind: bytes) -> bytes:
    """The content of the first chunk of a kind; empty where there is none."""
    return next((span.content(png) for span in _spans(png) if span.kind == kind), b"")


def joined(chunks: Iterable[Chunk]) -> bytes:
    """The chunks' bytes in a file."""
    parts = []
    for kind, content in chunks:
        parts += [struct.pack(">I4s", len(content), kind), content]
        parts.append(struct.pack(">I", zlib.crc32(kind + content)))
    return b"".join(parts)


def _is_ancillary(kind: bytes) -> bool:
    return kind.isalpha() and kind[:1].islower()


def _spans(png: bytes) -> Iterator[_Span]:
    """The chunks that are there as a whole, up to IEND."""
    position, count = _SIGNATURE, 0
    while position + 12 <= len(png):
        count += 1
        if count > _MOST_CHUNKS:
            raise ImageError(f"the file has more than {_MOST_CHUNKS} PNG chunks")
        (size,) = struct.unpack_from(">I", png, position)
        end = position + 12 + size
        if end > len(png):
            return
        kind = png[position + 4 : position + 8]
        yield _Span(kind, position, end)
        if kind == b"IEND":
            return
        position = end
