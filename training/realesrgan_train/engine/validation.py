"""Measure a generator on held-out pictures, shared out over processes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from realesrgan_train.config.degradation import KERNEL_FAMILIES, DegradationConfig
from realesrgan_train.config.schema import ValidationConfig
from realesrgan_train.data.crops import to_image
from realesrgan_train.data.opening import open_pairs, open_sources
from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sampler import torch_seed
from realesrgan_train.degradations.recipe import Degrader
from realesrgan_train.engine.distributed import ProcessGroup
from realesrgan_train.errors import ConfigError, DataError
from realesrgan_train.files import replacing
from realesrgan_train.learned_metrics import LEAST_EDGE, LearnedMetric, learned_figures
from realesrgan_train.metrics import picture_metrics
from realesrgan_train.niqe import LEAST_EDGE as LEAST_EDGE_OF_NIQE
from realesrgan_train.niqe import Niqe
from realesrgan_train.sheet import CELL, Cell, compose

_VALIDATION_SEED = 20_240_229  # fixed: the same pictures are degraded alike in every run


def light_degradation() -> DegradationConfig:
    """A fixed mild degradation: Gaussian blur of sigma 1.2, area shrink, sigma 1/255, JPEG 92."""
    never = {"probability": 0.0}
    keep = {"up": 0.0, "down": 0.0, "keep": 1.0, "modes": ("area",)}
    kernel = {
        "size": (13, 13),
        "families": {name: float(name == "iso") for name in KERNEL_FAMILIES},
        "sigma": (1.2, 1.2),
        "sinc_probability": 0.0,
    }
    noise = {"gaussian_probability": 1.0, "gaussian_sigma": (1.0, 1.0), "gray_probability": 0.0}
    order = {"resize": keep, "jpeg_quality": (92.0, 92.0)}
    recipe = {
        "granularity": "sample",
        "first": {**order, "kernel": kernel, "noise": never, "jpeg_probability": 0.0},
        "second": {**order, "blur_probability": 0.0, "noise": noise},
        "resize_before_jpeg": 1.0,
        "final_sinc": never,
        "usm": {"weight": 0.0},
    }
    return DegradationConfig.model_validate(recipe)


@dataclass
class ValidationPair:
    """One picture to measure on: `[1, C, H, W]` tensors in 0..1; C is 3, or 1 for grey."""

    name: str
    lq: Tensor
    gt: Tensor


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def _centre(picture: Picture, edge: int, multiple: int) -> Picture:
    """The centre square of `edge` pixels (0: all), both edges cut to the multiple."""
    height, width = picture.shape[:2]
    h = (min(edge, height) if edge else height) // multiple * multiple
    w = (min(edge, width) if edge else width) // multiple * multiple
    top, left = (height - h) // 2, (width - w) // 2
    return picture[top : top + h, left : left + w]


def smallest_edge(config: ValidationConfig, scale: int) -> int:
    """The least edge of a target, in pixels.

    Without its border it must hold SSIM's window; LPIPS and DISTS take no less than 64 pixels, NIQE
    no less than 192.
    """
    learned = LEAST_EDGE if config.lpips or config.dists else 0
    return max(16 * scale, learned, LEAST_EDGE_OF_NIQE if config.niqe is not None else 0)


def check_crop(config: ValidationConfig, scale: int) -> None:
    """Raise ConfigError for a crop that is too small to measure on."""
    least = smallest_edge(config, scale)
    if config.crop and config.crop < least:
        raise ConfigError(
            f"validation.crop is {config.crop}, too small to measure on: at scale {scale} "
            f"{least} pixels is the least (0 takes whole pictures)"
        )


def too_small(label: str, height: int, width: int, scale: int, least: int) -> str:
    """Why a target cannot be measured on, or nothing; see `smallest_edge`."""
    if min(height, width) >= least:
        return ""
    return (
        f"{label}: {width}x{height} is too small to measure on: at scale {scale} {least} pixels "
        "is the least"
    )


class ValidationSet:
    """The pictures to measure on, by number; each is the same whenever it is read.

    `training` is the run's degradation, for `degradation: training`; `channels` the network's.

    Raises:
        ConfigError: The crop is too small to measure on.
        DataError: A source is missing, or there is none.
    """

    def __init__(
        self,
        config: ValidationConfig,
        scale: int,
        training: DegradationConfig,
        *,
        channels: int = 3,
    ) -> None:
        check_crop(config, scale)
        self.config, self.scale = config, scale
        self.pictures = open_sources(config.pictures, channels=channels)
        self.pairs = open_pairs(config.pairs, scale, channels=channels)
        self._count = len(self.pictures or ()) + len(self.pairs or ())
        if not self._count:
            raise DataError("validation has neither pictures nor pairs: name a folder")
        if config.limit:
            self._count = min(self._count, config.limit)
        self._degrader: Degrader | None = None
        if config.degradation != "bicubic":
            recipe = training if config.degradation == "training" else light_degradation()
            whole = recipe.model_copy(update={"patch_size": None, "pool_size": 0})
            self._degrader = Degrader(whole, scale)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> ValidationPair:
        """The picture's pair, on the CPU.

        Raises:
            DataError: It cannot be read, or is too small to measure on.
        """
        given = len(self.pictures or ())
        lq: Picture | None = None
        if self.pairs is not None and index >= given:
            label = self.pairs.label(index - given)
            gt, lq = self.pairs.decode(index - given)
        else:
            assert self.pictures is not None
            label = self.pictures.label(index)
            gt = _centre(self.pictures.decode(index), self.config.crop, self.scale)
        least = smallest_edge(self.config, self.scale)
        problem = too_small(label, gt.shape[0], gt.shape[1], self.scale, least)
        if problem:
            raise DataError(problem)
        target = _tensor(gt)
        small = self._shrink(target, index) if lq is None else _tensor(lq)
        return ValidationPair(label, small, target)

    def check(self) -> None:
        """Make sure before step 1 that at least one picture can be measured on.

        Raises:
            DataError: None can, with what is wrong with the last.
        """
        problem = ""
        for index in range(len(self)):
            try:
                self[index]
            except DataError as error:
                problem = str(error)
            else:
                return
        raise DataError(f"none of the {len(self)} validation pictures can be used; {problem}")

    def _shrink(self, gt: Tensor, index: int) -> Tensor:
        if self._degrader is None:
            small = functional.interpolate(
                gt, scale_factor=1 / self.scale, mode="bicubic", antialias=True
            )
            return (small.clamp(0, 1) * 255).round() / 255
        generator = torch.Generator().manual_seed(torch_seed(_VALIDATION_SEED, index))
        lq: Tensor = self._degrader(gt, generator).lq
        return lq


def _enlarge(network: nn.Module, lq: Tensor, scale: int, multiple: int) -> Tensor:
    """Pad to what pixel-unshuffle needs, run, cut the padding off."""
    height, width = lq.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if down or right:
        lq = functional.pad(lq, (0, right, 0, down), mode="replicate")
    output: Tensor = network(lq)
    return output[..., : height * scale, : width * scale]


@torch.no_grad()
def enlarge(
    network: nn.Module, lq: Tensor, scale: int, *, tile: int = 0, overlap: int = 32
) -> Tensor:
    """Enlarge `[1, C, H, W]` in 0..1 to `[1, C, scale * H, scale * W]`, float32, not clamped.

    Args:
        network: A generator on the picture's device.
        lq: The picture.
        scale: The network's.
        tile: Edge of the input tiles in pixels, 0 for the whole picture at once.
        overlap: Context around each tile in input pixels; what depends on it is cut off, so tiles
            differ from the whole picture only where the network sees further than this.
    """
    multiple = int(getattr(network, "unshuffle", 1))
    height, width = lq.shape[-2:]
    if tile <= 0 or (height <= tile and width <= tile):
        return _enlarge(network, lq, scale, multiple).float()
    shape = (*lq.shape[:2], height * scale, width * scale)
    output = lq.new_empty(shape, dtype=torch.float32)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            y0, x0 = max(0, top - overlap), max(0, left - overlap)
            y1, x1 = min(height, top + tile + overlap), min(width, left + tile + overlap)
            piece = _enlarge(network, lq[..., y0:y1, x0:x1], scale, multiple)
            h, w = min(tile, height - top) * scale, min(tile, width - left) * scale
            oy, ox = (top - y0) * scale, (left - x0) * scale
            output[..., top * scale : top * scale + h, left * scale : left * scale + w] = piece[
                ..., oy : oy + h, ox : ox + w
            ]
    return output


Measured = tuple[str, dict[str, float]]
"""A picture's name and its figures."""


def bicubic(lq: Tensor, scale: int) -> Tensor:
    """The baseline every network must beat: bicubic enlargement."""
    return functional.interpolate(lq, scale_factor=scale, mode="bicubic", align_corners=False)


def _save_sample(path: Path, *pictures: Tensor) -> None:
    """Write pictures of one size side by side as PNG, whole or not at all."""
    row = torch.cat([p[0].detach().cpu().clamp(0, 1) for p in pictures], dim=-1)
    array = (row.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    image = to_image(array)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        image.save(partial, format="PNG")


@dataclass
class Shown:
    """The middle of a picture for the contact sheet, `uint8[1, C, H, W]` of one size."""

    index: int
    lq: Tensor
    output: Tensor
    target: Tensor


def _shown(index: int, pictures: Sequence[Tensor], scale: int) -> Shown:
    """Cut out the same middle of input, output and target, as 8 bits on the CPU."""
    edge = CELL // scale * scale
    parts = []
    lq, *others = pictures
    for picture in (lq.repeat_interleave(scale, 2).repeat_interleave(scale, 3), *others):
        height, width = (min(edge, side) for side in picture.shape[-2:])
        top = (picture.shape[-2] - height) // 2 // scale * scale
        left = (picture.shape[-1] - width) // 2 // scale * scale
        part = picture[..., top : top + height, left : left + width].cpu()
        parts.append((part.clamp(0, 1) * 255).round().to(torch.uint8))
    return Shown(index, *parts)


def validation_sheet(
    shown: Sequence[Shown], each: Sequence[tuple[int, Measured]], title: str
) -> Image.Image:
    """A contact sheet: input, output and target of each shown picture, with its figures.

    Args:
        shown: At least one.
        each: Number, name and figures of all pictures.
        title: The line above.
    """
    measured = dict(each)
    rows = []
    for one in sorted(shown, key=lambda item: item.index):
        name, figures = measured[one.index]
        told = [f"{title_of(key)} {value:.4g}" for key, value in figures.items()]
        own = [line for line in told if not line.startswith("bicubic")]
        texts = (
            ["input", Path(name).name[-56:]],
            ["output", "  ".join(own[:3]), "  ".join(own[3:])],
        )
        pictures = (one.lq, one.output, one.target)
        rows.append(
            [
                Cell(picture.float() / 255, lines)
                for picture, lines in zip(pictures, (*texts, ["target"]), strict=True)
            ]
        )
    return compose(rows, title)


def title_of(measure: str) -> str:
    """A measure's name for people: `bicubic_psnr_y` is "bicubic PSNR(Y)"."""
    metric, _, channels = measure.removeprefix("bicubic_").partition("_")
    name = metric.upper() + (f"({channels.upper()})" if channels else "")
    return f"bicubic {name}" if measure.startswith("bicubic_") else name


def _measure(
    network: nn.Module,
    pictures: ValidationSet,
    group: ProcessGroup,
    samples: Path | None,
    warn: Callable[[str], None],
    *,
    metrics: Mapping[str, LearnedMetric | Niqe],
    shown: list[Shown],
) -> Iterator[tuple[int, Measured]]:
    config, scale = pictures.config, pictures.scale
    for index in range(group.rank, len(pictures), group.world):
        try:
            pair = pictures[index]
        except DataError as error:
            warn(f"left out of the validation: {error}")
            continue
        lq, gt = pair.lq.to(group.device), pair.gt.to(group.device)
        output = enlarge(network, lq, scale, tile=config.tile, overlap=config.tile_overlap)
        baseline = bicubic(lq, scale)
        figures = picture_metrics(output, gt, scale)
        of_bicubic = picture_metrics(baseline, gt, scale)
        figures |= learned_figures(metrics, output, gt)
        of_bicubic |= learned_figures(metrics, baseline, gt)
        figures |= {f"bicubic_{name}": value for name, value in of_bicubic.items()}
        if samples is not None and index < config.samples:
            _save_sample(samples / f"{index:03d}.png", baseline, output, gt)
            shown.append(_shown(index, (lq, output, gt), scale))
        yield index, (pair.name, figures)


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are numbers; NaN without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def validate(
    network: nn.Module,
    pictures: ValidationSet,
    group: ProcessGroup,
    samples: Path | None = None,
    warn: Callable[[str], None] = warnings.warn,
    *,
    metrics: Mapping[str, LearnedMetric | Niqe] | None = None,
    sheet: tuple[Path, str] | None = None,
) -> tuple[dict[str, float], list[Measured]]:
    """Measure a generator; every process measures its share and gets the figures of all.

    Args:
        network: The generator, on the group's device, in evaluation mode.
        pictures: Pictures to measure on, the same on every process.
        group: This process among the others.
        samples: Folder for sample pictures (bicubic, output, target), None for none.
        warn: Called with a message about each picture that cannot be read.
        metrics: LPIPS, DISTS and NIQE, as `configured_metrics` makes them.
        sheet: File and title of a contact sheet of the sample pictures, written by the main
            process.

    Returns:
        Means of `psnr_y`, `ssim_y`, `psnr_rgb`, `ssim_rgb`, of the metrics (`lpips`, `dists`,
        `niqe`; pictures without NIQE left out) and the same of bicubic enlargement
        (`bicubic_psnr_y`, ...), and all pictures with their figures, in order. How many processes
        there were makes no difference.

    Raises:
        DataError: Not one picture could be read.
    """
    own_shown: list[Shown] = []
    own = list(
        _measure(network, pictures, group, samples, warn, metrics=metrics or {}, shown=own_shown)
    )
    numbered = sorted(group.gather(own), key=itemgetter(0))
    shown = group.gather(own_shown)
    each = [measured for _, measured in numbered]
    if not each:
        raise DataError(f"none of the {len(pictures)} validation pictures can be used")
    names = list(each[0][1])
    means = {name: _mean([figures[name] for _, figures in each]) for name in names}
    if sheet is not None and shown and group.is_main:
        path, title = sheet
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            validation_sheet(shown, numbered, title).save(partial, format="PNG")
    return means, each
