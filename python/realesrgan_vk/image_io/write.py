"""Pictures to files: in the mode, depth and with the metadata they came with, as far as can be."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io import color, icc, metadata, pil, png_chunks, tiff, vips
from realesrgan_vk.image_io.atomic import write_whole
from realesrgan_vk.image_io.formats import (
    AVIF,
    BMP,
    FORMATS,
    GIF,
    HEIC,
    JPEG,
    PNG,
    TIFF,
    WEBP,
    Format,
    format_for,
)
from realesrgan_vk.image_io.options import WriteOptions
from realesrgan_vk.picture import Frame, Metadata, Picture
from realesrgan_vk.resample import from_unit, to_unit

_JPEG_SEGMENT = 65_500  # what fits one APP1 segment, with its identifier
_EXIF_PREFIX = b"Exif\x00\x00"


def check_size(known: Format, width: int, height: int) -> None:
    """Refuse a size the format cannot hold.

    Raises:
        ImageError: A side is too long.
    """
    if max(width, height) > known.max_side:
        raise ImageError(
            f"a {known.name} file holds at most {known.max_side} pixels a side, the result would "
            f"be {width} x {height}; ask for a smaller size or write PNG or TIFF"
        )


def write(
    picture: Picture,
    path: Path,
    options: WriteOptions | None = None,
    *,
    known: Format | None = None,
) -> tuple[str, ...]:
    """Write a file whole: it appears under its name only when it is complete.

    Args:
        picture: What to write.
        path: Where to; its folder must exist. An existing file is replaced.
        options: How to.
        known: The format; None: as the path's suffix says.

    Returns:
        What the format could not keep, in words.

    Raises:
        ImageError: No such format, a size it cannot hold, or the file cannot be written.
    """
    chosen = known or format_for(path)
    if chosen is None:
        names = ", ".join(each.suffixes[0] for each in FORMATS)
        raise ImageError(f"{path} has no suffix of a known format; possible are {names}")
    encoded, notes = encode(picture, chosen, options)
    try:
        write_whole(path, encoded)
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror or error}") from error
    return notes


def encode(
    picture: Picture, known: Format, options: WriteOptions | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """The file's bytes, and what the format could not keep, in words.

    Raises:
        ImageError: The format cannot hold the size, or cannot be written here.
    """
    options = options or WriteOptions()
    check_size(known, picture.width, picture.height)
    notes: list[str] = []
    picture = _fitted(picture, known, options, notes)
    carried = _carried(picture, known, options, notes)
    encoders: dict[str, Callable[[], bytes]] = {
        PNG.name: lambda: _png(picture, carried, options),
        JPEG.name: lambda: _jpeg(picture, carried, options),
        WEBP.name: lambda: _webp(picture, carried, options),
        TIFF.name: lambda: tiff.encode(picture, carried),
        BMP.name: lambda: _bmp(picture, carried),
        GIF.name: lambda: _gif(picture),
        AVIF.name: lambda: _modern(picture, carried, options, "AVIF"),
        HEIC.name: lambda: _modern(picture, carried, options, "HEIF"),
    }
    try:
        return encoders[known.name](), tuple(notes)
    except (OSError, ValueError, KeyError, vips.Error) as error:
        raise ImageError(f"the {known.name} encoder refuses the picture: {error}") from error


def _fitted(picture: Picture, known: Format, options: WriteOptions, notes: list[str]) -> Picture:
    """The picture with only what the format can hold."""
    frames = picture.frames
    if len(frames) > 1 and not known.animation:
        notes.append(f"{known.name} holds no animation; of {len(frames)} frames the first is kept")
        frames = frames[:1]
    profile = picture.metadata.icc
    if profile is not None and (options.strip or not known.profile):
        frames = tuple(replace(f, pixels=color.to_srgb(f.pixels, profile)) for f in frames)
    if picture.has_alpha and not known.alpha:
        if not all(frame.alpha is None or _opaque(frame) for frame in frames):
            notes.append(f"{known.name} holds no transparency; it is laid on white")
        frames = tuple(_on_white(frame) for frame in frames)
    if known.max_bits == 8:
        frames = tuple(pil.eight_bit(frame) for frame in frames)
    elif known.max_bits == 16:
        frames = tuple(_sixteen_bit(frame) for frame in frames)
    mode = picture.mode
    if mode == "cmyk" and not known.cmyk:
        mode = "colour"
    if mode == "palette" and not known.palette:
        mode = "colour"
    return replace(picture, frames=frames, mode=mode)


def _carried(picture: Picture, known: Format, options: WriteOptions, notes: list[str]) -> Metadata:
    if options.strip:
        # CMYK means nothing without its profile.
        return Metadata(icc=picture.metadata.icc if picture.mode == "cmyk" else None)
    carried = metadata.for_size(picture.metadata, picture.width, picture.height)
    space = icc.colour_space(carried.icc) if carried.icc else ""
    grey = picture.frames[0].pixels.shape[2] == 1
    fitting = "CMYK" if picture.mode == "cmyk" else "GRAY" if grey and known.grey else "RGB"
    if space and space != fitting:
        carried = replace(carried, icc=None)
    if known is JPEG:
        if carried.exif and len(carried.exif) > _JPEG_SEGMENT:
            notes.append("the EXIF data is too long for JPEG and is dropped")
            carried = replace(carried, exif=None)
        if carried.xmp and len(carried.xmp) > _JPEG_SEGMENT - 32:
            notes.append("the XMP data is too long for JPEG and is dropped")
            carried = replace(carried, xmp=None)
    return carried


def _png(picture: Picture, carried: Metadata, options: WriteOptions) -> bytes:
    frame = picture.frames[0]
    if len(picture.frames) > 1:
        return png_chunks.with_metadata(_animated(picture, "PNG"), carried)
    if picture.mode == "palette":
        samples = pil.colour(pil.eight_bit(frame))
        encoded = vips.palette_png(samples, picture.bits, options.compression)
    elif picture.bits < 8 and frame.alpha is None and frame.pixels.shape[2] == 1:
        samples = pil.eight_bit(frame).pixels
        if picture.bits == 1:
            samples = pil.bilevel(frame)[..., None].astype(np.uint8) * np.uint8(255)
        else:  # round to the levels there are; the encoder would cut
            top = 2**picture.bits - 1
            samples = np.rint(to_unit(samples) * top).astype(np.uint8) * np.uint8(255 // top)
        encoded = vips.png_bytes(samples, picture.bits, options.compression)
    elif frame.pixels.dtype == np.uint16:
        encoded = vips.png_bytes(vips.joined(frame), 16, options.compression)
    else:
        out = BytesIO()
        pil.image_of(frame).save(out, "PNG", compress_level=options.compression)
        encoded = out.getvalue()
    return png_chunks.with_metadata(encoded, carried)


def _jpeg(picture: Picture, carried: Metadata, options: WriteOptions) -> bytes:
    frame = picture.frames[0]
    if picture.mode == "cmyk":
        image = Image.fromarray(color.rgb_to_cmyk(frame.pixels, carried.icc), "CMYK")
    else:
        image = pil.image_of(frame)
    extra = _pillow_metadata(carried)
    if carried.xmp is not None:
        extra["xmp"] = carried.xmp
    subsampling = -1 if image.mode in ("L", "CMYK") else options.subsampling
    out = BytesIO()
    settings = {"quality": options.quality, "subsampling": subsampling, "optimize": True}
    image.save(out, "JPEG", **settings, **extra)
    return out.getvalue()


def _webp(picture: Picture, carried: Metadata, options: WriteOptions) -> bytes:
    extra = _pillow_metadata(carried)
    extra.pop("dpi", None)
    if carried.xmp is not None:
        extra["xmp"] = carried.xmp
    lossless = picture.lossless if options.lossless is None else options.lossless
    settings = {"lossless": lossless, "quality": options.quality, "exact": True}
    if len(picture.frames) > 1:
        return _animated(picture, "WEBP", **settings, **extra)
    out = BytesIO()
    pil.image_of(picture.frames[0]).save(out, "WEBP", **settings, **extra)
    return out.getvalue()


def _bmp(picture: Picture, carried: Metadata) -> bytes:
    frame = picture.frames[0]
    if picture.mode == "bilevel":
        image = Image.fromarray(pil.bilevel(frame))
    elif picture.mode == "palette":
        image = pil.palette_image(frame, 8)
    else:
        image = pil.image_of(frame)
    out = BytesIO()
    image.save(out, "BMP", **({"dpi": carried.dpi} if carried.dpi else {}))
    return out.getvalue()


def _gif(picture: Picture) -> bytes:
    frames = [pil.colour(frame) for frame in picture.frames]
    return vips.gif_bytes(frames, [frame.duration for frame in picture.frames], picture.plays)


def _modern(picture: Picture, carried: Metadata, options: WriteOptions, name: str) -> bytes:
    if name == "HEIF":
        try:
            import pillow_heif  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise ImageError("HEIC cannot be written here; install pillow-heif") from error
        pillow_heif.register_heif_opener()
    extra = _pillow_metadata(carried)
    extra.pop("dpi", None)
    if carried.xmp is not None:
        extra["xmp"] = carried.xmp
    out = BytesIO()
    image = pil.image_of(picture.frames[0])
    if image.mode in ("L", "LA"):
        image = image.convert("RGB" if image.mode == "L" else "RGBA")
    image.save(out, name, quality=options.quality, **extra)
    return out.getvalue()


def _animated(picture: Picture, name: str, **settings: object) -> bytes:
    images = [pil.image_of(frame) for frame in picture.frames]
    out = BytesIO()
    images[0].save(
        out,
        name,
        save_all=True,
        append_images=images[1:],
        duration=[round(frame.duration) for frame in picture.frames],
        loop=picture.plays,
        **settings,
    )
    return out.getvalue()


def _pillow_metadata(carried: Metadata) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if carried.icc is not None:
        extra["icc_profile"] = carried.icc
    if carried.exif is not None:
        extra["exif"] = _EXIF_PREFIX + carried.exif
    if carried.dpi is not None:
        extra["dpi"] = tuple(max(1, min(65535, round(side))) for side in carried.dpi)
    return extra


def _opaque(frame: Frame) -> bool:
    alpha = frame.alpha
    if alpha is None:
        return True
    return bool((alpha == (1 if alpha.dtype == np.float32 else np.iinfo(alpha.dtype).max)).all())


def _on_white(frame: Frame) -> Frame:
    if frame.alpha is None or _opaque(frame):
        return replace(frame, alpha=None)
    opacity = to_unit(frame.alpha)[..., None]
    mixed = to_unit(frame.pixels) * opacity + (1 - opacity)
    return replace(frame, pixels=from_unit(mixed, frame.pixels.dtype), alpha=None)


def _sixteen_bit(frame: Frame) -> Frame:
    if frame.pixels.dtype != np.float32:
        return frame
    word = np.dtype(np.uint16)
    alpha = None if frame.alpha is None else from_unit(frame.alpha, word)
    return replace(frame, pixels=from_unit(frame.pixels, word), alpha=alpha)
