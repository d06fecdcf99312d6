"""Videos as jobs: what a file is, its run, and the frames that are shown of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk._core import yuv_to_rgb
from realesrgan_vk.imaging.samples import from_unit
from realesrgan_vk.page import previews
from realesrgan_vk.page.jobs import PageJob
from realesrgan_vk.page.parameters import JobOptions
from realesrgan_vk.page.problems import Problem
from realesrgan_vk.video import require_av
from realesrgan_vk.video.options import CONTAINERS

if TYPE_CHECKING:
    import av

    from realesrgan_vk.upscaler import Upscaler
    from realesrgan_vk.video import VideoFrame, VideoInfo, VideoProgress, VideoSummary
    from realesrgan_vk.video.run import VideoRun

# The modules of videos import PyAV, which may be missing.
# ruff: noqa: PLC0415
_FORMATS = frozenset({"mov", "mp4", "matroska", "webm", "avi"})
_CONTAINERS = ("mp4", "mov", "mkv", "webm")  # that are offered
_SHOWN_SECONDS = 5.0  # between two frames that are shown


def is_video(start: bytes) -> bool:
    """Whether a file is MP4, QuickTime, Matroska, WebM or AVI, by its first 64 bytes.

    Only these are given to FFmpeg. Among the many that it reads are lists of other files, which
    whoever sends a file must not choose.
    """
    if start[:4] == b"\x1aE\xdf\xa3":  # EBML, RFC 8794
        return b"matroska" in start or b"webm" in start
    return start[4:8] == b"ftyp" or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")


def look(path: Path, max_pixels: int) -> tuple[VideoInfo, NDArray[np.uint8]]:
    """What is known of a video, and its first frame, RGB.

    Raises:
        Problem: Videos cannot be read here (415), or the frames are too large (422).
        ImageError: The file is no video that can be read.
    """
    try:
        require_av()
    except ImportError as error:
        raise Problem(415, str(error)) from error
    from realesrgan_vk.video import VideoReader
    from realesrgan_vk.video.reader import open_input

    with open_input(path) as container:  # nothing is decoded yet
        for stream in container.streams.video:
            context = stream.codec_context
            if context is not None and context.width * context.height > max_pixels:
                raise Problem(
                    422,
                    f"frames of {context.width} x {context.height} are over {max_pixels} pixels",
                )
    with VideoReader(path) as reader:
        info = reader.info
        if _FORMATS.isdisjoint(info.container.split(",")):
            raise Problem(415, "the file is no video of a known format")
        return info, _eight_bit(next(iter(reader)).rgb())


@cache
def writers() -> dict[str, Any]:
    """What videos can be written as on this machine, for the API.

    Returns:
        `missing`, what must be installed before they can, in words, else None; and `codecs`, each
        with its `name`, `crf` (`default` and `most`; None: it has none), `presets`, the default
        `preset` and the `containers` that hold it.
    """
    try:
        require_av()
    except ImportError as error:
        return {"missing": str(error), "codecs": []}
    from realesrgan_vk.video.encoders import ENCODERS
    from realesrgan_vk.video.streams import holds

    codecs = []
    for name, encoder in ENCODERS.items():
        crf = None
        if encoder.crf is not None:
            crf = {"default": int(encoder.crf), "most": encoder.most_crf}
        codecs.append(
            {
                "name": name,
                "crf": crf,
                "presets": list(encoder.presets),
                "preset": encoder.speed,
                "containers": [
                    each for each in _CONTAINERS if holds(CONTAINERS[f".{each}"], encoder)
                ],
            }
        )
    return {"missing": None, "codecs": [each for each in codecs if each["containers"]]}


def result_suffix(options: JobOptions) -> str:
    """Of the result's file, as `realesrgan-vk video` chooses it.

    Raises:
        Problem: The format that is asked for is one of pictures (422).
    """
    if options.suffix is not None:
        if options.suffix not in CONTAINERS:
            raise Problem(422, f"format is {options.suffix[1:]}, and the file is a video")
        return options.suffix
    own = Path(options.name).suffix
    return own if own.lower() in CONTAINERS else ".mkv"


def planned(
    source: Path, target: Path, suffix: str, upscaler: Upscaler, options: JobOptions
) -> VideoRun:
    """The run of a video.

    Raises:
        ValueError, ImageError, ModelError, OSError: As `VideoRun`.
    """
    from realesrgan_vk.video.run import VideoRun

    wanted = replace(options.video, container=CONTAINERS[suffix.lower()])
    return VideoRun(source, target, [upscaler], options.request, wanted)


def run(
    job: PageJob,
    upscaler: Upscaler,
    report: Callable[[VideoProgress], object],
    stop: Callable[[], object],
    shown: Callable[[], object],
) -> tuple[VideoSummary, list[str]]:
    """Upscale a job's video; a run that was interrupted goes on.

    Args:
        job: The job.
        upscaler: Runs the network.
        report: Called after each frame.
        stop: Called now and then; what it raises stops the run.
        shown: Called when there is another frame to look at.

    Returns:
        What was made, and what could not be kept, in words.
    """
    from realesrgan_vk.video import WorkError

    suffix = Path(job.result_name).suffix
    for restart in (False, True):
        made = planned(job.original_file, job.result_file, suffix, upscaler, job.options)
        try:
            preview = _Shown(job, made, shown)
            summary = made.run(restart=restart, report=report, preview=preview, stop=stop)
        except WorkError:  # of another version of this program, or damaged
            if restart:
                raise
            continue
        return summary, made.notes
    raise AssertionError("the second run returns or raises")


class _Shown:
    """Keeps a frame and its result to look at, every few seconds."""

    def __init__(self, job: PageJob, made: VideoRun, shown: Callable[[], object]) -> None:
        self._job, self._encoding, self._shown = job, made.encoding, shown
        self._next = 0.0

    def __call__(self, frame: VideoFrame, image: av.VideoFrame) -> None:
        from realesrgan_vk.video.frames import planes_of

        if time.monotonic() < self._next:
            return
        planes, _ = planes_of(image, self._encoding.form)
        after = _eight_bit(yuv_to_rgb(list(planes), self._encoding.yuv_format))
        with self._job.preview_lock:
            previews.store(_eight_bit(frame.rgb()), self._job.folder, "original")
            previews.store(after, self._job.folder, "result")
        self._shown()
        self._next = time.monotonic() + _SHOWN_SECONDS


def _eight_bit(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    samples: NDArray[np.uint8] = from_unit(rgb, np.dtype(np.uint8))
    return samples
