"""The options of `realesrgan-vk upscale`; what they do is in `upscale_run`.

Reading a command line must not import what is for pictures, which takes longer than the rest.
"""

import click

from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.arguments import Arguments
from realesrgan_vk.cli.help import Command
from realesrgan_vk.cli.options import INPUT, Parsed, option
from realesrgan_vk.options import (
    SUBSAMPLINGS,
    Request,
    TargetSize,
    UpscalerOptions,
    WriteOptions,
)

_EPILOG = (
    "Exit code: 0 when every picture was written, 1 when some failed, 2 when nothing was tried "
    "(a wrong option, no such model or device), 130 when interrupted, 143 when terminated."
)
_EXAMPLES = (
    "realesrgan-vk upscale photo.jpg -o photo-x4.png",
    "realesrgan-vk upscale family.jpg --faces",
    "realesrgan-vk upscale holiday/ -o larger/ --scale 2 --format webp",
    "realesrgan-vk upscale drawing.png -m realesrgan-x4plus-anime --width 3840",
)
_OUTPUT, _METADATA = "Output", "Metadata"


def _suffix(text: str) -> str:
    """A suffix with its dot, in lower case, of a file type that can be written."""
    suffix = text.lower().removeprefix(".")
    if suffix not in _suffixes():
        raise ValueError(f"{text!r} is not one of {', '.join(_suffixes())}")
    return f".{suffix}"


def _suffixes() -> list[str]:
    from realesrgan_vk.image_io.formats import SUFFIXES  # noqa: PLC0415 - imports Pillow

    return sorted(suffix[1:] for suffix in SUFFIXES)


@click.command(cls=Command, epilog=_EPILOG, examples=_EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, metavar="IN...", type=shared.PathName())
@shared.options(
    shared.size_options,
    shared.network_options(),
    shared.strength_option,
    shared.mask_option,
    shared.alpha_option,
    shared.face_options,
    shared.device_option(
        "devices", multiple=True, default=("auto",),
        help="auto (default), cpu, an index, UUID or part of a name of 'realesrgan-vk devices'; "
        "several share the pictures."),
    shared.run_options,
    shared.ray_options("pictures"),
    option("-r", "--recursive", is_flag=True, group=INPUT, help="Read subfolders, too."),
    shared.shard_option("the pictures, by their names"),
    shared.max_pixels_option,
    option("-o", "--output", metavar="OUT", type=shared.PathName(), group=_OUTPUT,
           help="File or folder; - is stdout. Default: beside the picture or folder, with "
           "'-upscaled' added to its name; for several, the folder 'upscaled'."),
    option("-f", "--format", "suffix", type=Parsed(_suffix), metavar="SUFFIX", group=_OUTPUT,
           shell_complete=shared.completing(lambda: [(each, "") for each in _suffixes()]),
           help="File type, such as png, jpg, webp or tif. Default: as the source; to stdout "
           "png."),
    option("--name", "template", metavar="TEMPLATE", group=_OUTPUT,
           help="Names of results in a folder, without the suffix: {stem}, {suffix} (the source's, "
           "without its dot), {model}, {scale}, {index}."),
    option("--skip-existing", is_flag=True, group=_OUTPUT,
           help="Skip pictures whose result exists."),
    option("-q", "--quality", type=click.IntRange(1, 100), default=95, metavar="1..100",
           group=_OUTPUT, help="Of JPEG, WebP, AVIF and HEIC. Default: 95."),
    option("--subsampling", type=click.Choice(SUBSAMPLINGS), default="4:4:4", group=_OUTPUT,
           metavar="MODE", help="Of JPEG's colour: 4:4:4 (default), 4:2:2 or 4:2:0."),
    option("--lossless/--lossy", default=None, group=_OUTPUT,
           help="Of WebP. Default: as the source."),
    option("--compression", type=click.IntRange(0, 9), default=6, metavar="0..9", group=_OUTPUT,
           help="Of PNG: 0 is fastest, 9 smallest. Default: 6."),
    option("--strip", is_flag=True, group=_METADATA,
           help="Drop EXIF, XMP, resolution and colour profile; colours become sRGB."),
    shared.report_options(),
)  # fmt: skip
@shared.grouped(
    size=TargetSize,
    faces=shared.wanted_faces,
    request=Request,
    upscaler=UpscalerOptions,
    write=WriteOptions,
    arguments=Arguments,
)
def upscale(arguments: Arguments) -> None:
    """Upscale pictures.

    IN is a file, a pattern such as '*.png', a folder, or - for stdin.
    """
    from realesrgan_vk.cli import upscale_run  # noqa: PLC0415 - imports what is for pictures

    upscale_run.run(arguments)
