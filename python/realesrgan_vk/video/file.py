"""One video from file to file, by this process or by a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from realesrgan_vk.batch.jobs import refuse_folder, refuse_unwritable_file
from realesrgan_vk.checks import callback, file_path
from realesrgan_vk.options import FaceOptions, Request, TargetSize, UpscalerOptions, face_options
from realesrgan_vk.video.options import DEFAULT_MODEL, VideoOptions
from realesrgan_vk.video.run import VideoProgress, VideoRun, VideoSummary, load_video_upscalers

if TYPE_CHECKING:
    from realesrgan_vk.batch.cluster import Cluster


def upscale(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | int | Sequence[str | int] = "auto",
    scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    long_edge: int | None = None,
    strength: float = 1.0,
    faces: bool | FaceOptions = False,
    options: VideoOptions | None = None,
    upscaler: UpscalerOptions | None = None,
    cluster: Cluster | None = None,
    restart: bool = False,
    progress: Callable[[VideoProgress], object] | None = None,
    note: Callable[[str], None] | None = None,
) -> VideoSummary:
    """Upscale a video file: every frame by the network, everything else as it is.

    What is finished is kept in the folder `TARGET.realesrgan`, from which the same call goes on
    after an interruption; the result is then the same file, byte for byte, as of a run in one go on
    the same kind of device.

    Args:
        source: A file that FFmpeg reads.
        target: The result; its suffix tells the container.
        model: As for `Upscaler`.
        device: As for `Upscaler`; several share the frames.
        scale: Output pixels per input pixel; None: the network's own.
        width: Output width in pixels.
        height: Output height in pixels.
        long_edge: Longer side of the output in pixels.
        strength: How much of the network's result is in a frame, 0..1.
        faces: Whether faces are restored, or which and how, as for `Upscaler.upscale`. They are
            followed over the frames around each frame, and so do not flicker.
        options: How the video is read and written.
        upscaler: How the network is run; its device and `runs_at_once` are set here.
        cluster: A Ray cluster whose workers make the segments, a `realesrgan_vk.ray.Cluster`; None:
            this process makes them.
        restart: Forget what an earlier run finished.
        progress: Called after each frame, in this thread; what it raises stops the run.
        note: Called with each thing that cannot be kept, in words, before the work.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: An argument out of range, or one that the encoder or the container refuses.
        WorkError: The folder of segments is of a run with other settings, or is damaged.
        ImageError: The source cannot be read, or changes its size.
        ImportError: Faces are asked for, and what finds them is not installed; or Ray is not.
        ModelError, DeviceError, OutOfMemoryError: As `Upscaler`; with a cluster also where no
            worker is left, or there is none at its address.
        OSError: A file cannot be read or written.
    """
    callback("progress", progress)
    callback("note", note)
    devices = [device] if isinstance(device, (str, int)) else list(device)
    path, result = file_path(source, "source"), file_path(target, "target")
    refuse_unwritable_file(result)
    refuse_folder(result)
    network = upscaler or UpscalerOptions()
    tell, report = note or (lambda _: None), progress or (lambda _: None)
    size = TargetSize(scale, width, height, long_edge)
    request = Request(size, faces=face_options(faces), strength=strength)
    if cluster is not None:
        from realesrgan_vk.video import ray  # noqa: PLC0415 - for this argument only

        if len(devices) > 1:
            raise ValueError("with a cluster each worker has one device; give one")
        driver = ray.RayVideos(model, replace(network, device=devices[0]), cluster, tell)
        planned = driver.plan(path, result, request, options or VideoOptions())
        for words in planned.notes:
            tell(words)
        return planned.run(restart=restart, report=report)
    upscalers = load_video_upscalers(model, network, devices, note=tell)
    run = VideoRun(path, result, upscalers, request, options or VideoOptions())
    for words in run.notes:
        tell(words)
    return run.run(restart=restart, report=report)
