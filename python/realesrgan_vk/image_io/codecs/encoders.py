"""One encoder for each format: encodes a picture that fits the format, with its metadata."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io import formats
from realesrgan_vk.image_io.codecs import animation, color, pillow, pnm, tiff, vips
from realesrgan_vk.image_io.containers import gif_blocks, jp2_boxes, jpeg_segments, png_chunks
from realesrgan_vk.image_io.metadata import png_metadata
from realesrgan_vk.imaging.picture import Metadata, Picture
from realesrgan_vk.imaging.samples import bilevel, colour, eight_bit, joined, to_unit
from realesrgan_vk.options import WriteOptions

Encoder = Callable[[Picture, Metadata, WriteOptions], bytes]

_EXIF_PREFIX = b"Exif\x00\x00"
_KEEP, _RESTORE = 0, 2  # APNG: how a frame is disposed of before the next one


def _png(picture: Picture, carried: Metadata, options: WriteOptions) -> bytes:
    frame = picture.frames[0]
    if len(picture.frames) > 1:
        durations = [_as_fraction(duration) for duration in _durations(picture)]
        moving = _animated(picture, "PNG", durations, disposal=_disposals(picture))
        return _with_metadata(moving, carried)
    if picture.mode == "palette":
        samples = colour(eight_bit(frame))
        encoded = vips.palette_png(samples, picture.bits, options.compression)
    elif picture.bits < 8 and frame.alpha is None and frame.pixels.shape[2] == 1:
        samples = eight_bit(frame).pixels
        if picture.bits == 1:
            samples = bilevel(frame)[..., None].astype(np.uint8) * np.uint8(255)
        else:  # round to the nearest level; the encoder would truncate
            top = 2**picture.bits - 1
            samples = np.rint(to_unit(samples) * top).astype(np.uint8) * np.uint8(255 // top)
        encoded = vips.png_bytes(samples, picture.bits, options.compression)
    elif frame.pixels.dtype == np.uint16:
        encoded = vips.png_bytes(joined(frame), 16, options.compression)
    else:
        encoded = _saved(pillow.image_of(frame), "PNG", compress_level=options.compression)
    return _with_metadata(encoded, carried)


def _with_metadata(png: bytes, carried: Metadata) -> bytes:
    return png_chunks.with_chunks(png, png_metadata.chunks_for(carried, png))


def _jpeg(picture: Picture, carried: Metadata, options: WriteOptions) -> bytes:
    frame = picture.frames[0]
    if picture.mode == "cmyk":
        image = Image.fromarray(color.rgb_to_cmyk(frame.pixels, carried.icc), "CMYK")
    else:
        image = pillow.image_of(frame)
    extra = _pillow_metadata(carried)
    if carried.dpi is not None:
        extra["dpi"] = tuple(max(1, min(65535, round(side))) for side in carried.dpi)
    segments = (carried.photoshop, carried.comments, carried.more_xmp)
    extra["extra"] = jpeg_segments.segments_of(*segments)
    subsampling = -1 if image.mode in ("L", "CMYK") else options.subsampling
    # Without `optimize`, for which Pillow allocates a buffer that is too small for noise.
    return _saved(image, "JPEG", quality=options.quality, subsampling=subsampling, **extra)


def _webp(picture: Picture, carried: Metadata, options: WriteOptions) -> bytes:
    lossless = picture.lossless if options.lossless is None else options.lossless
    settings = {"lossless": lossless, "quality": options.quality, "exact": True}
    settings |= _pillow_metadata(carried)
    if len(picture.frames) > 1:
        # One millisecond for each frame: a merged frame's duration is how many are in it.
        encoded = _animated(picture, "WEBP", [1] * len(picture.frames), **settings)
        return animation.webp(encoded, _durations(picture), picture.plays)
    return _saved(pillow.image_of(picture.frames[0]), "WEBP", **settings)


def _bmp(picture: Picture, carried: Metadata, _options: WriteOptions) -> bytes:
    frame = picture.frames[0]
    if picture.mode == "bilevel":
        image = Image.fromarray(bilevel(frame))
    elif picture.mode == "palette":
        image = pillow.palette_image(frame, 8)
    else:
        image = pillow.image_of(frame)
    return _saved(image, "BMP", **({"dpi": carried.dpi} if carried.dpi else {}))


def _gif(picture: Picture, carried: Metadata, _options: WriteOptions) -> bytes:
    frames = [colour(frame) for frame in picture.frames]
    if len(frames) == 1:
        encoded = vips.gif_bytes(frames, [0], 1)
    else:
        # A hundredth of a second for each frame, as for WebP.
        encoded = vips.gif_bytes(frames, [10] * len(frames), picture.plays)
        encoded = animation.gif(encoded, _durations(picture))
    return gif_blocks.with_metadata(encoded, carried)


def _heic(picture: Picture, carried: Metadata, options: WriteOptions) -> bytes:
    try:
        import pillow_heif  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ImageError("HEIC cannot be written here; install pillow-heif") from error
    pillow_heif.register_heif_opener()
    return _modern(picture, carried, options, "HEIF")


def _modern(
    picture: Picture, carried: Metadata, options: WriteOptions, name: str = "AVIF"
) -> bytes:
    image = pillow.image_of(picture.frames[0])
    if image.mode in ("L", "LA"):
        image = image.convert("RGB" if image.mode == "L" else "RGBA")
    return _saved(image, name, quality=options.quality, **_pillow_metadata(carried))


def _j2k(picture: Picture, carried: Metadata, _options: WriteOptions) -> bytes:
    return _jpeg_2000(picture, carried, no_jp2=True)


def _jp2(picture: Picture, carried: Metadata, _options: WriteOptions) -> bytes:
    return jp2_boxes.with_metadata(_jpeg_2000(picture, carried, no_jp2=False), carried)


def _jpeg_2000(picture: Picture, carried: Metadata, *, no_jp2: bool) -> bytes:
    frame = picture.frames[0]
    deep = frame.pixels.dtype == np.uint16
    image = Image.fromarray(frame.pixels[..., 0]) if deep else pillow.image_of(frame)
    comment = {"comment": carried.comments[0]} if carried.comments else {}
    return _saved(image, "JPEG2000", no_jp2=no_jp2, **comment)


def _tga(picture: Picture, _carried: Metadata, _options: WriteOptions) -> bytes:
    frame = picture.frames[0]
    palette = picture.mode == "palette" and frame.alpha is None
    return _saved(
        pillow.palette_image(frame, 8) if palette else pillow.image_of(frame), "TGA", rle=True
    )


def _without_options(encode: Callable[[Picture, Metadata], bytes]) -> Encoder:
    return lambda picture, carried, _options: encode(picture, carried)


def _saved(image: Image.Image, name: str, **settings: Any) -> bytes:  # noqa: ANN401 - Pillow's
    out = BytesIO()
    image.save(out, name, **settings)
    return out.getvalue()


def _animated(picture: Picture, name: str, durations: list[int], **settings: object) -> bytes:
    first, *others = (pillow.image_of(frame) for frame in picture.frames)
    timing = {"duration": durations, "loop": picture.plays}
    return _saved(first, name, save_all=True, append_images=others, **timing, **settings)


def _durations(picture: Picture) -> list[int]:
    """Whole milliseconds."""
    return [round(frame.duration) for frame in picture.frames]


def _as_fraction(duration: int) -> int:
    """Milliseconds rounded to what PNG can hold as a fraction of 16-bit numbers."""
    step = 1
    while duration > 65535 * step:
        step *= 10
    return round(duration / step) * step


def _disposals(picture: Picture) -> list[int]:
    """Another disposal for each frame that equals the one before, so that Pillow keeps both."""
    disposals = [_KEEP]
    for before, frame in zip(picture.frames, picture.frames[1:], strict=False):
        repeats_it = np.array_equal(joined(before), joined(frame))
        disposals.append(_RESTORE if repeats_it and disposals[-1] == _KEEP else _KEEP)
    return disposals


def _pillow_metadata(carried: Metadata) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if carried.icc is not None:
        extra["icc_profile"] = carried.icc
    if carried.exif is not None:
        extra["exif"] = _EXIF_PREFIX + carried.exif
    if carried.xmp is not None:
        extra["xmp"] = carried.xmp
    return extra


ENCODERS: dict[formats.Format, Encoder] = {
    formats.PNG: _png,
    formats.JPEG: _jpeg,
    formats.WEBP: _webp,
    formats.TIFF: _without_options(tiff.encode),
    formats.BMP: _bmp,
    formats.GIF: _gif,
    formats.AVIF: _modern,
    formats.HEIC: _heic,
    formats.JP2: _jp2,
    formats.J2K: _j2k,
    formats.TGA: _tga,
    formats.PBM: _without_options(pnm.encode_pbm),
    formats.PGM: _without_options(pnm.encode_pgm),
    formats.PPM: _without_options(pnm.encode_ppm),
    formats.PAM: _without_options(pnm.encode_pam),
    formats.PFM: _without_options(pnm.encode_pfm),
}
"""The encoders; they raise `OSError`, `ValueError` and libvips' errors."""
