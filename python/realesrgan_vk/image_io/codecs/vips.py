"""libvips, for what Pillow lacks: 16-bit colour, floats, better palettes, 16-bit ICC transforms.

pyvips with its bundled libvips is the smallest well-maintained package with 16-bit colour (8 MB
against 26 for imagecodecs and 61 for OpenCV), is fuzzed continuously, and also brings
libimagequant, cgif and Little CMS.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.samples import from_unit, to_unit

try:
    import pyvips
except (
    ImportError,
    OSError,
    MemoryError,
) as error:  # without memory, pyvips reports a missing file
    raise ImportError(
        f"libvips, which reads and writes pictures, cannot be loaded ({error}): the installation "
        "of pyvips-binary is damaged, or the system has no memory left for it"
    ) from error

Error = pyvips.Error
Image = pyvips.Image
Region = pyvips.Region


def open_png(data: bytes) -> pyvips.Image:
    """A PNG file's header; pixels are decoded when asked for."""
    return pyvips.Image.pngload_buffer(data, fail_on="error", access="sequential")


def open_tiff(data: bytes) -> pyvips.Image:
    """The header of a TIFF file's first page; pixels are decoded when asked for."""
    return pyvips.Image.tiffload_buffer(data, fail_on="error", access="sequential")


def open_tiff_file(path: Path) -> pyvips.Image:
    """The header of a TIFF file's first page; its rows are decoded in order."""
    return pyvips.Image.tiffload(str(path), fail_on="error", access="sequential")


def open_file(path: Path) -> pyvips.Image:
    """An image of libvips' own form or a tiled TIFF file, whose parts are read when asked for.

    Raises:
        FileNotFoundError: There is no such file.
    """
    try:
        return pyvips.Image.new_from_source(pyvips.Source.new_from_file(str(path)), "")
    except pyvips.Error:
        if path.exists():
            raise
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None


def keep_nothing() -> None:
    """Keep no results of operations, whose files would stay open after they are removed."""
    pyvips.cache_set_max(0)


def shown_rows(path: Path) -> pyvips.Image:
    """A picture file's first frame in 8-bit sRGB, with its alpha; its rows are decoded in order.

    The file is one that this package has written: libvips' own limits apply.

    Raises:
        Error: libvips does not read it.
    """
    image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="error")
    if image.format == "float":  # from 0 to 1, with the profile's curve
        image = (image * 65535).cast("ushort").copy(interpretation=_DEEP[min(image.bands, 3)])
    if "icc-profile-data" in image.get_fields():
        image = image.icc_transform(
            "srgb", embedded=True, intent="relative", black_point_compensation=True, depth=8
        )
    return image.colourspace("srgb").cast("uchar")


_DEEP = {1: "grey16", 2: "grey16", 3: "rgb16"}


def open_source(
    read: Callable[[int], bytes], seek: Callable[[int, int], int] | None
) -> pyvips.Image:
    """The header of a picture whose bytes come from functions; its rows are decoded in order.

    Args:
        read: Gives so many bytes at most; none at the end. It is called for rows, too.
        seek: As a file's; None: it cannot be done.
    """
    source = pyvips.SourceCustom()
    source.on_read(read)
    if seek is not None:
        source.on_seek(seek)
    return pyvips.Image.new_from_source(source, "", fail_on="error", access="sequential")


def dtype_of(image: pyvips.Image) -> np.dtype[Any]:
    """The type of its samples."""
    dtype: np.dtype[Any] = np.dtype(pyvips.vimage.FORMAT_TO_TYPESTR[image.format])
    return dtype


def pixels_of(image: pyvips.Image) -> Pixels:
    """Decode: height x width x channels, of the file's sample type."""
    samples = np.frombuffer(image.write_to_memory(), dtype_of(image))
    return samples.reshape(image.height, image.width, image.bands)


def image_of(pixels: Pixels, interpretation: str | None = None) -> pyvips.Image:
    """An image over height x width x channels samples; they must stay unchanged while it lives."""
    if interpretation is None:
        names = {"uint8": ("b-w", "srgb"), "uint16": ("grey16", "rgb16")}
        interpretation = names[pixels.dtype.name][pixels.shape[2] > 2]
    return pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=interpretation)


def png_bytes(pixels: Pixels, bits: int, compression: int) -> bytes:
    """PNG of grey, grey and alpha, RGB or RGBA samples; grey may be stored in 1, 2 or 4 bits."""
    image = image_of(pixels)
    encoded = image.pngsave_buffer(
        bitdepth=bits, compression=compression, filter="none" if bits < 8 else "all", keep="none"
    )
    return bytes(encoded)


def palette_png(pixels: Pixels, bits: int, compression: int) -> bytes:
    """PNG of RGB or RGBA samples reduced to a palette of at most 2 ** bits colours."""
    encoded = image_of(pixels).pngsave_buffer(
        palette=True, bitdepth=bits, compression=compression, dither=0.8, keep="none"
    )
    return bytes(encoded)


def gif_bytes(frames: Sequence[Pixels], durations: Sequence[float], plays: int) -> bytes:
    """GIF of RGB or RGBA frames of one size, shown for these milliseconds each."""
    image = image_of(np.concatenate(list(frames), axis=0)).copy()
    if len(frames) > 1:
        image.set_type(pyvips.GValue.gint_type, "page-height", frames[0].shape[0])
        delays = [round(duration) for duration in durations]
        image.set_type(pyvips.GValue.array_int_type, "delay", delays)
        image.set_type(pyvips.GValue.gint_type, "loop", plays)
    return bytes(image.gifsave_buffer(keep="none"))


def icc_transform(pixels: Pixels, source: bytes | None, target: bytes | None) -> Pixels | None:
    """Pixels from one ICC profile to another (None: sRGB), relative colorimetric.

    Args:
        pixels: Height x width x 3, or 4 inks where `source` is of CMYK (0: no ink).
        source: Profile of the values.
        target: Profile wanted.

    Returns:
        Samples of the same type (CMYK: 0 is no ink), or None when Little CMS refuses.
    """
    depth = 8 if pixels.dtype == np.uint8 else 16
    samples = pixels
    if pixels.dtype == np.float32:
        samples = from_unit(pixels, np.dtype(np.uint16))
    image = image_of(samples, "cmyk" if pixels.shape[2] == 4 else None).copy()
    path = None
    try:
        if source is not None:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", source)
        if target is not None:
            handle, path = tempfile.mkstemp(suffix=".icc")
            with os.fdopen(handle, "wb") as file:
                file.write(target)
        converted = image.icc_transform(
            path or "srgb",
            embedded=source is not None,
            input_profile="srgb",
            intent="relative",
            black_point_compensation=True,
            depth=depth,
        )
        out = pixels_of(converted)
    except pyvips.Error:
        return None
    finally:
        if path is not None:
            os.unlink(path)  # noqa: PTH108 - mkstemp gave a string
    return to_unit(out) if pixels.dtype == np.float32 else out
