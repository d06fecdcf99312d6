"""Compression as a frame of a video, by real encoders through PyAV."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from realesrgan_train.colour import BLUE, GREEN, MOST_BLUENESS, MOST_REDNESS, RED
from realesrgan_train.config.degradation import VIDEO_CODECS, VideoConfig
from realesrgan_train.degradations.draw import DrawnVideo
from realesrgan_train.errors import ConfigError

if TYPE_CHECKING:
    import av

_LEAST_EDGE = 64
"""Pixels of the smallest frame that all four encoders take."""

_Planes = list[npt.NDArray[np.uint8]]
_Picture = npt.NDArray[np.float32]


class _Codec(NamedTuple):
    """An encoder of FFmpeg with its settings, and the decoder.

    Attributes:
        quantiser: The options that take the drawn quantiser.
        options: Fixed ones. All are for one thread, in which the same frames give the same bits.
    """

    encoder: str
    decoder: str
    quantiser: tuple[str, ...]
    options: dict[str, str]


_CODECS = {
    "h264": _Codec("libx264", "h264", ("crf",), {"preset": "veryfast"}),
    "hevc": _Codec(
        *("libx265", "hevc", ("crf",)),
        {"preset": "veryfast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    ),
    "vp9": _Codec(
        "libvpx-vp9", "vp9", ("crf",), {"b": "0", "deadline": "realtime", "cpu-used": "6"}
    ),
    "mpeg2": _Codec("mpeg2video", "mpeg2video", ("qmin", "qmax"), {}),
}


def check_encoders(config: VideoConfig) -> None:
    """Make sure that what the recipe draws can be encoded.

    Raises:
        ConfigError: PyAV is missing, or an encoder in its FFmpeg.
    """
    if not config.probability:
        return
    if find_spec("av") is None:
        raise ConfigError(
            "degradation.video compresses through PyAV, which is not installed: pip install av"
        )
    import av.codec  # noqa: PLC0415 - optional

    for name, probability in zip(VIDEO_CODECS, config.codecs.as_tuple(), strict=True):
        encoder = _CODECS[name].encoder
        if probability and encoder not in av.codec.codecs_available:
            raise ConfigError(
                f"degradation.video.codecs names {name}, but the FFmpeg of the installed PyAV has "
                f"no encoder {encoder}: set it to 0"
            )


def compress_as_video(x: Tensor, drawn: DrawnVideo) -> Tensor:
    """Compress and decompress each sample as the last frame of a clip of its own.

    Pictures are small, and so is what is done to them in NumPy; PyTorch's threads would take longer
    to start and to wait for one another.

    Args:
        x: [B, 3, H, W] RGB or [B, 1, H, W] grey, 0..1. It is copied to the host and back. A grey
            picture is a video whose chroma is that of grey.
        drawn: Decisions for as many samples.

    Returns:
        As x, in steps of 1/255; samples that are not compressed as they are.
    """
    samples = drawn.applied.nonzero().flatten().tolist()
    if not samples:
        return x
    pictures = x.detach().cpu().numpy().copy()
    for sample in samples:
        codec = _CODECS[VIDEO_CODECS[int(drawn.codec[sample])]]
        clip = _clip(pictures[sample], drawn, sample)
        last = _through(codec, clip, int(drawn.quantiser[sample]))
        decoded = _to_rgb(last) if x.shape[1] == 3 else _to_grey(last)
        pictures[sample] = decoded[:, : x.shape[2], : x.shape[3]]
    return torch.from_numpy(pictures).to(x.device)


def _clip(picture: _Picture, drawn: DrawnVideo, sample: int) -> list[_Planes]:
    """Planes of every frame; the last one is the picture, the others lie before it."""
    height, width = picture.shape[1:]
    rows, columns = (max(_LEAST_EDGE, size + size % 2) for size in (height, width))
    frames = []
    for age in range(int(drawn.frames[sample]) - 1, -1, -1):
        down, right = (round(age * float(move[sample])) for move in (drawn.move_y, drawn.move_x))
        y = np.clip(np.arange(rows) + down, 0, height - 1)
        x = np.clip(np.arange(columns) + right, 0, width - 1)
        frames.append(_to_planes(picture[:, y][:, :, x]))
    return frames


def _to_planes(picture: _Picture) -> _Planes:
    """RGB or grey, [3 or 1, H, W], 0..1, as BT.601 of limited range, 4:2:0.

    Chroma is the mean of four.
    """
    red, green, blue = np.broadcast_to(picture, (3, *picture.shape[1:]))
    luma = RED * red + GREEN * green + BLUE * blue
    planes = [16 + 219 * luma]
    for colour, most in ((blue, MOST_BLUENESS), (red, MOST_REDNESS)):
        full = (colour - luma) / most
        rows = full[::2] + full[1::2]
        planes.append(128 + 56 * (rows[:, ::2] + rows[:, 1::2]))
    return [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes]


def _to_rgb(planes: _Planes) -> _Picture:
    """The inverse of `_to_planes`, chroma interpolated between its samples, in steps of 1/255."""
    luma = (planes[0].astype(np.float32) - 16) / 219
    blueness, redness = (
        most / 224 * (_doubled(_doubled(plane.astype(np.float32)).T).T - 128)
        for plane, most in zip(planes[1:], (MOST_BLUENESS, MOST_REDNESS), strict=True)
    )
    green = luma - (RED * redness + BLUE * blueness) / GREEN
    rgb = np.stack((luma + redness, green, luma + blueness), dtype=np.float32)
    rounded: _Picture = np.rint(rgb.clip(0, 1) * 255) / 255
    return rounded


def _to_grey(planes: _Planes) -> _Picture:
    """The luma, [1, H, W], in steps of 1/255."""
    luma = (planes[0].astype(np.float32) - 16) / 219
    rounded: _Picture = np.rint(luma.clip(0, 1) * 255)[None] / 255
    return rounded


def _doubled(x: _Picture) -> _Picture:
    """Twice as many rows, interpolated linearly at the centres of pixels."""
    above, below = np.concatenate((x[:1], x[:-1])), np.concatenate((x[1:], x[-1:]))
    pairs = np.stack((0.75 * x + 0.25 * above, 0.75 * x + 0.25 * below), 1)
    rows: _Picture = pairs.reshape(-1, x.shape[1])
    return rows


def _through(codec: _Codec, frames: list[_Planes], quantiser: int) -> _Planes:
    """Encode all frames, decode them, and return the last one's planes."""
    import av  # noqa: PLC0415 - optional

    encoder = cast("av.VideoCodecContext", av.CodecContext.create(codec.encoder, "w"))
    encoder.height, encoder.width = frames[0][0].shape
    encoder.pix_fmt, encoder.framerate = "yuv420p", Fraction(25)
    encoder.thread_count = 1
    encoder.options = {**codec.options, **dict.fromkeys(codec.quantiser, str(quantiser))}
    packets = []
    for number, planes in enumerate(frames):
        frame = _to_frame(planes)
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)

    decoder = cast("av.VideoCodecContext", av.CodecContext.create(codec.decoder, "r"))
    decoder.thread_count = 1
    decoded = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    if len(decoded) != len(frames):
        raise RuntimeError(f"{codec.encoder}: {len(decoded)} frames of {len(frames)} came back")
    return [_plane(plane).copy() for plane in decoded[-1].planes]


def _plane(plane: av.video.plane.VideoPlane) -> npt.NDArray[np.uint8]:
    """A plane's samples, [height, width], in FFmpeg's memory."""
    memory = memoryview(cast("bytes", plane))  # a plane is a buffer, which its types do not say
    rows = np.frombuffer(memory, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _to_frame(planes: _Planes) -> av.VideoFrame:
    import av  # noqa: PLC0415 - optional

    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, samples in zip(frame.planes, planes, strict=True):
        _plane(plane)[:] = samples
    return frame
