"""Picture files to pixels, upright, with what else they hold. Never trusts the file."""

import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageFile

from realesrgan_vk.errors import ImageError, RealesrganError
from realesrgan_vk.image_io import exif, metadata, orientation, pil, tiff, vips
from realesrgan_vk.image_io.formats import (
    FORMATS,
    GIF,
    HEIC,
    JPEG,
    PNG,
    TIFF,
    Format,
    opener,
    sniff,
)
from realesrgan_vk.picture import Frame, Mode, Picture

DEFAULT_MAX_PIXELS = 1 << 26  # RGBA in 256 MiB; with a decoder's copies below 1 GiB
_LEAST_FRAME = 4096  # a frame costs time even if it has a single pixel


def read(path: Path, *, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> Picture:
    """Decode a file; its format is told by its content.

    Args:
        path: PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF or HEIC.
        max_pixels: Refuse a picture (all frames of an animation together) of more; None: never.

    Returns:
        The picture, turned upright; its EXIF orientation is reset.

    Raises:
        ImageError: The file cannot be read, is no picture, is damaged, or is too large.
    """
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise ImageError(f"picture {path} {state}")
    try:
        data = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise ImageError(f"picture {path} cannot be read: {error}") from error
    return decode(data, str(path), max_pixels=max_pixels)


def decode(
    data: bytes, name: str = "the picture", *, max_pixels: int | None = DEFAULT_MAX_PIXELS
) -> Picture:
    """Decode a file's bytes; `name` is for messages. Otherwise as `read`."""
    known = sniff(data[:64])
    if known is None:
        what = "is empty" if not data else "is not a picture of a known format"
        names = ", ".join(each.name for each in FORMATS)
        raise ImageError(f"{name} {what}; these can be read: {names}")
    limit = _Limit(name, max_pixels)
    try:
        if known is TIFF:
            picture = tiff.read(data, limit.check)
        elif known is PNG and data[24:25] == b"\x10":
            picture = _deep_png(data, limit)
        else:
            picture = _with_pillow(data, known, limit)
    except RealesrganError as error:
        message = str(error)
        raise ImageError(message if name in message else f"{name}: {message}") from error
    except MemoryError as error:
        raise ImageError(f"{name} cannot be decoded: there is not enough memory") from error
    except Exception as error:
        # Decoders raise nearly anything on damaged data, and none of it is a fault of this program.
        words = error.detail if isinstance(error, vips.Error) else str(error)
        reason = str(words).strip().splitlines()
        detail = f": {reason[0]}" if reason else ""
        raise ImageError(f"{name} is damaged, or no whole {known.name} file{detail}") from error
    return _upright(picture)


class _Limit:
    """The decompression-bomb limit: sizes are checked before pixels are decoded."""

    def __init__(self, name: str, max_pixels: int | None) -> None:
        self._name = name
        self._max_pixels = max_pixels

    def check(self, width: int, height: int, frames: int = 1, sample_bytes: int = 1) -> None:
        """A pixel of 16 bits a sample counts as two, one of floats as four: memory matters."""
        if width < 1 or height < 1:
            raise ImageError(f"{self._name} has no pixels ({width} x {height})")
        pixels = max(width * height * sample_bytes, _LEAST_FRAME if frames > 1 else 1) * frames
        if self._max_pixels is not None and pixels > self._max_pixels:
            many = f" in {frames} frames" if frames > 1 else ""
            deep = f" of {8 * sample_bytes} bits" if sample_bytes > 1 else ""
            raise ImageError(
                f"{self._name} claims {width} x {height} pixels{deep}{many}, more than the limit "
                f"of {self._max_pixels}; if that is meant, raise it with --max-pixels (0: no "
                "limit), in Python max_pixels="
            )


def _deep_png(data: bytes, limit: _Limit) -> Picture:
    width, height = struct.unpack(">II", data[16:24])
    limit.check(width, height, sample_bytes=2)
    with _open(data, PNG) as header:
        carried = metadata.of_pil(header)
    samples = vips.pixels_of(vips.open_png(data))
    bands = samples.shape[2]
    alpha = samples[..., -1] if bands in (2, 4) else None
    pixels = samples[..., : bands - (alpha is not None)]
    mode: Mode = "grey" if pixels.shape[2] == 1 else "colour"
    return Picture((Frame(pixels, alpha),), mode, 16, carried)


def _open(data: bytes, known: Format) -> ImageFile.ImageFile:
    open_image = opener(known)
    if open_image is None:
        package = "pillow-heif" if known is HEIC else "a Pillow built with it"
        raise ImageError(f"{known.name} cannot be read here; install {package}")
    return open_image(BytesIO(data))


def _with_pillow(data: bytes, known: Format, limit: _Limit) -> Picture:
    with _open(data, known) as image:
        deep = 4 if image.mode in ("I", "F") else 2 if image.mode.startswith("I;") else 1
        limit.check(image.width, image.height, sample_bytes=deep)
        if known.animation and getattr(image, "is_animated", False):
            return _animation(image, known, limit)
        image.load()
        if known is JPEG and image.mode == "CMYK" and "adobe" not in image.info:
            # Pillow takes all CMYK as Adobe's, which is stored inverted.
            inverted = ImageChops.invert(image)
            inverted.info = image.info
            picture = pil.from_pil(inverted)
        else:
            picture = pil.from_pil(image)
    if known is PNG:
        picture = replace(picture, bits=_png_bits(data, picture))
    if known.name == "WebP":
        picture = replace(picture, lossless=b"VP8L" in data[:64])
    return picture


def _png_bits(data: bytes, picture: Picture) -> int:
    depth = data[24]
    narrow = picture.mode in ("palette", "bilevel") or (
        picture.mode == "grey" and not picture.has_alpha
    )
    return depth if narrow and depth in (1, 2, 4) else picture.bits


def _animation(image: ImageFile.ImageFile, known: Format, limit: _Limit) -> Picture:
    first = 1 if getattr(image, "default_image", False) else 0  # APNG: not part of the animation
    frames: list[Frame] = []
    while True:
        try:
            image.seek(first + len(frames))
        except EOFError:
            break
        # The decoder keeps the canvas, which counts as a frame.
        limit.check(image.width, image.height, len(frames) + 2)
        image.load()
        duration = float(image.info.get("duration", 0) or 0)
        rgb = image.convert("RGBA" if _transparent(image) else "RGB")
        frames.append(pil.frame_of(rgb, None, duration))
    if any(frame.alpha is not None for frame in frames):
        frames = [_with_alpha(frame) for frame in frames]
    mode: Mode = "palette" if known is GIF else "colour"
    return Picture(tuple(frames), mode, 8, metadata.of_pil(image), _plays(image, known))


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or image.has_transparency_data


def _with_alpha(frame: Frame) -> Frame:
    if frame.alpha is not None:
        return frame
    return replace(frame, alpha=np.full(frame.pixels.shape[:2], 255, np.uint8))


def _plays(image: Image.Image, known: Format) -> int:
    """How often the animation runs; a GIF file tells the repetitions after the first run."""
    loop = image.info.get("loop")
    if known is GIF:
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop or 0)


def _upright(picture: Picture) -> Picture:
    turn = exif.orientation(picture.metadata.exif) if picture.metadata.exif else 1
    carried = metadata.for_size(metadata.upright(picture.metadata), picture.width, picture.height)
    notes = picture.notes
    if picture.metadata.exif and carried.exif is None:
        notes = (*notes, "the EXIF data was damaged and is dropped")
    if turn == 1:
        return replace(picture, metadata=carried, notes=notes)
    frames = tuple(orientation.turned(frame, turn) for frame in picture.frames)
    turned = frames[0]
    if carried.dpi is not None and turn >= 5:
        carried = replace(carried, dpi=carried.dpi[::-1])
    carried = metadata.for_size(carried, turned.width, turned.height)
    return replace(picture, frames=frames, metadata=carried, notes=notes)
