"""`realesrgan-vk plan`: what a run would take, before it is run."""

import json
from pathlib import Path

import click

from realesrgan_vk.byte_size import format_bytes
from realesrgan_vk.errors import RealesrganError
from realesrgan_vk.run_plan import RunPlan
from realesrgan_vk.upscaler import DEFAULT_MODEL, Upscaler


@click.command()
@click.argument("image", metavar="IMAGE|WxH")
@click.option("-m", "-n", "--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME")
@click.option("-d", "--device", default="auto", metavar="DEVICE", help="auto, cpu, index or name.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "fp16"]), default="auto")
@click.option("--tta", is_flag=True, help="Average eight orientations.")
@click.option("--memory-limit", metavar="SIZE", help="Such as 500MB or 2GiB.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(image: str, as_json: bool, **given: object) -> None:
    """Say how a picture would be run: path, band, memory, work. IMAGE may be a size, 1920x1080."""
    try:
        upscaler = Upscaler(**given)  # type: ignore[arg-type]  # the options are its arguments
        found = upscaler.plan(_size(image) or Path(image))
    except (ValueError, TypeError, RealesrganError) as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    for name, value in _rows(found):
        click.echo(f"{name:<28}{value}")


def _size(given: str) -> tuple[int, int] | None:
    width, cross, height = given.lower().partition("x")
    if cross and width.isdecimal() and height.isdecimal() and not Path(given).exists():
        return int(width), int(height)
    return None


def _rows(found: RunPlan) -> list[tuple[str, str]]:
    rows = [
        ("picture", f"{found.width} x {found.height}"),
        ("path", f"{found.path} ({found.reason})"),
    ]
    memory = [
        (f"memory, {kind}", format_bytes(count)) for kind, count in found.memory_bytes.items()
    ]
    if found.path == "tiles":
        return [*rows, ("tile", f"{found.tile} pixels"), ("halo", f"{found.halo} pixels"), *memory]
    rows += [("band", f"{found.band_rows} rows"), ("strips", str(found.strips))]
    if found.strips > 1:
        rows.append(("halo", f"{found.halo} pixels"))
    rows += memory
    return [
        *rows,
        ("dispatches a band", str(found.dispatches_per_band)),
        ("moved per input pixel", f"{found.bytes_moved_per_input_pixel / 1000:.1f} kB"),
    ]
