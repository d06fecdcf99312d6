"""The options of `realesrgan-vk video`; what they do is in `video_run`."""

from __future__ import annotations

import re

import click

from realesrgan_vk import video as video_package
from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.help import Command
from realesrgan_vk.cli.options import INPUT, Parsed, option
from realesrgan_vk.options import Request, TargetSize, UpscalerOptions
from realesrgan_vk.video.options import (
    AUDIO,
    DEFAULT_MODEL,
    REUSES,
    SOURCE_MATRICES,
    VideoArguments,
    VideoOptions,
)

_EPILOG = (
    "Exit code: 0 when every video was written, 1 when some failed, 2 when nothing was tried "
    "(a wrong option, no such model or device), 130 when interrupted, 143 when terminated. An "
    "interrupted run leaves what it finished in the folder OUT.realesrgan; the same command goes "
    "on from there."
)
_EXAMPLES = (
    "realesrgan-vk video film.mkv -o film-x2.mkv --scale 2",
    "realesrgan-vk video clip.mp4 --width 3840 --codec x265 --crf 16 --preset slow",
    "realesrgan-vk video film.mkv -o part.mkv --scale 2 --start 0:01:30 --end 0:01:40",
    "realesrgan-vk video episodes/ -o larger/ -m realesr-animevideov3-x2",
)
_OUTPUT, _ENCODER, _FRAMES = "Output", "Encoder", "Frames"
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(?:(\d{1,6}):)?(\d{1,9}(?:\.\d{0,9})?)")


def _seconds(text: str) -> float:
    """Seconds, of a number of them or of hours, minutes and seconds with colons."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time; give seconds, such as 90, or 0:01:30")
    first, second, seconds = found.groups()
    # With one colon the first number is of minutes.
    hours, minutes = (first, second) if second is not None else (None, first)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _pair(text: str) -> tuple[str, str]:
    """A name and a value with = between."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"{text!r} is not NAME=VALUE, such as tune=grain")
    return name, value


@click.command(cls=Command, epilog=_EPILOG, examples=_EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, metavar="IN...", type=shared.PathName())
@shared.options(
    shared.size_options,
    shared.network_options(DEFAULT_MODEL),
    shared.strength_option,
    shared.alpha_option,
    shared.face_options,
    shared.device_option(
        "devices", multiple=True, default=("auto",),
        help="auto (default), cpu, an index, UUID or part of a name of 'realesrgan-vk devices'; "
        "several share the frames."),
    shared.run_options,
    shared.ray_options("videos"),
    option("-r", "--recursive", is_flag=True, group=INPUT, help="Read subfolders, too."),
    shared.shard_option("each video's segments"),
    option("--start", type=Parsed(_seconds), metavar="TIME", group=INPUT,
           help="Where to begin: seconds, or as 0:01:30."),
    option("--end", type=Parsed(_seconds), metavar="TIME", group=INPUT, help="Where to end."),
    option("--deinterlace", is_flag=True, group=INPUT,
           help="Make a whole frame of each pair of fields, as interlaced videos need; the frame "
           "rate stays."),
    option("--matrix", type=click.Choice(SOURCE_MATRICES), default="auto", group=INPUT,
           help="The source's colour matrix, where its tag is wrong. Default: its tag, or without "
           "one bt601 below 720 lines, else bt709."),
    option("-o", "--output", metavar="OUT", type=shared.PathName(), group=_OUTPUT,
           help="File (mkv, mp4, m4v, mov, webm, ts, nut) or folder. Default: beside the video or "
           "folder, with '-upscaled' added to its name; for several, the folder 'upscaled'."),
    option("--container", metavar="NAME", group=_OUTPUT,
           help="The file's format, such as mp4, mov, mkv or webm. Default: by its suffix."),
    option("--audio", type=click.Choice(AUDIO), default="copy", group=_OUTPUT,
           help="Copy all audio (default), leave it out, or encode it as AAC or Opus."),
    option("--skip-existing", is_flag=True, group=_OUTPUT,
           help="Skip videos whose result exists, which is replaced otherwise."),
    option("--restart", is_flag=True, group=_OUTPUT,
           help="Begin again, without what an interrupted run finished."),
    option("--plan", is_flag=True, group=_OUTPUT,
           help="Show time, memory and disk space, after a few frames; nothing is written."),
    option("--segment-seconds", type=float, default=10.0, metavar="N", group=_OUTPUT,
           help="What is encoded again at most after an interruption, in seconds of video. "
           "Default: 10. What the network made is kept where it takes long."),
    option("--codec", default="auto", metavar="NAME", group=_ENCODER,
           help="x264 (default), x265, av1, vp9 (default for webm), ffv1, prores, or one of "
           "FFmpeg's encoders, such as hevc_nvenc."),
    option("--crf", type=float, metavar="N", group=_ENCODER,
           help="Quality; less is better and larger. Default: x264 16, x265 18, av1 22, vp9 18."),
    option("--preset", metavar="NAME", group=_ENCODER,
           help="Speed, by the encoder's names: slow, fast and others; av1 0 (slowest) to 13, vp9 "
           "0 to 5. Default: medium; av1 6, vp9 2."),
    option("--lossless", is_flag=True, group=_ENCODER,
           help="Encode the result without a loss (not prores)."),
    option("--pixel-format", default="auto", metavar="NAME", group=_ENCODER,
           help="FFmpeg's name, such as yuv420p10le. Default: as the source."),
    option("--encoder-options", type=Parsed(_pair), multiple=True, metavar="NAME=VALUE",
           group=_ENCODER, help="A further option of FFmpeg's encoder; may be repeated."),
    option("--encoder-threads", type=int, metavar="N", group=_ENCODER,
           help="Threads of the encoder. Default: one a core, 16 at most."),
    option("--reuse", type=click.Choice(REUSES), default="exact", group=_FRAMES,
           help="Frames that take the result of the one before: those equal to it (exact, the "
           "default), or within 2 of 255 (near), or none (off)."),
    option("--preview", type=float, metavar="SECONDS", group=_FRAMES,
           help="Every so many seconds of the run write a frame before and after, "
           "OUT.preview.png."),
    shared.report_options(),
)  # fmt: skip
@shared.grouped(
    size=TargetSize,
    faces=shared.wanted_faces,
    request=Request,
    upscaler=UpscalerOptions,
    options=VideoOptions,
    arguments=VideoArguments,
)
def video(arguments: VideoArguments) -> None:
    """Upscale videos; sound, subtitles and all else are kept.

    IN is a file, a pattern such as '*.mkv', or a folder.
    """
    with shared.usage_errors():
        shared.require(video_package.require_av)
    from realesrgan_vk.cli import video_run  # noqa: PLC0415 - imports what is for videos

    video_run.run(arguments)
