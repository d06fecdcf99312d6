"""`realesrgan-train validate`: PSNR and SSIM of a network on pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from realesrgan_train.cli.reporting import ActTypeOption, reported_errors
from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.config.schema import FolderSourceConfig, PairSourceConfig, ValidationConfig
from realesrgan_train.engine import ValidationSet, process_group
from realesrgan_train.engine import validate as measure
from realesrgan_train.errors import ConfigError
from realesrgan_train.weights import load_checked


def _sources(pictures: Path | None, gt: Path | None, lq: Path | None) -> dict[str, Any]:
    if (gt is None) != (lq is None):
        raise ConfigError("--gt and --lq belong together: name both folders")
    if pictures is None and gt is None:
        raise ConfigError("nothing to measure on: give --pictures, or --gt and --lq")
    sources: dict[str, Any] = {}
    if pictures is not None:
        sources["pictures"] = (FolderSourceConfig(kind="folder", path=pictures),)
    if gt is not None and lq is not None:
        pair = PairSourceConfig(
            gt=FolderSourceConfig(kind="folder", path=gt),
            lq=FolderSourceConfig(kind="folder", path=lq),
        )
        sources["pairs"] = (pair,)
    return sources


def validate(
    weights: Annotated[Path, typer.Argument(help="A .pth or .safetensors file.")],
    *,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of high-resolution pictures.")
    ] = None,
    gt: Annotated[Path | None, typer.Option(help="Folder of targets of given pairs.")] = None,
    lq: Annotated[
        Path | None, typer.Option(help="Folder of low-resolution pictures of given pairs.")
    ] = None,
    degradation: Annotated[
        Literal["light", "bicubic", "training"],
        typer.Option(help="How --pictures are degraded; training is the published recipe."),
    ] = "light",
    crop: Annotated[
        int, typer.Option(min=0, help="Side of the centre crop in pixels; 0 for the whole picture.")
    ] = 0,
    tile: Annotated[
        int, typer.Option(min=0, help="Side of input tiles in pixels; 0 for no tiles.")
    ] = 256,
    tile_overlap: Annotated[int, typer.Option(min=0, help="Overlap of tiles in pixels.")] = 32,
    samples: Annotated[
        Path | None,
        typer.Option(help="Folder for samples: bicubic, output and target side by side."),
    ] = None,
    sample_count: Annotated[int, typer.Option(min=0, help="Number of samples.")] = 4,
    act_type: ActTypeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Device to compute on.")
    ] = "auto",
) -> None:
    """Measure PSNR and SSIM on luma (Y) and RGB, beside bicubic enlargement."""
    with reported_errors():
        loaded = load_checked(weights, act_type)
        config = ValidationConfig(
            **_sources(pictures, gt, lq),
            degradation=degradation,
            crop=crop,
            tile=tile,
            tile_overlap=tile_overlap,
            samples=sample_count,
        )
        dataset = ValidationSet(config, loaded.architecture.scale, DegradationConfig())
        with process_group(device) as group:
            network = loaded.network.to(group.device)
            means, each = measure(network, dataset, group, samples, _warn)
        if not group.is_main:
            return
        if as_json:
            typer.echo(json.dumps({"mean": means, "pictures": dict(each)}, indent=2))
            return
        _print_table(means, each)


def _warn(message: str) -> None:
    typer.echo(f"warning: {message}", err=True)


def _print_table(means: dict[str, float], each: list[tuple[str, dict[str, float]]]) -> None:
    typer.echo("PSNR(Y)  SSIM(Y)  PSNR(RGB)  SSIM(RGB)  bicubic PSNR(Y)  picture")
    for name, figures in [*each, (f"mean of {len(each)}", means)]:
        typer.echo(
            f"{figures['psnr_y']:7.2f}  {figures['ssim_y']:7.4f}  {figures['psnr_rgb']:9.2f}  "
            f"{figures['ssim_rgb']:9.4f}  {figures['bicubic_psnr_y']:15.2f}  {name}"
        )
