"""Pillow images to pictures and back, keeping the mode."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.codecs import color, vips
from realesrgan_vk.image_io.metadata import fields
from realesrgan_vk.imaging.picture import Frame, Mode, Picture
from realesrgan_vk.imaging.samples import (
    bilevel,
    colour,
    eight_bit,
    joined,
    original_range,
    unit_range,
)

_DIRECT = {"L": "L", "RGB": "RGB", "LA": "LA", "RGBA": "RGBA", "La": "LA", "RGBa": "RGBA"}
_VIA_RGB = ("RGBX", "YCbCr", "HSV")
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N")


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image of any mode, its first (current) frame only.

    Raises:
        ImageError: A mode or a value range that is not supported, or no pixels.
    """
    if image.width == 0 or image.height == 0:
        raise ImageError(f"the image has no pixels ({image.width} x {image.height})")
    carried, value_range = fields.of_pil(image), (0.0, 1.0)
    frame = frame_of(image, carried.icc)
    mode, bits = _stored_as(image)
    if image.mode == "F":
        frame, value_range = unit_range(frame)
    return Picture((frame,), mode, bits, carried, value_range=value_range)


def frame_of(image: Image.Image, profile: bytes | None = None, duration: float = 0.0) -> Frame:
    """The pixels of a Pillow image as grey or RGB, and alpha.

    Raises:
        ImageError: A mode or a value range that is not supported.
    """
    if image.mode == "CMYK":
        samples = color.cmyk_to_rgb(np.asarray(image), profile)
    elif image.mode in _DEEP:
        samples = np.asarray(image).astype(np.uint16)
    elif image.mode == "I":
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise ImageError(
                f"image mode 'I' has values from {grey.min()} to {grey.max()}, not within 0..65535"
            )
        samples = grey.astype(np.uint16)
    elif image.mode == "F":
        samples = np.asarray(image, dtype=np.float32)
    else:
        samples = np.asarray(_eight_bit(image))
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.shape[2] in (2, 4):
        return Frame(samples[..., :-1], samples[..., -1], duration)
    return Frame(samples, None, duration)


def layout(image: Image.Image) -> tuple[int, str]:
    """Channels and sample type of the pixels that `frame_of` gives, without decoding them."""
    mode = image.mode
    if mode in ("F", "I", *_DEEP):
        return 1, "float32" if mode == "F" else "uint16"
    return (1 if mode in ("1", "L", "LA", "La") else 3), "uint8"


def to_pil(picture: Picture, like: Image.Image | None = None) -> Image.Image:
    """The picture's first frame as a Pillow image.

    Args:
        picture: 16-bit colour and float colour become 8-bit: Pillow has no mode for them.
        like: An image whose mode and `info` the result takes.
    """
    frame = picture.frames[0]
    if like is not None:
        image = _in_mode(frame, picture, like.mode)
        image.info.update(like.info)
        if like.mode != "P":
            image.info.pop("transparency", None)
        return image
    mode = {"bilevel": "1", "palette": "P", "cmyk": "CMYK"}.get(picture.mode, "")
    if not mode and frame.alpha is None and frame.pixels.shape[2] == 1:
        mode = {"uint16": "I;16", "float32": "F"}.get(frame.pixels.dtype.name, "")
    image = _in_mode(frame, picture, mode)
    sized = fields.for_size(picture.metadata, picture.width, picture.height)
    for name, value in (("icc_profile", sized.icc), ("exif", sized.exif), ("xmp", sized.xmp)):
        if value is not None:
            image.info[name] = value
    if sized.dpi is not None:
        image.info["dpi"] = sized.dpi
    return image


def image_of(frame: Frame) -> Image.Image:
    """L, LA, RGB or RGBA, 8 bits a sample."""
    samples = joined(eight_bit(frame))
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def palette_image(frame: Frame, bits: int) -> Image.Image:
    """Mode P with at most 2 ** bits colours, transparency included."""
    image = Image.open(BytesIO(vips.palette_png(colour(eight_bit(frame)), bits, 1)))
    image.load()
    image.info.pop("dpi", None)
    return image if image.mode == "P" else image.convert("P")


def _stored_as(image: Image.Image) -> tuple[Mode, int]:
    if image.mode == "1" and "transparency" not in image.info:
        return "bilevel", 1
    if image.mode == "P":
        return "palette", 8
    if image.mode == "CMYK":
        return "cmyk", 8
    bits = 32 if image.mode == "F" else 16 if image.mode in (*_DEEP, "I") else 8
    grey = image.mode in ("1", "L", "LA", "La", "F", "I", *_DEEP)
    return ("grey" if grey else "colour"), bits


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode == "PA" or (image.has_transparency_data and image.mode in ("P", "RGB")):
        return image.convert("RGBA")
    if image.mode in ("1", "L") and "transparency" in image.info:
        return image.convert("LA")
    if image.mode in _DIRECT:
        return image if image.mode == _DIRECT[image.mode] else image.convert(_DIRECT[image.mode])
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P" or image.mode in _VIA_RGB:
        return image.convert("RGB")
    if image.mode == "LAB":
        return _through_lab(image, "LAB", "RGB")
    raise ImageError(f"image mode {image.mode!r} is not supported; convert it, such as to 'RGB'")


def _in_mode(frame: Frame, picture: Picture, mode: str) -> Image.Image:
    image: Image.Image | None = None
    if mode == "1" and frame.alpha is None:
        image = Image.fromarray(bilevel(frame))
    elif mode in ("P", "PA"):
        image = palette_image(frame, picture.bits)
    elif mode == "CMYK":
        inks = color.rgb_to_cmyk(eight_bit(frame).pixels, picture.metadata.icc)
        image = Image.fromarray(inks, "CMYK")
    elif mode in _DEEP:
        image = Image.fromarray(frame.pixels[..., 0])
    elif mode == "I":
        image = Image.fromarray(frame.pixels[..., 0].astype(np.int32))
    elif mode == "F":
        image = Image.fromarray(original_range(frame, picture.value_range)[..., 0])
    elif mode == "LAB":
        image = _through_lab(image_of(frame), "RGB", "LAB")
    if image is None:
        image = image_of(frame)
        if frame.alpha is not None and mode in ("1", "L", "RGB"):
            return image  # transparency that `info` held is now a channel
    return image if not mode or image.mode == mode else image.convert(mode)


def _through_lab(image: Image.Image, source: str, target: str) -> Image.Image:
    created = {"LAB": ImageCms.createProfile("LAB"), "RGB": ImageCms.createProfile("sRGB")}
    converted = ImageCms.profileToProfile(
        image, created[source], created[target], outputMode=target
    )
    if converted is None:  # pragma: no cover - only when converting in place
        raise ImageError("the LAB picture cannot be converted")
    return converted
