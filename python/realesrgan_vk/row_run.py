"""Runs the network from rows to rows."""

import numpy as np

from realesrgan_vk import _core
from realesrgan_vk.image_io.color import WorkingCurve
from realesrgan_vk.image_io.rows import RowReader, RowWriter
from realesrgan_vk.picture import Pixels
from realesrgan_vk.request import Progress


def run_rows(
    core: _core.Upscaler, source: RowReader, sink: RowWriter, progress: Progress | None
) -> None:
    """Upscale by the network's own scale; a colour profile's tone curve is exchanged as always.

    Raises:
        ValueError: The source's channels are not the network's.
    """
    if source.channels != core.network.input_channels:
        raise ValueError(
            f"the source has {source.channels} channels, the network takes "
            f"{core.network.input_channels}; Upscaler.upscale converts pictures"
        )
    curve = WorkingCurve.of(source.metadata.icc)
    one = np.zeros((1, 1, source.channels), source.dtype)

    def read(first: int, count: int) -> Pixels:
        return curve.encode(source.read(first, count))

    def write(first: int, rows: Pixels) -> None:
        sink.write(first, curve.decode(rows, source.dtype))

    core.run_rows(
        source.width,
        source.height,
        read,
        write,
        samples=curve.encode(one).dtype,
        progress=progress,
    )
