"""Writes frames of a caller's own into a video file."""

from __future__ import annotations

import os
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk._core import rgb_to_yuv
from realesrgan_vk.batch.jobs import refuse_unwritable_file
from realesrgan_vk.checks import file_path, instance_of, picture_size
from realesrgan_vk.image_io.atomic import appear
from realesrgan_vk.video.encoders import kept_shape, plan_encoding
from realesrgan_vk.video.options import VideoOptions
from realesrgan_vk.video.reader import VideoInfo, VideoReader
from realesrgan_vk.video.segments import Segment, SegmentWriter
from realesrgan_vk.video.streams import container_of, join, plan_streams
from realesrgan_vk.video.upscaling import fill_opaque

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class VideoWriter:
    """A video file that gets a caller's frames and, from a source, everything else.

    The file appears whole at the end of the `with` block; an exception in it leaves none.

    >>> with VideoReader("film.mkv") as frames:  # doctest: +SKIP
    ...     size = (2 * frames.info.width, 2 * frames.info.height)
    ...     with VideoWriter("larger.mkv", frames, size) as out:
    ...         for frame in frames:
    ...             out.write(upscaler.upscale(frame.rgb()), frame.pts, frame.duration)

    Attributes:
        info: The source.
        notes: What cannot be kept, in words.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        source: VideoReader,
        size: tuple[int, int],
        options: VideoOptions | None = None,
    ) -> None:
        """Begin a file.

        Args:
            path: The result; its suffix tells the container.
            source: Whose other streams, tags and time base the result gets.
            size: Of the frames, (width, height) in pixels.
            options: The encoder and the container; those of reading are the source's.

        Raises:
            TypeError: An argument of the wrong type.
            ValueError: Something that the encoder or the container refuses.
            OSError: The file cannot be made.
        """
        instance_of("source", source, VideoReader)
        options = options or VideoOptions()
        self._target = Path(os.path.realpath(file_path(path)))
        refuse_unwritable_file(self._target)
        self._source = source
        self.info: VideoInfo = source.info
        self.notes: list[str] = []
        self._format = container_of(self._target, options)
        checked = picture_size(size, "size")
        self._encoding = plan_encoding(
            options,
            source.info,
            checked,
            kept_shape(source.info, checked, self.notes.append),
            container=self._format,
            note=self.notes.append,
        )
        self._kept = plan_streams(
            source.path, self._format, self._encoding, options, self.notes.append
        )
        self._folder = Path(
            tempfile.mkdtemp(prefix=f".{self._target.name}.", dir=self._target.parent)
        )
        try:
            self._writer = SegmentWriter(self._folder / "frames.mkv", self._encoding)
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the file; leave none after an exception."""
        if kind is None:
            self.close()
        else:
            self.abandon()

    @property
    def time_base(self) -> Fraction:
        """Seconds of a unit of time stamps: the source's."""
        return self._encoding.time_base

    def write(self, rgb: NDArray[np.float32], pts: int, duration: int = 0) -> None:
        """Encode a frame.

        Args:
            rgb: H x W x 3 floats, 0 is black and 1 is white.
            pts: When it is shown, in units of `time_base`; above that of the frame before.
            duration: In the same units; 0: until the next frame.

        Raises:
            TypeError: An array of other samples.
            ValueError: An array of another shape, or a time stamp that is not above the last.
            OSError: The file cannot be written.
        """
        image, planes, alpha = self._encoding.new_frame()
        shape = (self._encoding.height, self._encoding.width, 3)
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.float32:
            raise TypeError("rgb must be an array of float32")
        if rgb.shape != shape:
            raise ValueError(f"rgb has the shape {rgb.shape}; expected {shape}")
        times = self._writer.times
        if times and pts <= times[-1][0]:
            raise ValueError(
                f"pts is {pts}; it must be above that of the frame before, {times[-1][0]}"
            )
        form = self._encoding.yuv_format
        rgb_to_yuv(np.ascontiguousarray(rgb), list(planes), form)
        if alpha is not None:
            fill_opaque(alpha, form)
        self._writer.write(image, int(pts), int(duration))

    def close(self) -> None:
        """Complete the file.

        Raises:
            ValueError: There is no frame.
            OSError: It cannot be written; nothing is left of it.
        """
        try:
            if not self._writer.times:
                raise ValueError("a video needs at least one frame")
            self._writer.finish()
            path = self._folder / "frames.mkv"
            times, delay = tuple(self._writer.times), self._writer.delay
            segment = Segment(path, times, reused=0, damaged=0, checksum=0, delay=delay, last=True)
            part = self._folder / "result"
            join(self._source, self._kept, [segment], part, self._format)
            appear(part, self._target)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def abandon(self) -> None:
        """Remove what is written so far."""
        self._writer.abandon()
        shutil.rmtree(self._folder, ignore_errors=True)
