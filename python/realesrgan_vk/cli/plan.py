"""`realesrgan-vk plan`: what a run would take, before it is run."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from realesrgan_vk.checks import format_bytes
from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.help import Command
from realesrgan_vk.cli.messages import show
from realesrgan_vk.options import UpscalerOptions
from realesrgan_vk.processing.plan import RunPlan
from realesrgan_vk.upscaler import DEFAULT_MODEL, Upscaler
from realesrgan_vk.video.options import DEFAULT_MODEL as VIDEO_MODEL
from realesrgan_vk.video.options import VIDEO_SUFFIXES


@click.command(
    cls=Command,
    examples=(
        "realesrgan-vk plan photo.jpg",
        "realesrgan-vk plan 1920x1080 --device cpu --memory-limit 1GiB",
        "realesrgan-vk plan film.mkv -m realesr-animevideov3-x2",
    ),
)
@click.argument("image", metavar="IMAGE|WxH", type=shared.PathName())
@shared.options(
    shared.network_options(None),
    shared.device_option(default="auto", help="auto (default), cpu, an index or part of a name."),
    shared.run_options,
    shared.band_rows_option,
    shared.max_pixels_option,
    shared.json_option("one JSON object"),
)
@shared.grouped(options=UpscalerOptions)
def plan(  # noqa: PLR0917 - one argument an option
    image: str,
    model: str | None,
    options: UpscalerOptions,
    band_rows: int | None,
    max_pixels: int | None,
    as_json: bool,
) -> None:
    """Show how a picture or a video would be run: memory, work, time.

    IMAGE is a picture, whose pixels are not decoded, a size such as 1920x1080, or a video, of which
    some frames are run to time them; `realesrgan-vk video IN --plan` takes a video's other options.
    """
    with shared.usage_errors():
        size = shared.size_of(image)
        if size is None and Path(image).suffix.lower() in VIDEO_SUFFIXES and Path(image).exists():
            if band_rows is not None:
                raise ValueError(
                    "--band-rows is for pictures; a video's frames take what fits best"
                )
            _show_video(
                Path(image), VIDEO_MODEL if model is None else model, options, as_json=as_json
            )
            return
        if size is None and not Path(image).exists():
            raise ValueError(f"picture {image} does not exist; a size is written as 1920x1080")
        upscaler = Upscaler(DEFAULT_MODEL if model is None else model, **asdict(options))
        found = upscaler.plan(size or Path(image), max_pixels=max_pixels, band_rows=band_rows)
    if as_json:
        show(json.dumps(found.as_dict()))
        return
    for name, value in _rows(found):
        show(f"{name:<28}{value}")


def _show_video(path: Path, model: str, options: UpscalerOptions, *, as_json: bool) -> None:
    # These import what is for videos.
    from realesrgan_vk.video import require_av  # noqa: PLC0415

    shared.require(require_av)
    from realesrgan_vk.video.plan import plan_video  # noqa: PLC0415
    from realesrgan_vk.video.run import load_video_upscalers  # noqa: PLC0415

    found = plan_video(path, load_video_upscalers(model, options, [options.device]))
    if as_json:
        show(json.dumps(found.as_dict()))
        return
    for name, value in found.rows():
        show(f"{name:<28}{value}")


def _rows(found: RunPlan) -> list[tuple[str, str]]:
    rows = [
        ("picture", f"{found.width} x {found.height}"),
        ("path", f"{found.path} ({found.reason})"),
    ]
    if found.path == "tiles":
        rows.append(("tile", f"{found.tile} pixels"))
    else:
        rows += [("band", f"{found.band_rows} rows"), ("column tiles", str(found.column_tiles))]
    if found.path == "tiles" or found.column_tiles > 1:
        rows.append(("halo", f"{found.halo} pixels"))
    memory = {**found.memory_bytes, "pictures beside it": found.picture_bytes}
    rows += [(f"memory, {kind}", format_bytes(count)) for kind, count in memory.items()]
    if found.path == "stream":
        moved = found.bytes_moved_per_input_pixel / 1000
        rows.append(("dispatches a band", str(found.dispatches_per_band)))
        rows.append(("moved per input pixel", f"{moved:.1f} kB"))
    return rows
