"""Runs the network on a picture that is read and written row by row."""

import numpy as np

from realesrgan_vk._core import Upscaler as Core
from realesrgan_vk.checks import instance_of, picture_size, shown, whole_number
from realesrgan_vk.image_io.codecs.color import WorkingCurve
from realesrgan_vk.image_io.rows import RowReader, RowWriter
from realesrgan_vk.imaging import arrays
from realesrgan_vk.imaging.picture import Metadata, Pixels
from realesrgan_vk.options import Progress


def run_rows(core: Core, source: RowReader, sink: RowWriter, progress: Progress | None) -> None:
    """Upscale by the network's own scale, with sRGB's tone curve in place of the profile's.

    Raises:
        TypeError: `source` or `sink` is no reader or writer of rows.
        ValueError: The source's channels are not the network's, a side is out of range, or floats
            are beyond `arrays.FLOAT_RANGE`.
    """
    width, height = _checked_size(source, sink)
    channels = whole_number("the source's number of channels", source.channels, 1)
    if channels != core.network.input_channels:
        raise ValueError(
            f"the source has {shown(channels)} channels, the network takes "
            f"{core.network.input_channels}; Upscaler.upscale converts pictures"
        )
    curve = WorkingCurve.of(source.metadata.icc)

    def read(first: int, count: int) -> Pixels:
        rows = source.read(first, count)
        if source.dtype == np.float32:
            arrays.check_floats(rows, "source")
        return curve.encode(rows)

    def write(first: int, rows: Pixels) -> None:
        sink.write(first, curve.decode(rows, source.dtype))

    core.run_rows(
        width,
        height,
        read,
        write,
        dtype=curve.encoded_type(source.dtype, channels),
        progress=progress,
    )


def _checked_size(source: RowReader, sink: RowWriter) -> tuple[int, int]:
    for name, rows, members in (
        ("source", source, ("width", "height", "channels", "dtype", "metadata", "read")),
        ("sink", sink, ("write",)),
    ):
        missing = [member for member in members if not hasattr(rows, member)]
        if missing:
            raise TypeError(
                f"{name} must have {', '.join(members)}, as the classes of image_io.rows; "
                f"{type(rows).__name__} lacks {', '.join(missing)}"
            )
    instance_of("source.metadata", source.metadata, Metadata)
    if not isinstance(source.dtype, np.dtype) or source.dtype not in arrays.TYPES:
        raise TypeError(
            f"source has dtype {shown(source.dtype)}; it must be uint8, uint16 or float32"
        )
    return picture_size((source.width, source.height), "source")
