"""TIFF of any depth: decoded by libvips, described by its tags; written here (TIFF 6.0).

Neither Pillow (no 16-bit colour) nor libvips (no EXIF in TIFF) writes everything that a result
keeps, so the strips are compressed here, and Pillow writes the directory.
"""

import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io import foreign
from realesrgan_vk.image_io.codecs import color, pillow, vips
from realesrgan_vk.image_io.containers import photoshop, tiff_tags
from realesrgan_vk.image_io.limits import Accept, Header, Limit
from realesrgan_vk.image_io.metadata import descriptions, fields, geotiff, orientation
from realesrgan_vk.imaging.picture import Frame, Metadata, Mode, Picture, Pixels
from realesrgan_vk.imaging.samples import (
    bilevel,
    from_unit,
    joined,
    original_range,
    to_unit,
    unit_range,
)

MAX_BYTES = 2**32 - 2**20  # offsets are 32-bit; beyond, BigTIFF is written
_HEADER = b"II*\x00\x08\x00\x00\x00"
_BIG_HEADER = b"II+\x00\x08\x00\x00\x00\x10" + bytes(7)
_BYTE, _LONG, _UNDEFINED, _LONG8 = 1, 4, 7, 16  # kinds of values
STRIP_BYTES = 1 << 18
_BITS, _PHOTOMETRIC, _PAGES_NOTE = 258, 262, "only the first of {} pages is used"
_PLANAR, _SEPARATE, _SAMPLES_PER_PIXEL, _TILE_WIDTH = 284, 2, 277, 322
_EXTRA_SAMPLES, _ASSOCIATED, _UNASSOCIATED = 338, 1, 2
_SUBFILE_TYPE, _REDUCED, _SUB_DIRECTORIES = 254, 1, 330
_CANON_RAW = b"II*\0\x10\0\0\0CR"
RAW_START_BYTES = len(_CANON_RAW)  # that `refuse_raw` needs
_SENSOR = (32803, 34892)  # photometric interpretations: colour filter array, linear raw (DNG 1.7)
_SAMPLES = "samples cannot be used, only whole numbers of 8 and 16 bit, and floats of 32"
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825


def read(data: bytes, limit: Limit, accept: Accept) -> Picture:
    """Decode the first page; `accept` is called with the header before that.

    Raises:
        ImageError: A size that is refused, a sample type or channel count that cannot be used, or
            a camera's raw file.
        Exception: Whatever the decoder raises on damaged data.
    """
    carried, tags, notes = fields.of_tiff(BytesIO(data))
    refuse_raw(data[:RAW_START_BYTES], tags)
    bits = tags.get(_BITS, 1)
    if max(bits if isinstance(bits, tuple) else (bits,)) > 32:  # libvips would report damage
        raise ImageError(f"64 bit {_SAMPLES}")
    page = vips.open_tiff(_readable(data, tags))
    limit.check(page.width, page.height, sample_bytes=vips.dtype_of(page).itemsize)
    channels = _Channels.of(page.bands, tags)
    if page.interpretation in ("lab", "labs"):
        page = page.colourspace("srgb")
    dtype = vips.dtype_of(page)
    if dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageError(f"{dtype} {_SAMPLES}")
    stored = Header(
        page.width,
        page.height,
        has_alpha=channels.alpha is not None,
        channels=min(channels.colours, 3),
        dtype=dtype.name,
        icc=carried.icc,
    )
    accept(orientation.upright_header(stored, carried.exif))
    samples = vips.pixels_of(page)
    pages = page.get("n-pages") if page.get_typeof("n-pages") else 1
    mode, bits = _stored_as(samples, tags, channels)
    frame, value_range = _frame(samples, channels, mode, carried)
    notes += (_PAGES_NOTE.format(pages),) if pages > 1 else ()
    notes += (*channels.notes(samples.shape[2]), *_missing_values(samples, carried))
    return Picture((frame,), mode, bits, carried, value_range=value_range, notes=notes)


def refuse_raw(start: bytes, tags: Image.Exif) -> None:
    """Refuse a camera's raw file, such as CR2, DNG, NEF and ARW.

    Its first directory has a preview, with the sensor's values in a sub-directory (TIFF/EP, DNG),
    or the sensor's values themselves.

    Raises:
        ImageError: It is one, by its first bytes or its first directory.
    """
    preview = int(tags.get(_SUBFILE_TYPE, 0)) & _REDUCED and _SUB_DIRECTORIES in tags
    if preview or tags.get(_PHOTOMETRIC) in _SENSOR or start.startswith(_CANON_RAW):
        raise ImageError(f"it is {foreign.CAMERA_RAW}")


def _readable(data: bytes, tags: Image.Exif) -> bytes:
    """The file, in which separate planes that begin with grey are declared as RGB.

    libvips would read separate planes of grey as interleaved samples.

    Raises:
        ImageError: Tiles of separate planes, which libvips cannot read.
    """
    if tags.get(_PLANAR, 1) != _SEPARATE or tags.get(_SAMPLES_PER_PIXEL, 1) == 1:
        return data
    if _TILE_WIDTH in tags:
        raise ImageError("tiles of separate planes cannot be read; save it with strips instead")
    return tiff_tags.with_number(data, _PHOTOMETRIC, 2) if tags.get(_PHOTOMETRIC) == 1 else data


def encode(picture: Picture, carried: Metadata) -> bytes:
    """The first frame as a TIFF file: Deflate, with horizontal differencing for whole numbers.

    BigTIFF where TIFF's 32-bit offsets do not reach.
    """
    samples, tags = _layout(picture, carried)
    parts, rows = strips(samples, predict=tags[317] == 2)
    directory = directory_of(tags, [len(part) for part in parts], rows)
    add_metadata(directory, carried)
    out = BytesIO()
    directory.save(out)
    return out.getvalue() + b"".join(parts)


def directory_of(tags: dict[int, Any], strip_bytes: list[int], rows: int) -> ImageFileDirectory_v2:
    """The start of a file: header and directory of the strips that follow, with their bytes.

    `rows` is the number of rows in each strip but the last.
    """
    big = sum(strip_bytes) > MAX_BYTES
    directory = ImageFileDirectory_v2(_BIG_HEADER if big else _HEADER)
    # Pillow adds the offset of the end of the directory to these.
    offsets = [int(start) for start in np.cumsum([0, *strip_bytes[:-1]])]
    for tag, value in (tags | {273: offsets, 278: rows, 279: strip_bytes}).items():
        directory[tag] = tuple(value) if isinstance(value, list) else value
    directory.tagtype[273] = _LONG8 if big else _LONG
    return directory


@dataclass(frozen=True, slots=True)
class _Channels:
    """Which samples of a pixel are used.

    Attributes:
        colours: How many of the first.
        alpha: The one that is alpha.
        is_associated: Whether colours are multiplied by it.
    """

    colours: int
    alpha: int | None = None
    is_associated: bool = False

    @staticmethod
    def of(channels: int, tags: Image.Exif) -> "_Channels":
        """As the tags say; a single extra sample that they do not describe is taken for alpha."""
        photometric = tags.get(_PHOTOMETRIC)
        colours = 4 if photometric == 5 else 1 if channels < 3 else 3
        extra = tags.get(_EXTRA_SAMPLES, ())
        kinds = tuple(extra) if isinstance(extra, tuple) else (extra,)
        if not kinds and channels == colours + 1:
            kinds = (_UNASSOCIATED,)
        first = channels - len(kinds)  # sample that the kinds describe
        for index in range(colours, channels):
            if index >= first and kinds[index - first] in (_ASSOCIATED, _UNASSOCIATED):
                return _Channels(colours, index, kinds[index - first] == _ASSOCIATED)
        return _Channels(colours)

    def notes(self, channels: int) -> tuple[str, ...]:
        """A note where a pixel of this many channels has unused ones."""
        if channels == self.colours + (self.alpha is not None):
            return ()
        used = {1: "grey", 3: "red, green and blue", 4: "four inks"}[self.colours]
        alpha = " and transparency" if self.alpha is not None else ""
        verb = "is" if used == "grey" and not alpha else "are"
        return (f"of its {channels} channels only {used}{alpha} {verb} used",)


def _stored_as(samples: Pixels, tags: Image.Exif, channels: _Channels) -> tuple[Mode, int]:
    bits = samples.dtype.itemsize * 8
    if tags.get(_BITS, 1) in (1, (1,)):  # 1 is the standard's default
        return "bilevel", 1
    photometric = tags.get(_PHOTOMETRIC)
    if photometric == 3:
        return "palette", 8
    if photometric == 5:
        return "cmyk", bits
    return ("grey" if channels.colours == 1 else "colour"), bits


def _missing_values(samples: Pixels, carried: Metadata) -> tuple[str, ...]:
    """A note where pixels have the value that stands for missing data."""
    _, text = carried.tiff.values.get(geotiff.GDAL_NODATA, (0, b"")) if carried.tiff else (0, b"")
    try:
        missing = float(text.rstrip(b"\0 ")) if isinstance(text, bytes) else float("nan")
    except ValueError:
        return ()
    if not (samples == missing).any():
        return ()
    return (f"pixels of {missing:g}, the value for missing data, are upscaled as all others",)


def _frame(
    samples: Pixels, channels: _Channels, mode: Mode, carried: Metadata
) -> tuple[Frame, tuple[float, float]]:
    if samples.shape[2] < channels.colours:
        raise ImageError(
            f"{samples.shape[2]} channels cannot be used, only grey, RGB (with alpha) and CMYK"
        )
    pixels = samples[..., : channels.colours]
    alpha = None if channels.alpha is None else samples[..., channels.alpha]
    if mode == "cmyk":
        pixels = color.cmyk_to_rgb(pixels, carried.icc)
    value_range = (0.0, 1.0)
    if samples.dtype == np.float32:
        frame, value_range = unit_range(Frame(pixels))
        pixels = frame.pixels
        if alpha is not None:
            alpha = np.clip(np.nan_to_num(alpha), 0, 1)
    if alpha is not None and channels.is_associated:
        opacity: NDArray[np.float32] = np.maximum(to_unit(alpha)[..., None], np.float32(1e-6))
        pixels = from_unit(np.clip(to_unit(pixels) / opacity, 0, 1), samples.dtype)
    return Frame(pixels, alpha), value_range


def _layout(picture: Picture, carried: Metadata) -> tuple[Pixels, dict[int, Any]]:
    """Height x width x samples as stored, and the tags that describe them."""
    frame = picture.frames[0]
    tags: dict[int, Any] = {256: frame.width, 257: frame.height, 259: 8, 284: 1, 317: 1}
    if picture.mode == "bilevel" and frame.alpha is None:
        packed = np.packbits(bilevel(frame), axis=1)[..., None]
        return packed, tags | {258: 1, 262: 1, 277: 1}
    if picture.mode == "palette" and frame.alpha is None:
        image = pillow.palette_image(frame, 8)
        colours = np.zeros((256, 3), np.uint16)
        table = np.array(image.getpalette("RGB"), np.uint16).reshape(-1, 3)
        colours[: len(table)] = table * 257
        palette = {320: [int(value) for value in colours.T.ravel()]}
        return np.asarray(image)[..., None], tags | palette | {258: 8, 262: 3, 277: 1}
    if picture.mode == "cmyk" and frame.alpha is None:
        samples, photometric = color.rgb_to_cmyk(frame.pixels, carried.icc), 5
    else:
        pixels = original_range(frame, picture.value_range)
        samples = joined(Frame(pixels, frame.alpha))
        photometric = 1 if frame.pixels.shape[2] == 1 else 2
    tags = sample_tags(frame.width, frame.height, samples.dtype, samples.shape[2])
    tags[262] = photometric
    if frame.alpha is not None:
        tags[_EXTRA_SAMPLES] = 2  # unassociated alpha
    return samples, tags


def sample_tags(width: int, height: int, dtype: np.dtype[Any], count: int) -> dict[int, Any]:
    """The tags of Deflated grey (1 or 2 samples) or RGB (3 or more) pixels."""
    is_float = dtype == np.float32
    tags: dict[int, Any] = {256: width, 257: height, 259: 8, 284: 1}
    tags |= {258: [dtype.itemsize * 8] * count, 262: 1 if count < 3 else 2, 277: count}
    return tags | {339: [3 if is_float else 1] * count, 317: 1 if is_float else 2}


def strips(samples: Pixels, *, predict: bool) -> tuple[list[bytes], int]:
    """Compressed strips and the rows of each."""
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    rows = max(1, STRIP_BYTES // max(1, little[0].nbytes))
    strips = []
    for start in range(0, little.shape[0], rows):
        strip = little[start : start + rows]
        if predict:
            differences = strip.copy()
            differences[:, 1:] -= strip[:, :-1]
            strip = differences
        strips.append(zlib.compress(strip.tobytes(), 6))
    return strips, min(rows, little.shape[0])


def add_metadata(directory: ImageFileDirectory_v2, carried: Metadata) -> None:
    """Add what a file carries to its first directory."""
    if carried.exif is not None:
        block = Image.Exif()
        block.load(b"Exif\x00\x00" + carried.exif)
        for tag in block:
            if tag not in (_EXIF_IFD, _GPS_IFD) and tag not in directory:
                directory[tag] = block[tag]
        for sub in (_EXIF_IFD, _GPS_IFD):
            if values := block.get_ifd(sub):
                directory[sub] = dict(values)
    for tag, (kind, content) in (carried.tiff.values if carried.tiff else {}).items():
        directory.tagtype[tag] = kind
        directory[tag] = content
        if tag == tiff_tags.DESCRIPTION and isinstance(content, bytes):
            count = directory[277]
            shape = (directory[257], directory[256], *((count,) if count > 1 else ()))
            directory[tag] = descriptions.with_shape(content, shape)
    if carried.dpi is not None:
        directory[282], directory[283], directory[296] = carried.dpi[0], carried.dpi[1], 2
    records = photoshop.iptc(carried.photoshop or b"")
    for tag, kind, held in (
        (tiff_tags.XMP, _BYTE, carried.xmp),
        (tiff_tags.PHOTOSHOP, _BYTE, carried.photoshop),
        (tiff_tags.IPTC, _UNDEFINED, records),
        (tiff_tags.ICC, _UNDEFINED, carried.icc),
    ):
        if held is not None:
            directory[tag] = held
            directory.tagtype[tag] = kind
