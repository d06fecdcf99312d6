"""Writes pictures to files, in the mode and depth and with the metadata of their source."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.atomic import write_whole
from realesrgan_vk.image_io.codecs import color, vips
from realesrgan_vk.image_io.codecs.encoders import ENCODERS
from realesrgan_vk.image_io.formats import FORMATS, Format, format_for
from realesrgan_vk.image_io.limits import ResultSizeError
from realesrgan_vk.image_io.metadata import carrying, fields, icc
from realesrgan_vk.imaging.picture import Metadata, Picture
from realesrgan_vk.imaging.samples import eight_bit, is_opaque, on_white, sixteen_bit, to_grey
from realesrgan_vk.options import WriteOptions


def check_size(known: Format, width: int, height: int) -> None:
    """Refuse a size the format cannot hold.

    Raises:
        ResultSizeError: A side is too long.
    """
    if max(width, height) > known.max_side:
        raise ResultSizeError(
            f"a {known.name} file holds at most {known.max_side} pixels a side, the result would "
            f"be {width} x {height}; ask for a smaller size or write PNG or TIFF"
        )


def write(
    picture: Picture,
    path: Path,
    options: WriteOptions | None = None,
    *,
    known: Format | None = None,
    seen: Callable[[bytes], object] = lambda _: None,
) -> tuple[str, ...]:
    """Write a file whole: it appears under its name only when it is complete.

    An existing file is replaced and keeps its mode; links are followed; a device, a pipe or a
    descriptor is written into (`atomic.whole_file`).

    Args:
        picture: What to write.
        path: Where to; its folder must exist.
        options: How to.
        known: The format; None: that of the path's suffix.
        seen: Called with the file's bytes before they are written.

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
    seen(encoded)
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
    carried = Metadata()
    if not options.strip:
        sized = fields.for_size(picture.metadata, picture.width, picture.height)
        sized = _with_fitting_profile(sized, picture, known, notes)
        carried = carrying.fitted(sized, known, notes)
    try:
        return ENCODERS[known](picture, carried, options), tuple(notes)
    except (OSError, ValueError, KeyError, vips.Error) as error:
        raise ImageError(f"the {known.name} encoder refuses the picture: {error}") from error


def _fitted(picture: Picture, known: Format, options: WriteOptions, notes: list[str]) -> Picture:
    """The picture with only what the format can hold."""
    frames = picture.frames
    if len(frames) > 1 and not known.animation:
        notes.append(f"{known.name} holds no animation; of {len(frames)} frames the first is kept")
        frames = frames[:1]
    if len(frames) > 1 and max(frame.duration for frame in frames) > known.max_duration:
        notes.append(f"{known.name} shows a frame for at most {known.max_duration / 1000:g} s")
        frames = tuple(replace(f, duration=min(f.duration, known.max_duration)) for f in frames)
    profile = picture.metadata.icc
    if profile is not None and (options.strip or not _holds(known, profile)):
        frames = tuple(replace(f, pixels=color.to_srgb(f.pixels, profile)) for f in frames)
    if picture.has_alpha and not known.alpha:
        if not all(frame.alpha is None or is_opaque(frame) for frame in frames):
            notes.append(
                f"{known.name} holds no transparency; the picture is composited onto white"
            )
        frames = tuple(on_white(frame) for frame in frames)
    mode = picture.mode
    if not known.colour and frames[0].pixels.shape[2] == 3:
        notes.append(f"{known.name} holds no colours; they become grey")
        frames = tuple(to_grey(frame) for frame in frames)
        mode = "grey"
    if known.max_bits == 1 and mode != "bilevel":
        notes.append(f"{known.name} holds black and white only")
        mode = "bilevel"
    grey = frames[0].pixels.shape[2] == 1 and frames[0].alpha is None
    bits = known.max_bits if grey or known.deep_colour else 8
    if bits <= 8:
        if frames[0].pixels.dtype != np.uint8 and bits == 8:
            of = "" if known.deep_colour else " of colours"
            notes.append(f"{known.name} holds 8 bits a sample{of} here; {picture.bits} become 8")
        frames = tuple(eight_bit(frame) for frame in frames)
    elif bits == 16:
        frames = tuple(sixteen_bit(frame) for frame in frames)
    if (mode == "cmyk" and not known.cmyk) or (mode == "palette" and not known.palette):
        mode = "colour"
    plays = min(picture.plays, known.max_plays)
    return replace(picture, frames=frames, mode=mode, plays=plays)


def _holds(known: Format, profile: bytes) -> bool:
    return known.profile and (known.grey or icc.colour_space(profile) != "GRAY")


def _with_fitting_profile(
    carried: Metadata, picture: Picture, known: Format, notes: list[str]
) -> Metadata:
    if carried.icc is None:
        return carried
    if not known.profile:  # then the pixels are sRGB by now
        return fields.without_profile(carried)
    space = icc.colour_space(carried.icc)
    grey = picture.frames[0].pixels.shape[2] == 1
    kind = "CMYK" if picture.mode == "cmyk" else "grey" if grey and known.grey else "RGB"
    # Grey files often have an RGB profile, whose three curves are equal.
    if space in {"CMYK": ("CMYK",), "grey": ("GRAY", "RGB"), "RGB": ("RGB",)}[kind]:
        return carried
    converted = (space == "CMYK" and kind != "CMYK") or (space == "GRAY" and grey)
    if not converted:
        what = f"is of {space} and" if space else "is damaged and"
        notes.append(f"the colour profile {what} does not fit the {kind} picture; it is dropped")
    return fields.without_profile(carried)
