"""Reads picture files: upright pixels and metadata. Nothing in a file is trusted."""

import contextlib
import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageChops, ImageFile

from realesrgan_vk.errors import ImageError, RealesrganError
from realesrgan_vk.image_io import foreign, formats
from realesrgan_vk.image_io.codecs import animation, pillow, pnm, tiff, vips
from realesrgan_vk.image_io.containers import (
    gif_blocks,
    jp2_boxes,
    jpeg_segments,
    photoshop,
    png_chunks,
)
from realesrgan_vk.image_io.formats import GIF, HEIC, J2K, JP2, JPEG, PNG, WEBP, Format
from realesrgan_vk.image_io.limits import Accept, Header, Limit, whole_file, whole_stream
from realesrgan_vk.image_io.metadata import (
    exif,
    fields,
    geotiff,
    icc,
    losses,
    orientation,
    png_metadata,
)
from realesrgan_vk.imaging.picture import Frame, Metadata, Mode, Picture
from realesrgan_vk.options import DEFAULT_MAX_PIXELS

_MOST_FRAMES = 1 << 16
_ENCODERS = (b"Created by OpenJPEG", b"Kakadu-")  # JPEG 2000 comments without information
_CANNOT_TURN = "the GeoTIFF tags cannot be turned with the picture and are dropped"
_DEEP_ANIMATION = "of a 16-bit animation only the first picture can be read"


class _HeaderRead(BaseException):
    """Stops the reading once the header is known."""


def read(
    path: Path, *, max_pixels: int | None = DEFAULT_MAX_PIXELS, accept: Accept | None = None
) -> Picture:
    """Decode a file; its content decides its format.

    Args:
        path: Any path.
        max_pixels: Refuse a picture (all frames of an animation together) of more, and a file
            that is larger than such a picture needs; None: no limit.
        accept: Called with the header before pixels are decoded; what it raises stops the
            reading.

    Returns:
        The picture, turned upright; its EXIF orientation is reset.

    Raises:
        ImageError: The file cannot be read, is no picture, is damaged, or is too large.
    """
    name = str(path)
    data = whole_file(path, max_pixels, lambda start: _format_of(start, name))
    return decode(data, name, max_pixels=max_pixels, accept=accept)


def read_open(
    file: IO[bytes], *, max_pixels: int | None = DEFAULT_MAX_PIXELS, accept: Accept | None = None
) -> Picture:
    """Decode a file that is open for binary reading, from its start where it can be rewound.

    Raises:
        TypeError: The file is open as text.
        ImageError: As `read`.
    """
    name = str(getattr(file, "name", "the picture"))
    data = whole_stream(file, name, max_pixels)
    return decode(data, name, max_pixels=max_pixels, accept=accept)


def header_of(read_picture: Callable[[Accept], object]) -> Header:
    """The header of a picture, whose pixels are not decoded.

    Args:
        read_picture: Calls `read`, `read_open` or `decode` with this `accept`; raises what they do.
    """
    found: list[Header] = []

    def accept(header: Header) -> None:
        found.append(header)
        raise _HeaderRead

    with contextlib.suppress(_HeaderRead):
        read_picture(accept)
    return found[0]


def decode(
    data: bytes,
    name: str = "the picture",
    *,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    accept: Accept | None = None,
) -> Picture:
    """Decode a file's bytes; `name` is for messages. Otherwise as `read`."""
    known = _format_of(data, name)
    limit = Limit(name, max_pixels)
    accept = accept or (lambda _: None)
    try:
        if known is formats.TIFF:
            picture = tiff.read(data, limit, accept)
        elif known is PNG:
            picture = _png(png_chunks.parse(data), limit, accept)
        elif known is JPEG:
            picture = _jpeg(data, limit, accept)
        elif known is GIF:
            picture = _with_pillow(data, GIF, limit, accept)
            packet, comments = gif_blocks.xmp(data), gif_blocks.comments(data)
            carried = replace(picture.metadata, xmp=packet, comments=comments)
            picture = replace(picture, metadata=carried)
        elif known in formats.NETPBM:
            picture = pnm.read(data, limit, accept)
        elif known in (JP2, J2K):
            picture = _jpeg_2000(data, known, limit, accept)
        else:
            picture = _with_pillow(data, known, limit, accept)
            if known is formats.TGA:
                picture = _with_alpha_in_use(picture)
    except RealesrganError as error:
        message = str(error)
        raise type(error)(message if name in message else f"{name}: {message}") from error
    except MemoryError as error:
        raise ImageError(f"{name} cannot be decoded: there is not enough memory") from error
    except Exception as error:
        # Decoders raise many types on damaged data.
        words = error.detail if isinstance(error, vips.Error) else str(error)
        reason = str(words).strip().splitlines()
        detail = f": {reason[0]}" if reason else ""
        raise ImageError(f"{name} is damaged, or no whole {known.name} file{detail}") from error
    return _upright(picture)


def _format_of(start: bytes, name: str) -> Format:
    known = formats.sniff(start[:64])
    if known is None:
        names = ", ".join(each.name for each in formats.FORMATS)
        raise ImageError(f"{name} {foreign.what(start)}; these can be read: {names}")
    return known


def _png(file: png_chunks.PngFile, limit: Limit, accept: Accept) -> Picture:
    carried, notes = png_metadata.of_png(file)
    notes = (*file.notes, *notes)
    depth = file.pixels[24]
    if depth == 16:
        picture = _deep_png(file, limit, accept, carried)
    else:
        picture = _with_pillow(file.pixels, PNG, limit, accept, carried)
        opaque_grey = picture.mode == "grey" and not picture.has_alpha
        if depth in (1, 2, 4) and (picture.mode in ("palette", "bilevel") or opaque_grey):
            picture = replace(picture, bits=depth)
    return replace(picture, metadata=carried, notes=(*notes, *picture.notes))


def _deep_png(file: png_chunks.PngFile, limit: Limit, accept: Accept, carried: Metadata) -> Picture:
    width, height = struct.unpack(">II", file.pixels[16:24])
    limit.check(width, height, sample_bytes=2)
    with _open(png_chunks.without_pixels(file.pixels), PNG) as header:
        accept(replace(_header(header, 1, carried), dtype="uint16"))
    samples = vips.pixels_of(vips.open_png(file.pixels))
    channels = samples.shape[2]
    alpha = samples[..., -1] if channels in (2, 4) else None
    pixels = samples[..., : channels - (alpha is not None)]
    mode: Mode = "grey" if pixels.shape[2] == 1 else "colour"
    notes = (_DEEP_ANIMATION,) if file.animated else ()
    return Picture((Frame(pixels, alpha),), mode, 16, carried, notes=notes)


def _jpeg(data: bytes, limit: Limit, accept: Accept) -> Picture:
    file = jpeg_segments.parse(data, limited=limit.is_set)
    picture = _with_pillow(data, JPEG, limit, accept)
    carried = replace(
        picture.metadata,
        photoshop=file.photoshop,
        comments=file.comments,
        more_xmp=file.more_xmp,
    )
    carried, announced = fields.scrubbed(carried)
    notes = losses.of_jpeg(file, data, announced)
    return replace(picture, metadata=carried, notes=(*picture.notes, *notes))


def _header(image: ImageFile.ImageFile, frames: int, carried: Metadata) -> Header:
    # Frames of an animation are made RGB, and later ones may be transparent if the first is not.
    channels, dtype = (3, "uint8") if frames > 1 else pillow.layout(image)
    stored = Header(
        image.width,
        image.height,
        frames,
        has_alpha=frames > 1 or _transparent(image),
        channels=channels,
        dtype=dtype,
        icc=carried.icc,
    )
    return orientation.upright_header(stored, carried.exif)


def _open(data: bytes, known: Format) -> ImageFile.ImageFile:
    open_image = formats.opener(known)
    if open_image is None:
        package = "pillow-heif" if known is HEIC else "a Pillow built with it"
        raise ImageError(f"{known.name} cannot be read here; install {package}")
    return open_image(BytesIO(data))


def _with_pillow(
    data: bytes, known: Format, limit: Limit, accept: Accept, carried: Metadata | None = None
) -> Picture:
    """Decode with Pillow; `carried` is what the file carries, where Pillow is not asked for it."""
    with _open(data, known) as image:
        deep = 4 if image.mode in ("I", "F") else 2 if image.mode.startswith("I;") else 1
        limit.check(image.width, image.height, sample_bytes=deep)
        frames = int(getattr(image, "n_frames", 1)) if known.animation and known is not GIF else 1
        if known is GIF:  # Pillow takes too long to count many frames
            frames = gif_blocks.count_frames(data, _MOST_FRAMES)
        accept(_header(image, frames, carried or fields.of_pil(image)))
        lossless = known is WEBP and animation.is_lossless_webp(data)
        if known.animation and getattr(image, "is_animated", False):
            return replace(_animation(image, known, limit), lossless=lossless)
        image.load()
        decoded: Image.Image = image
        if known is JPEG and image.mode == "CMYK" and "adobe" not in image.info:
            # Pillow takes all CMYK as Adobe's, which is stored inverted.
            decoded = ImageChops.invert(image)
            decoded.info = image.info
        picture = pillow.from_pil(decoded)
        return replace(picture, lossless=lossless, notes=_losses(image, data, known))


def _losses(image: Image.Image, data: bytes, known: Format) -> tuple[str, ...]:
    """What is not read of an AVIF, HEIC or JPEG 2000 file, in words."""
    bits, images = 8, 1
    found: tuple[str, ...] = ()
    if known in (formats.AVIF, HEIC):
        bits, images = formats.heif_bits(data), int(getattr(image, "n_frames", 1))
        found = losses.of_heif(data, has_depth=bool(image.info.get("depth_images")))
    elif known in (JP2, J2K) and not image.mode.startswith("I;"):
        bits = jp2_boxes.bits(data)
    notes = [f"its {bits} bits a sample become 8"] if bits > 8 else []
    notes += [f"only the first of {images} pictures is used"] if images > 1 else []
    return (*notes, *found)


def _jpeg_2000(jp2: bytes, known: Format, limit: Limit, accept: Accept) -> Picture:
    """Decode, with the metadata that Pillow does not read, without encoders' own comments."""
    boxes, has_geotiff = jp2_boxes.metadata_of(jp2)
    picture = _with_pillow(jp2, known, limit, accept, boxes)
    given = picture.metadata
    comments = tuple(each for each in given.comments if not each.startswith(_ENCODERS))
    carried = replace(boxes, dpi=given.dpi, comments=comments)
    notes = ("the GeoTIFF tags are dropped",) if has_geotiff else ()
    return replace(picture, metadata=carried, notes=(*picture.notes, *notes))


def _with_alpha_in_use(picture: Picture) -> Picture:
    """Many programs store 32 bits a pixel in TGA files, with an alpha of 0 everywhere."""
    frame = picture.frames[0]
    if frame.alpha is None or frame.alpha.any():
        return picture
    note = "its alpha is zero everywhere and is not used"
    return replace(picture, frames=(replace(frame, alpha=None),), notes=(*picture.notes, note))


def _animation(image: ImageFile.ImageFile, known: Format, limit: Limit) -> Picture:
    first = 1 if getattr(image, "default_image", False) else 0  # APNG: not part of the animation
    frames: list[Frame] = []
    while True:
        try:
            image.seek(first + len(frames))
        except EOFError:
            break
        # The decoder's canvas counts as a frame.
        limit.check(image.width, image.height, len(frames) + 2)
        image.load()
        duration = float(image.info.get("duration", 0) or 0)
        rgb = image.convert("RGBA" if _transparent(image) else "RGB")
        frames.append(pillow.frame_of(rgb, None, duration))
    if any(frame.alpha is not None for frame in frames):
        for index, frame in enumerate(frames):
            if frame.alpha is None:
                opaque = np.full(frame.pixels.shape[:2], 255, np.uint8)
                frames[index] = replace(frame, alpha=opaque)
    mode: Mode = "palette" if known is GIF else "colour"
    loop = image.info.get("loop")
    plays = int(loop or 0)
    if known is GIF and loop != 0:  # a GIF file stores the repetitions after the first run
        plays += 1
    return Picture(tuple(frames), mode, 8, fields.of_pil(image), plays)


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or image.has_transparency_data


def _upright(picture: Picture) -> Picture:
    given = picture.metadata
    turn = exif.orientation(given.exif) if given.exif else 1
    resources = given.photoshop
    if resources is not None:
        packet = given.xmp or photoshop.xmp(resources)
        given = replace(given, xmp=packet, photoshop=photoshop.kept(resources))
    if turn != 1:
        frames = tuple(orientation.turned(frame, turn) for frame in picture.frames)
        picture = replace(picture, frames=frames)
        turned = fields.turned(given, turn)
        if geotiff.is_placed(given.tiff) and not geotiff.is_placed(turned.tiff):
            picture = replace(picture, notes=(*picture.notes, _CANNOT_TURN))
        given = turned
    scrubbed, announced = fields.scrubbed(given)
    carried = fields.for_size(scrubbed, picture.width, picture.height)
    notes = list(dict.fromkeys((*picture.notes, *losses.of_announced(announced))))
    if given.exif and carried.exif is None:
        notes.append("the EXIF data was damaged and is dropped")
    if carried.icc and icc.is_damaged(carried.icc):
        notes.append("the colour profile is damaged; its curves are not used")
    return replace(picture, metadata=carried, notes=tuple(notes))
