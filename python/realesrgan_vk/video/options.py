"""What a caller can ask of a video: its part, its encoder, and what happens to the sound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from realesrgan_vk.checks import flag, one_of, real_number, whole_number
from realesrgan_vk.options import Request, Shard, UpscalerOptions

DEFAULT_MODEL = "realesr-animevideov3"

Audio = Literal["copy", "none", "aac", "opus"]
Reuse = Literal["exact", "near", "off"]
SourceMatrix = Literal["auto", "bt601", "bt709", "bt2020"]

AUDIO: tuple[Audio, ...] = get_args(Audio)
REUSES: tuple[Reuse, ...] = get_args(Reuse)
SOURCE_MATRICES: tuple[SourceMatrix, ...] = get_args(SourceMatrix)

NEAR = 2
"""Largest difference of frames taken for equal by `reuse="near"`, in steps of 8 bits."""

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".nut": "nut",
}
"""FFmpeg's format of a result with this suffix."""

VIDEO_SUFFIXES = frozenset(CONTAINERS) | {
    *(
        ".avi",
        ".wmv",
        ".flv",
        ".mpg",
        ".mpeg",
        ".ogv",
        ".m2ts",
        ".mts",
        ".vob",
        ".3gp",
        ".h264",
        ".hevc",
    ),
    *(".y4m", ".mxf", ".ivf", ".divx", ".m2v", ".264", ".265"),
}
"""Of files that are taken for videos."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
MOST_THREADS = 256
_SET_HERE = {
    "pixel_format": "give pixel_format (--pixel-format)",
    "video_size": "give the size of the result",
    "time_base": "it is the source's",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """How a video is read and written.

    Attributes:
        codec: "auto" (x264; VP9 in WebM), one of "x264", "x265", "av1", "vp9", "ffv1", "prores",
            or the name of one of FFmpeg's encoders, such as "hevc_nvenc".
        crf: Quality by the encoder's scale, where less is better; None: its default here.
        preset: Speed by the encoder's names; None: its default here.
        lossless: Keep every sample of the result.
        pixel_format: "auto" (as the source, or the nearest that the encoder has and that loses
            nothing), or FFmpeg's name.
        encoder_options: Further options of FFmpeg's encoder, as (name, value).
        container: FFmpeg's name of the output's format; None: by the file's suffix.
        audio: Whether audio streams are copied, left out, or encoded as AAC or Opus.
        start: Seconds from the beginning at which the result begins.
        end: Seconds from the beginning at which it ends.
        segment_seconds: Seconds of video that are encoded on their own, and are encoded again at
            most after an interruption. Where the network takes more than a minute for as many, what
            it made is kept, too.
        deinterlace: Make a whole frame of each pair of fields.
        reuse: Which frames take the result of the one before: those equal in all samples, those
            within `NEAR` of it, or none.
        matrix: The colour matrix of a source that is tagged wrongly; "auto": as tagged.
        encoder_threads: Of the encoder; None: one a core.

    Raises:
        TypeError: A value of the wrong type.
        ValueError: A value out of range.
    """

    codec: str = "auto"
    crf: float | None = None
    preset: str | None = None
    lossless: bool = False
    pixel_format: str = "auto"
    encoder_options: tuple[tuple[str, str], ...] = ()
    container: str | None = None
    audio: Audio = "copy"
    start: float | None = None
    end: float | None = None
    segment_seconds: float = 10.0
    deinterlace: bool = False
    reuse: Reuse = "exact"
    matrix: SourceMatrix = "auto"
    encoder_threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("codec", "preset", "pixel_format", "container"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and _NAME.fullmatch(value)):
                raise ValueError(f"{name} is {value!r}; it must be a name, such as FFmpeg's")
        if self.crf is not None:
            real_number("crf", self.crf, "from 0 to 255", lambda x: 0 <= x <= 255)
        for name in ("start", "end"):
            if (value := getattr(self, name)) is not None:
                real_number(name, value, "of seconds from 0 on", lambda x: 0 <= x < 1e9)
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError(f"end is {self.end:g}; it must be after start, {self.start or 0:g}")
        span = "of seconds from 0.1 to 3600"
        real_number("segment_seconds", self.segment_seconds, span, lambda x: 0.1 <= x <= 3600)
        flag("lossless", self.lossless)
        flag("deinterlace", self.deinterlace)
        one_of("audio", self.audio, AUDIO)
        one_of("reuse", self.reuse, REUSES)
        one_of("matrix", self.matrix, SOURCE_MATRICES)
        if self.lossless and self.crf is not None:
            raise ValueError("give only one of crf and lossless")
        if self.encoder_threads is not None:
            whole_number("encoder_threads", self.encoder_threads, 1, MOST_THREADS)
        for pair in self.encoder_options:
            if len(pair) != 2 or not _NAME.fullmatch(pair[0]):
                raise ValueError(f"encoder option {pair!r} must be a name and a value")
            if pair[0] in _SET_HERE:
                raise ValueError(f"encoder option {pair[0]} is set here; {_SET_HERE[pair[0]]}")
            if not pair[1].isascii():
                raise ValueError(f"encoder option {pair!r} must be ASCII text")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoArguments:
    """What a command line of `video` asks for; None where its default depends on the videos.

    Attributes:
        ray: The address of the Ray cluster that works, "" for the one that is found or started;
            None: this machine without Ray.
        ray_workers: At most so many workers of it; None: as many as it has room for.
    """

    inputs: tuple[str, ...]
    request: Request
    model: str
    upscaler: UpscalerOptions
    options: VideoOptions
    devices: tuple[str, ...]
    ray: str | None
    ray_workers: int | None
    recursive: bool
    shard: Shard | None
    output: str | None
    skip_existing: bool
    restart: bool
    plan: bool
    preview: float | None
    quiet: bool
    as_json: bool

    def __post_init__(self) -> None:
        if self.shard is not None and self.restart:
            raise ValueError("give only one of restart and shard; a shard keeps what others made")
        if self.ray is None and self.ray_workers is not None:
            raise ValueError("--ray-workers is for --ray, which is not given")
        if self.ray is not None:
            others = {"--shard": self.shard is not None, "--plan": self.plan}
            others["--preview"] = self.preview is not None
            for name in (name for name, given in others.items() if given):
                raise ValueError(f"{name} is of runs on this machine; leave out --ray")
            if len(self.devices) > 1:
                raise ValueError(
                    "with --ray each worker has one device; give one --device, or none"
                )
        if self.preview is not None:
            real_number("preview", self.preview, "of seconds above 0", lambda x: 0 < x <= 86400)
