"""`realesrgan-vk profile`: where the time of a run goes, layer by layer."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realesrgan_vk._core import CPU_DEVICE
from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.help import Command
from realesrgan_vk.cli.messages import show
from realesrgan_vk.devices import list_devices
from realesrgan_vk.options import UpscalerOptions
from realesrgan_vk.upscaler import Upscaler

if TYPE_CHECKING:  # it imports NumPy
    from realesrgan_vk.processing.profile import LayerTime, RunProfile

_ON_GPU, _ON_PROCESSOR = (1280, 720), (64, 64)
TIMING = "Timing"


@click.command(
    cls=Command,
    short_help="Time every layer of a network on a device.",
    examples=(
        "realesrgan-vk profile",
        "realesrgan-vk profile 640x360 -m realesr-animevideov3 --trace run.json",
        "realesrgan-vk profile 64x64 --device cpu --json",
    ),
)
@click.argument("size", metavar="[WxH]", required=False)
@shared.options(
    shared.network_options(),
    shared.device_option(default="auto", help="auto (default), cpu, an index or part of a name."),
    shared.run_options,
    shared.band_rows_option,
    shared.option("--rounds", type=click.IntRange(1, 1000), default=3, metavar="N", group=TIMING,
                  help="Timed runs; the one that takes the median is shown. Default: 3."),
    shared.option("--layers", type=click.IntRange(0), default=15, metavar="N", group=TIMING,
                  help="How many of the slowest layers the table has. Default: 15."),
    shared.option("--trace", type=shared.PathName(path_type=Path), metavar="FILE", group=TIMING,
                  help="Write the run as a trace for https://ui.perfetto.dev or chrome://tracing."),
    shared.json_option("one JSON object"),
)  # fmt: skip
@shared.grouped(options=UpscalerOptions)
def profile(  # noqa: PLR0917 - one argument an option
    size: str | None,
    model: str,
    options: UpscalerOptions,
    band_rows: int | None,
    rounds: int,
    layers: int,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Run a network over a picture of noise and show where the time goes.

    Every dispatch is timed by the device itself: by layer, with the arithmetic and the memory
    traffic a second, and their part of what the device reaches at most, which is measured, too.
    WxH is the picture's size; by default 1280x720 on a GPU, and 64x64 on what computes on the
    processor.

    Attach what this prints with --json to a report that a GPU is slow.
    """
    with shared.usage_errors():
        given = None if size is None else shared.size_of(size)
        if size is not None and given is None:
            raise ValueError(f"{size!r} is no size; a size is written as 1280x720")
        if trace is not None and not trace.parent.is_dir():
            raise ValueError(f"the folder of the trace {trace} does not exist")
        upscaler = Upscaler(model, **asdict(options))
        found = upscaler.profile(
            given or _usual_size(upscaler.device), rounds=rounds, band_rows=band_rows
        )
        if trace is not None:
            _write_trace(trace, found)
    for line in [json.dumps(found.as_dict())] if as_json else _report(found, layers):
        show(line)


def _usual_size(device: int) -> tuple[int, int]:
    if device == CPU_DEVICE:
        return _ON_PROCESSOR
    kind = next(one.type for one in list_devices() if one.index == device)
    return _ON_PROCESSOR if kind == "cpu" else _ON_GPU


def _write_trace(path: Path, found: "RunProfile") -> None:
    from realesrgan_vk.image_io.atomic import write_whole  # noqa: PLC0415 - imports NumPy

    write_whole(path, json.dumps(found.trace()).encode())


def _report(found: "RunProfile", most: int) -> list[str]:
    seconds = found.timed_seconds
    host = ", ".join(f"{work} {_ms(spent)}" for work, spent in found.host.items())
    rows = [
        ("network", f"{found.model}, {found.precision}"),
        ("device", ", ".join(word for word in (found.device, found.driver) if word)),
        ("picture", f"{found.width} x {found.height}"),
        ("row bands", f"{found.bands}, of {found.band_rows} rows at most"),
        ("run", f"{_ms(found.seconds)} ms; timed {_ms(seconds)} ms"),
        ("dispatches", f"{_ms(found.device_seconds)} ms, {_percent(found.device_seconds / seconds)}"
                       " of the timed run"),
        ("between them", f"{_ms(found.gap_seconds)} ms in {found.gaps} gaps, the longest "
                         f"{_ms(found.longest_gap)} ms"),
        *_download(found),
        ("host, ms", host),
    ]  # fmt: skip
    if found.roofline is not None:
        rates = found.roofline
        matrices = rates["matrix_flops"]
        shown = f"matrices {_tera(matrices)} TFLOP/s, " if matrices else ""
        shown += f"fp32 {_tera(rates['fma_flops'])} TFLOP/s, "
        rows.append(("at most", f"{shown}copies {rates['copy_bytes_per_second'] / 1e9:.4g} GB/s"))
    slowest = sorted(found.layers, key=lambda one: -one.seconds)[:most]
    return [
        *(f"{name:<14}{value}" for name, value in rows),
        "",
        _heading("what"),
        *(_line(one, _kind(one, found.members(one))) for one in found.grouped()),
        *(["", _heading(f"the {len(slowest)} slowest layers")] if slowest else []),
        *(_line(one, one.title) for one in slowest),
    ]


def _download(found: "RunProfile") -> list[tuple[str, str]]:
    if found.download_seconds is None:
        return [("download", "by a queue of its own, which has no timestamps")]
    if found.download_seconds == 0:
        return []
    return [("download", f"{_ms(found.download_seconds)} ms, by a queue of its own beside them")]


def _heading(last: str) -> str:
    return (
        f"{'ms':>10}{'share':>8}{'TFLOP/s':>10}{'GB/s':>8}{'of most':>9}{'dispatches':>12}  {last}"
    )


def _line(one: "LayerTime", last: str) -> str:
    flops = _tera(one.flops / one.seconds) if one.flops and one.seconds > 0 else "-"
    moved = f"{one.bytes_moved / one.seconds / 1e9:.3g}" if one.seconds > 0 else "-"
    most = "-" if one.roofline is None else _percent(one.roofline)
    return (
        f"{_ms(one.seconds):>10}{_percent(one.share):>8}{flops:>10}{moved:>8}{most:>9}"
        f"{one.dispatches:>12}  {last}"
    )


def _kind(one: "LayerTime", members: int) -> str:
    if not one.outputs:
        return f"{one.title} ({one.kernel})"
    kernel = one.kind if one.kernel == "cpu" else one.kernel
    return f"{members} x {kernel} {one.inputs} to {one.outputs} at {one.zoom:g}x"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4g}"


def _tera(rate: float) -> str:
    return f"{rate / 1e12:.3g}"


def _percent(part: float) -> str:
    return f"{part:.1%}"
