"""The commands that take a configuration: `run`, `preview`, `prepare`, `doctor` and others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import click

from realesrgan_train.cli.shared import INTERRUPTED, check_output_file, handle_signals
from realesrgan_train.errors import ConfigError

_WARNINGS_ONLY = 10
_Command = TypeVar("_Command", bound=Callable[..., None])


def _configuration(command: _Command) -> _Command:
    """Give a command the arguments `config` and `overrides`."""
    overrides = click.argument(
        "overrides",
        nargs=-1,
        metavar="[KEY=VALUE]...",
        help="Values to override, such as data.batch_size=4.",
    )
    return click.argument("config", help="A YAML file, or the name of a preset.")(
        overrides(command)
    )


@click.command()
@_configuration
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration without training.")
def run(config: str, overrides: tuple[str, ...], dry_run: bool) -> None:
    """Train; the same command continues a run that was stopped or killed.

    \b
    Under torchrun it trains on many processes:
    torchrun --nproc-per-node=4 -m realesrgan_train run CONFIG
    """  # noqa: D301 - click keeps the lines of such a paragraph apart
    from realesrgan_train.config import config_to_yaml, load_config  # noqa: PLC0415

    checked = load_config(config, overrides)
    if dry_run:
        click.echo(config_to_yaml(checked), nl=False)
        return
    from realesrgan_train.engine import Trainer, process_group  # noqa: PLC0415 - loads PyTorch

    handle_signals()
    with process_group(checked.execution.device) as group:
        result = Trainer(checked, group).run()
    if not result.finished:
        click.echo(f"stopped after step {result.step}; the same command continues", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    if group.is_main:
        click.echo(f"weights: {checked.run_dir / 'weights'}")


@click.command()
@_configuration
@click.option(
    "--count", type=click.IntRange(1, 64), default=8, help="Number of pictures on the sheet."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("preview.png"),
    help="PNG file to write.",
)
def preview(config: str, overrides: tuple[str, ...], count: int, out: Path) -> None:
    """Write a contact sheet: each picture, sharpened, and degraded with the parameters drawn."""
    from realesrgan_train.config import load_config  # noqa: PLC0415
    from realesrgan_train.data.batches import decode_or_replace  # noqa: PLC0415 - loads PyTorch
    from realesrgan_train.data.opening import open_sources  # noqa: PLC0415
    from realesrgan_train.data.sampler import (  # noqa: PLC0415
        CROP_STREAM,
        REPLACEMENT_STREAM,
        picture_at,
        random_stream,
    )
    from realesrgan_train.preview import preview as draw_sheet  # noqa: PLC0415 - loads PyTorch

    handle_signals()
    checked = load_config(config, overrides)
    check_output_file(out)
    source = open_sources(checked.data.pictures, channels=checked.network.channels)
    if source is None:
        raise ConfigError("data.pictures is empty: name a folder, data.pictures=FOLDER")
    pictures, told, size, seed = [], set(), len(source), checked.seed
    for position in range(min(count, size)):
        index = picture_at(position, size, seed + CROP_STREAM)
        spare = random_stream(seed, REPLACEMENT_STREAM, CROP_STREAM, position)
        picture, damaged = decode_or_replace(source.decode, index, size, spare)
        pictures.append(picture)
        for message in damaged:
            if message not in told:
                told.add(message)
                click.echo(f"warning: damaged picture replaced by another: {message}", err=True)
    draw_sheet(pictures, checked.degradation, checked.scale, out, checked.seed)
    click.echo(str(out))


@click.command()
@_configuration
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the sub-images."
)
@click.option(
    "--size",
    type=click.IntRange(8),
    help="Edge of a sub-image in pixels.  [default: 1.2 times degradation.input_size]",
)
@click.option(
    "--step",
    type=click.IntRange(1),
    help="Pixels from one sub-image to the next.  [default: half of --size]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["png", "ppm"]),
    default="png",
    help="ppm is not compressed: about three times the disk, a tenth of the decoding.",
)
def prepare(
    config: str,
    overrides: tuple[str, ...],
    *,
    out: Path,
    size: int | None,
    step: int | None,
    kind: Literal["png", "ppm"],
) -> None:
    """Cut data.pictures into sub-images once, at all data.crop_scales.

    The same command continues one that was stopped.
    """
    from realesrgan_train.config import load_config  # noqa: PLC0415
    from realesrgan_train.data.prepare import prepare as cut  # noqa: PLC0415 - loads PyTorch

    handle_signals()
    checked = load_config(config, overrides)
    edge = size or checked.degradation.input_size * 6 // 5
    pictures, count = cut(
        checked,
        out,
        size=edge,
        step=step or edge // 2,
        kind=kind,
        tell=lambda text: click.echo(f"warning: {text}", err=True),
    )
    click.echo(
        f"{count} sub-images of {pictures} pictures: train with data.pictures={out} "
        "'data.crop_scales=[1]'"
    )


@click.command()
@_configuration
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=0,
    help="Pictures to examine of each source, evenly spread; 0 for all.",
)
def doctor(config: str, overrides: tuple[str, ...], limit: int) -> None:
    """Check configuration, pictures, pairs, start weights, memory and work.

    Exit codes: 0 no problems; 10 warnings only; 2 configuration; 3 pictures; 4 start weights.
    """
    from realesrgan_train.config import load_config  # noqa: PLC0415
    from realesrgan_train.doctor.examine import examine  # noqa: PLC0415 - loads PyTorch

    handle_signals()
    report = examine(load_config(config, overrides), limit, click.echo)
    for finding in report.findings:
        click.echo(f"{'error' if finding.exit_code else 'warning'}: {finding.message}")
    for line in report.needs:
        click.echo(line)
    if not report.findings:
        click.echo("no problems found")
        return
    click.echo(f"problems found: {len(report.findings)}")
    raise click.exceptions.Exit(
        max(finding.exit_code for finding in report.findings) or _WARNINGS_ONLY
    )


@click.command()
@click.argument("run_folder", type=click.Path(path_type=Path), help="Such as runs/my_run.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="HTML file to write.  [default: report.html in the run's folder]",
)
def report(run_folder: Path, out: Path | None) -> None:
    """Write one HTML page about a run: measures, sheets, losses, settings. Opens offline."""
    from realesrgan_train.report import write_report  # noqa: PLC0415

    handle_signals()
    if out is not None:
        check_output_file(out)
    page = out or run_folder / "report.html"
    write_report(run_folder, page)
    click.echo(str(page))


@click.command()
def presets() -> None:
    """List the presets: network and steps of each stage."""
    from realesrgan_train.config import load_config, preset_names  # noqa: PLC0415
    from realesrgan_train.engine.building import configured_architecture  # noqa: PLC0415

    handle_signals()
    for name in preset_names():
        config = load_config(name)
        steps = " + ".join(f"{key} {stage.steps:,}" for key, stage in config.stages if stage)
        click.echo(f"{name:22} {steps:30} {configured_architecture(config)}")


@click.command()
def schema() -> None:
    """Print the JSON schema of the configuration, for editors that check YAML."""
    from realesrgan_train.config import RunConfig  # noqa: PLC0415

    click.echo(json.dumps(RunConfig.model_json_schema(), indent=2))
