"""Pictures read and written row by row, which need not fit the memory."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.checks import file_path, instance_of, one_of, shown, whole_number
from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.atomic import folder_of, whole_file
from realesrgan_vk.image_io.codecs import pnm, tiff, vips
from realesrgan_vk.image_io.formats import JPEG, PGM, PNG, PPM, TIFF, sniff
from realesrgan_vk.image_io.limits import first_bytes
from realesrgan_vk.image_io.metadata import fields
from realesrgan_vk.image_io.urls import READ_ONLY, UrlPath, is_url, path_of, refuse_read_only
from realesrgan_vk.imaging.picture import Metadata, Pixels

RawFormat = Literal["gray", "gray16le", "rgb24", "rgb48le"]
"""Raw video's names of packed samples: 1 or 3 a pixel, of 8 or 16 bits."""

_MAX_SIDE = 2**31 - 1


class RowReader(Protocol):
    """A picture that is read once, from its first row to its last."""

    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]
    metadata: Metadata

    def read(self, first: int, count: int) -> Pixels:
        """Rows `first` to `first + count` as count x width x channels; each row only once."""


class RowWriter(Protocol):
    """Takes a picture once, from its first row to its last."""

    def write(self, first: int, rows: Pixels) -> None:
        """Rows from `first` on, rows x width x channels."""


class ArrayRows:
    """Rows of a height x width x channels array, to be read or written."""

    def __init__(self, pixels: Pixels) -> None:
        """`pixels` is used in place.

        Raises:
            TypeError: Not an array.
            ValueError: Not of three dimensions.
        """
        instance_of("pixels", pixels, np.ndarray)
        if pixels.ndim != 3:
            raise ValueError(
                f"pixels has shape {pixels.shape}; it must be height x width x channels"
            )
        self.pixels = pixels
        self.height, self.width, self.channels = pixels.shape
        self.dtype = pixels.dtype
        self.metadata = Metadata()

    def read(self, first: int, count: int) -> Pixels:
        """As `RowReader.read`."""
        return self.pixels[first : first + count]

    def write(self, first: int, rows: Pixels) -> None:
        """As `RowWriter.write`."""
        self.pixels[first : first + len(rows)] = rows


class RawRows:
    """Rows of raw frames in a binary file: read from it, or written to it."""

    def __init__(self, file: BinaryIO, width: int, height: int, pixels: RawFormat) -> None:
        """One frame of `width` x `height` from the file's current position on.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: No such pixel format, or a side out of range.
        """
        pixels = one_of("pixels", pixels, get_args(RawFormat))
        if not (hasattr(file, "read") or hasattr(file, "write")):
            raise TypeError(f"file must be open in binary mode, not {shown(file)}")
        self._file = file
        self.width = whole_number("width", width, 1, _MAX_SIDE)
        self.height = whole_number("height", height, 1, _MAX_SIDE)
        self.channels = 3 if pixels.startswith("rgb") else 1
        self._stored = np.dtype("<u2" if pixels.endswith("16le") or "48" in pixels else "u1")
        self.dtype = np.dtype(self._stored.newbyteorder("=").type)
        self.metadata = Metadata()

    def read(self, first: int, count: int) -> Pixels:
        """As `RowReader.read`.

        Raises:
            ImageError: The file ends before the last row.
        """
        wanted = count * self.width * self.channels * self._stored.itemsize
        parts = []
        while wanted > 0 and (part := self._file.read(wanted)):  # a pipe may return fewer bytes
            parts.append(part)
            wanted -= len(part)
        if wanted > 0:
            raise ImageError(
                f"the raw frame ends {wanted} bytes before row {first + count} of {self.height}; "
                "check the size and the pixel format"
            )
        rows = np.frombuffer(b"".join(parts), self._stored)
        return rows.astype(self.dtype).reshape(count, self.width, self.channels)

    def write(self, first: int, rows: Pixels) -> None:
        """As `RowWriter.write`; samples must be of the format's own type."""
        self._file.write(np.ascontiguousarray(rows, self._stored).data)


class TiffRows:
    """Rows of a grey or RGB TIFF file's first page."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a file.

        Raises:
            TypeError: `path` is no path.
            ImageError: Damaged, or one that must be decoded whole: with alpha, a palette, CMYK,
                to be turned upright, or with other samples than 8 or 16 bits and 32-bit floats.
        """
        path = file_path(path)
        try:
            self._page = vips.open_tiff_file(path)
            with path.open("rb") as file:
                self.metadata, tags, _ = fields.of_tiff(file)
                file.seek(0)
                tiff.refuse_raw(file.read(tiff.RAW_START_BYTES), tags)
        except Exception as error:  # readers raise many types on damaged data
            raise ImageError(f"{path} cannot be read as a TIFF file: {error}") from error
        whole = "; read it whole, with Upscaler.upscale"
        if tags.get(274, 1) != 1:
            raise ImageError(f"{path} has to be turned upright{whole}")
        if (tags.get(262), self._page.bands) not in ((1, 1), (2, 3)):
            raise ImageError(f"{path} is neither grey nor RGB without alpha{whole}")
        self.dtype = vips.dtype_of(self._page)
        if tags.get(258, 1) in (1, (1,)) or self.dtype not in (np.uint8, np.uint16, np.float32):
            raise ImageError(f"{path} has samples of another type than uint8, uint16, float{whole}")
        self.width, self.height = self._page.width, self._page.height
        self.channels = self._page.bands
        self._region = vips.Region.new(self._page)

    def read(self, first: int, count: int) -> Pixels:
        """As `RowReader.read`.

        Raises:
            ImageError: The file is damaged, or a float sample is not finite.
        """
        try:
            samples = self._region.fetch(0, first, self.width, count)
        except vips.Error as error:
            raise ImageError(
                f"rows {first} to {first + count} cannot be decoded: {error}"
            ) from error
        rows: NDArray[Any] = np.frombuffer(samples, self.dtype)
        if self.dtype == np.float32 and not np.isfinite(rows).all():
            raise ImageError("the picture has values that are NaN or infinite")
        return rows.reshape(count, self.width, self.channels)


class PictureRows:
    """Rows of a grey or RGB picture without alpha, of a file or a URL; a context.

    PNG, JPEG, PGM, PPM and TIFF files are read while their rows are decoded, and never held as a
    whole; but libvips holds the pixels of interlaced PNG and the coefficients of progressive JPEG
    files. A large TIFF file needs a server that gives parts of files, as object stores do.

    Of the metadata it takes what stands before the pixels: the profile, EXIF and XMP.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a file, or a URL.

        Raises:
            TypeError: `path` is no path.
            ImageError: It cannot be read or is damaged, or is one that must be decoded whole: of
                another format, with alpha, CMYK, to be turned upright, or with other samples than 8
                or 16 bits and 32-bit floats.
        """
        self._name = str(path_of(path) if is_url(path) else file_path(path))
        self._error: Exception | None = None  # why the file could not be read
        self._stack = ExitStack()
        try:
            self._open_file()
            self._start = first_bytes(self._file, pnm.MOST_HEADER)
            self._open()
        except ImageError:
            self.close()
            raise
        except Exception as error:  # readers raise many types on damaged data
            self.close()
            raise ImageError(f"{self._name} cannot be read: {self._error or error}") from error

    def __enter__(self) -> "PictureRows":
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file; closing again does nothing."""
        self._stack.close()

    def _open_file(self, *, parts: bool = False) -> None:
        path = path_of(self._name)
        opened = path.reading(parts=parts) if isinstance(path, UrlPath) else path.open("rb")
        self._file: IO[bytes] = self._stack.enter_context(opened)
        # Those of web servers say that they can, and raise.
        web = isinstance(path, UrlPath) and path.scheme in READ_ONLY
        self._seekable = self._file.seekable() if not web else parts

    def _open(self) -> None:
        known = sniff(self._start[:64])
        whole = "; read it whole, with Upscaler.upscale"
        if known in (PGM, PPM) and self._start[:2] in (b"P5", b"P6"):
            self._pnm: pnm.Rows | None = pnm.Rows(self._start)
            self._start = self._start[self._pnm.header_bytes :]
            self.width, self.height = self._pnm.width, self._pnm.height
            self.channels, self.dtype = self._pnm.channels, self._pnm.dtype
            self.metadata = Metadata()
            return
        if known not in (PNG, JPEG, TIFF):
            raise ImageError(f"{self._name} is no PNG, JPEG, TIFF, PGM or PPM file{whole}")
        self._pnm = None
        if known is TIFF:
            if not self._seekable:
                self._stack.close()
                self._open_file(parts=True)
            self._file.seek(0)
            self.metadata, tags, _ = fields.of_tiff(self._file)
            tiff.refuse_raw(self._start[: tiff.RAW_START_BYTES], tags)
            if (tags.get(262), tags.get(277, 1)) not in ((1, 1), (2, 3)):
                raise ImageError(f"{self._name} is neither grey nor RGB without alpha{whole}")
            if tags.get(258, 1) in (1, (1,)):
                raise ImageError(f"{self._name} has samples of 1 bit{whole}")
        if self._seekable:
            self._file.seek(0)
            self._start = b""
        image = vips.open_source(self._read, self._seek if self._seekable else None)
        names = set(image.get_fields())
        if "orientation" in names and image.get("orientation") != 1:
            raise ImageError(f"{self._name} has to be turned upright{whole}")
        if image.bands not in (1, 3):
            raise ImageError(f"{self._name} is neither grey nor RGB without alpha{whole}")
        self.dtype = vips.dtype_of(image)
        if self.dtype not in (np.uint8, np.uint16, np.float32):
            raise ImageError(
                f"{self._name} has samples of another type than uint8, uint16, float{whole}"
            )
        if known is not TIFF:
            found = {
                field: bytes(image.get(name))
                for field, name in (
                    ("icc", "icc-profile-data"),
                    ("exif", "exif-data"),
                    ("xmp", "xmp-data"),
                )
                if name in names
            }
            if "exif" in found:
                found["exif"] = found["exif"].removeprefix(b"Exif\0\0")
            self.metadata = Metadata(**found)  # type: ignore[arg-type]  # bytes, by their names
        self.width, self.height, self.channels = image.width, image.height, image.bands
        self._region = vips.Region.new(image)
        self._image = image

    def read(self, first: int, count: int) -> Pixels:
        """As `RowReader.read`.

        Raises:
            ImageError: The file is damaged or cannot be read, or a float sample is not finite.
        """
        words = f"rows {first} to {first + count} of {self._name} cannot be decoded"
        if self._pnm is not None:
            wanted = count * self._pnm.row_bytes
            parts = []
            while wanted > 0 and (part := self._read(wanted)):
                parts.append(part)
                wanted -= len(part)
            if wanted > 0:
                raise ImageError(f"{words}: {self._error or 'the file ends early'}")
            return self._pnm.decode(b"".join(parts))
        try:
            samples = self._region.fetch(0, first, self.width, count)
        except vips.Error as error:
            raise ImageError(f"{words}: {self._error or error}") from error
        rows: NDArray[Any] = np.frombuffer(samples, self.dtype)
        if self.dtype == np.float32 and not np.isfinite(rows).all():
            raise ImageError("the picture has values that are NaN or infinite")
        return rows.reshape(count, self.width, self.channels)

    def _read(self, count: int) -> bytes:
        """The next bytes; none at the end, and where they cannot be read."""
        if self._start:
            part, self._start = self._start[:count], self._start[count:]
            return part
        try:
            return self._file.read(count)
        except Exception as error:  # the stores' libraries have many; libvips takes none
            self._error = self._error or error
            return b""

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except Exception as error:
            self._error = self._error or error
            return -1


class TiffRowWriter:
    """Writes a grey or RGB TIFF file row by row; a context, at whose end the file appears whole.

    Compressed strips wait in a nameless file beside it, since their sizes come before them. A file
    for a URL is in the system's folder of temporary files until it is uploaded.
    """

    def __init__(
        self, path: str | os.PathLike[str], width: int, height: int, carried: Metadata | None = None
    ) -> None:
        """`width` and `height` of the file, which takes any sample type and 1 or 3 channels.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: A side out of range.
            OSError: No file can be made here; or a URL of a web server, which takes none.
        """
        path = self._path = path_of(path) if is_url(path) else file_path(path)
        refuse_read_only(path)
        self._width = whole_number("width", width, 1, _MAX_SIDE)
        self._height = whole_number("height", height, 1, _MAX_SIDE)
        if carried is not None:
            instance_of("carried", carried, Metadata)
        self._carried = carried or Metadata()
        self._sizes: list[int] = []
        self._waiting: list[Pixels] = []  # less than a strip
        self._next = 0
        self._like: Pixels | None = None
        self._spool = tempfile.TemporaryFile(dir=folder_of(path))  # noqa: SIM115 - see __exit__

    def __enter__(self) -> "TiffRowWriter":
        """Begin."""
        return self

    def write(self, first: int, rows: Pixels) -> None:
        """As `RowWriter.write`.

        Raises:
            ValueError: Rows that do not follow the last ones, or of another width.
        """
        if first != self._next or rows.shape[1] != self._width:
            raise ValueError(
                f"rows {first}.. of {rows.shape[1]} pixels; expected rows {self._next}.. of "
                f"{self._width}"
            )
        self._next += len(rows)
        self._like = rows[:0]
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= self._strip_rows(rows):
            self._flush(last=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the file; after an exception in the context, nothing is left of it.

        Raises:
            ValueError: Rows are missing.
        """
        with self._spool:
            if kind is not None:
                return
            if self._like is None or self._next != self._height:
                raise ValueError(f"{self._next} of {self._height} rows were written")
            self._flush(last=True)
            rows, channels = self._strip_rows(self._like), self._like.shape[2]
            tags = tiff.sample_tags(self._width, self._height, self._like.dtype, channels)
            directory = tiff.directory_of(tags, self._sizes, min(self._height, rows))
            tiff.add_metadata(directory, fields.for_size(self._carried, self._width, self._height))
            start = BytesIO()
            directory.save(start)
            self._spool.seek(0)
            if isinstance(self._path, UrlPath):
                with tempfile.TemporaryDirectory() as folder:
                    here = Path(folder, "whole.tif")
                    with here.open("wb") as copy:
                        copy.write(start.getvalue())
                        shutil.copyfileobj(self._spool, copy)
                    self._path.upload(here)
                return
            with whole_file(self._path) as file:
                file.write(start.getvalue())
                shutil.copyfileobj(self._spool, file)

    def _strip_rows(self, rows: Pixels) -> int:
        row_bytes = self._width * int(rows.shape[2]) * int(rows.itemsize)
        return max(1, tiff.STRIP_BYTES // row_bytes)

    def _flush(self, *, last: bool) -> None:
        rows = np.concatenate(self._waiting) if self._waiting else None
        if rows is None or len(rows) == 0:
            return
        each = self._strip_rows(rows)
        full = len(rows) if last else len(rows) // each * each
        strips, _ = tiff.strips(rows[:full], predict=rows.dtype != np.float32)
        self._waiting = [rows[full:].copy()] if full < len(rows) else []
        for strip in strips:
            self._spool.write(strip)
            self._sizes.append(len(strip))
