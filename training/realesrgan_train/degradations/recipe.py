"""The whole recipe on a batch: from ground truth to a training pair."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from realesrgan_train.config.degradation import DegradationConfig, JpegKind
from realesrgan_train.config.schema import Target
from realesrgan_train.degradations.blur import filter2d
from realesrgan_train.degradations.draw import DrawnKernel, DrawnNoise, DrawnParameters, draw
from realesrgan_train.degradations.extent import Extent, take, to_device
from realesrgan_train.degradations.jpeg import diffjpeg, jpeg
from realesrgan_train.degradations.kernels import drawn_kernels, is_separable
from realesrgan_train.degradations.noise import gaussian_noise, poisson_noise
from realesrgan_train.degradations.resize import resize
from realesrgan_train.degradations.usm import usm_sharpen
from realesrgan_train.degradations.video import check_encoders, compress_as_video


class DegradedBatch(NamedTuple):
    """One micro-batch as a training step needs it, on the device.

    Attributes:
        lq: [B, C, h, w], 0..1 in steps of 1/255, the network's input; C is 3, or 1 for grey.
        gt: [B, C, scale * h, scale * w], 0..1, the ground truth.
        gt_usm: The ground truth sharpened, of the same shape.
    """

    lq: Tensor
    gt: Tensor
    gt_usm: Tensor

    def target(self, name: Target) -> Tensor:
        """The ground truth that a loss compares with: `plain` or `sharpened`."""
        return self.gt if name == "plain" else self.gt_usm


def _positions(fraction: Tensor, size: int, patch: int) -> Tensor:
    """First index of each patch: all size - patch + 1 places equally likely. int64 [B]."""
    places = size - patch + 1
    return (fraction * places).long().clamp(max=places - 1)


def crop_patches(
    batch: DegradedBatch, patch: int, scale: int, crop_y: Tensor, crop_x: Tensor
) -> DegradedBatch:
    """Cut one patch from each sample, at the same place in all three pictures.

    Args:
        batch: Whole pictures.
        patch: Side of the ground-truth patch, a multiple of scale.
        scale: Ground-truth pixels per low-resolution pixel.
        crop_y: float [B] in 0..1 on the host: where between the first and the last place.
        crop_x: As `crop_y`, for columns.
    """
    height, width = batch.lq.shape[2:]
    side = patch // scale
    if (height, width) == (side, side):
        return batch
    steps = torch.arange(patch)
    top = _positions(crop_y, height, side).view(-1, 1)
    left = _positions(crop_x, width, side).view(-1, 1)
    device = batch.gt.device
    lq = take(
        batch.lq, to_device(top + steps[:side], device), to_device(left + steps[:side], device)
    )
    rows = to_device(top * scale + steps, device)
    columns = to_device(left * scale + steps, device)
    return DegradedBatch(lq, take(batch.gt, rows, columns), take(batch.gt_usm, rows, columns))


class Degrader(nn.Module):
    """Make low-resolution pictures by the recipe.

    All decisions are drawn on the host; the device only computes, and the host waits for it only
    where pictures are compressed as video.

    Args:
        config: The recipe.
        scale: Ground-truth pixels per low-resolution pixel, at least 1.

    Raises:
        ValueError: If the scale is below 1 or does not divide the patch size.
        ConfigError: If the recipe compresses as video and PyAV or an encoder is missing.
    """

    def __init__(self, config: DegradationConfig, scale: int) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"Degrader: scale must be at least 1, not {scale}")
        if config.patch_size is not None and config.patch_size % scale:
            raise ValueError(
                f"Degrader: patch_size {config.patch_size} is not a multiple of the scale {scale}"
            )
        check_encoders(config.video)
        self.config = config
        self.scale = scale

    def forward(self, gt: Tensor, generator: torch.Generator) -> DegradedBatch:
        """Draw and apply; the pairs are of the patch size, float32, without gradient.

        Args:
            gt: float32 [B, 3, H, W] RGB or [B, 1, H, W] grey, 0..1; H and W multiples of the scale,
                at least the patch. The decisions are the same for both; where they are about
                colour (noise in colour, chroma of a JPEG) a grey picture has none.
            generator: Generator of the CPU; its state alone decides the result.

        Raises:
            ValueError: For a batch of another shape or type.
        """
        self._check(gt)
        return self.apply_drawn(gt, draw(self.config, len(gt), generator))

    @torch.no_grad()
    def apply_drawn(self, gt: Tensor, drawn: DrawnParameters) -> DegradedBatch:
        """Apply decisions already drawn to a batch of as many samples (see `forward`)."""
        self._check(gt)
        with _no_autocast(gt.device):
            usm = self.config.usm
            gt_usm = usm_sharpen(gt, usm.weight, usm.radius, usm.threshold)
            lq = degrade(gt_usm, drawn, self.scale, self.config)
            batch = DegradedBatch(lq, gt, gt_usm)
            if self.config.patch_size is not None:
                place = (drawn.crop_y, drawn.crop_x)
                batch = crop_patches(batch, self.config.patch_size, self.scale, *place)
            if usm.target == "patch" and batch.gt.shape != gt.shape:
                again = usm_sharpen(batch.gt, usm.weight, usm.radius, usm.threshold)
                batch = batch._replace(gt_usm=again)
            return batch

    def _check(self, gt: Tensor) -> None:
        if gt.dim() != 4 or gt.shape[1] not in (1, 3) or gt.dtype != torch.float32:
            raise ValueError(
                f"Degrader: needs float32 [B, 3 or 1, H, W], got {gt.dtype} {tuple(gt.shape)}"
            )
        height, width = gt.shape[2:]
        if height % self.scale or width % self.scale:
            raise ValueError(
                f"Degrader: {height}x{width} pixels are not a multiple of the scale {self.scale}"
            )
        patch = self.config.patch_size or 1
        if min(height, width) < patch:
            raise ValueError(f"Degrader: {height}x{width} pixels cannot hold a patch of {patch}")


def _no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Pictures keep 32 bits whatever the training step around them does."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


_CPU_GROUP = 4
"""Samples degraded together on the CPU, as many as its cache holds."""

_Stage = Callable[[Tensor, Tensor, Extent], Tensor]
"""(samples [N, C, H, W], their indices [N] on the host, their extent) -> [N, C, H, W]."""


def degrade(
    x: Tensor, drawn: DrawnParameters, scale: int, config: DegradationConfig | None = None
) -> Tensor:
    """All but sharpening: from x [B, C, H, W], 0..1, to a batch of 1 / scale of its size.

    Of the configuration only `jpeg` and `first_resize` count; the rest is drawn.
    """
    config = config or DegradationConfig()
    jpeg_kind = config.jpeg
    kernels = (drawn.first.kernel, drawn.second.kernel, drawn.final_sinc)
    taps = tuple(drawn_kernels(kernel) for kernel in kernels)
    x = _blur(x, drawn.first.kernel, taps[0], Extent.of(x))
    groups = same_sizes(drawn) if x.device.type == "cpu" else [list(range(len(x)))]
    if len(groups) == 1:
        low = _to_low(x, drawn, taps[1], scale, config)
    else:
        low = x.new_empty(*x.shape[:2], x.shape[2] // scale, x.shape[3] // scale)
        for group in groups:
            some = torch.tensor(group)
            low[some] = _to_low(x[some], drawn.select(some), taps[1][some], scale, config)
    low = _tail(low, drawn, taps[2], jpeg_kind)
    return low if drawn.video is None else compress_as_video(low, drawn.video)


def same_sizes(drawn: DrawnParameters) -> list[list[int]]:
    """Samples that have one size all the way, in groups for the CPU.

    Its operations on pictures of one size are much faster than those on a canvas of several sizes,
    which a GPU takes for the sake of whole batches.
    """
    factors = zip(
        drawn.first.resize.factor.tolist(), drawn.second.resize.factor.tolist(), strict=True
    )
    groups: dict[tuple[float, float], list[list[int]]] = {}
    for sample, key in enumerate(factors):
        alike = groups.setdefault(key, [[]])
        if len(alike[-1]) == _CPU_GROUP:
            alike.append([])
        alike[-1].append(sample)
    return [group for alike in groups.values() for group in alike]


def _to_low(
    x: Tensor, drawn: DrawnParameters, taps: Tensor, scale: int, config: DegradationConfig
) -> Tensor:
    """From the first resize to the one to [N, C, H / scale, W / scale]; taps: the second blur's."""
    full = Extent.of(x)
    low = full.divided(scale)
    first, second, jpeg_kind = drawn.first, drawn.second, config.jpeg

    extent = full.scaled(first.resize.factor.tolist())
    factors = first.resize.factor if config.first_resize == "factor" else None
    x = resize(x, full, extent, first.resize.mode, factors)
    x = _noise(x, first.noise, extent)
    x = _jpeg(x, first.jpeg.quality, first.jpeg.applied, extent, jpeg_kind)

    x = _blur(x, second.kernel, taps, extent)
    smaller = low.scaled(second.resize.factor.tolist())
    x = resize(x, extent, smaller, second.resize.mode)
    x = _noise(x, second.noise, smaller)

    compressed = second.jpeg.applied & ~drawn.resize_before_jpeg
    x = _jpeg(x, second.jpeg.quality, compressed, smaller, jpeg_kind)
    return resize(x, smaller, low, drawn.final_mode)


def _tail(x: Tensor, drawn: DrawnParameters, taps: Tensor, jpeg_kind: JpegKind) -> Tensor:
    """The final sinc of `taps`, JPEG where it comes last, and 8 bits."""
    low, last = Extent.of(x), drawn.second.jpeg
    x = _blur(x, drawn.final_sinc, taps, low)
    x = _jpeg(x, last.quality, last.applied & drawn.resize_before_jpeg, low, jpeg_kind)
    return (x.clamp(0, 1) * 255).round() / 255


def _only(x: Tensor, extent: Extent, wanted: Tensor, stage: _Stage) -> Tensor:
    """Run a stage on the samples where `wanted` [B], on the host, is true, on their own canvas."""
    samples = wanted.nonzero().flatten()
    if len(samples) == 0:
        return x
    if len(samples) == len(x):
        return stage(x, samples, extent)
    index = to_device(samples, x.device)
    sizes = extent.select(samples.tolist())
    height, width = sizes.canvas
    changed = stage(x[..., :height, :width].index_select(0, index), samples, sizes)
    out = x.clone()
    out[..., :height, :width].index_copy_(0, index, changed)
    return out


def _blur(x: Tensor, drawn: DrawnKernel, taps: Tensor, extent: Extent) -> Tensor:
    separable = is_separable(drawn)

    def stage(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        kernels = to_device(taps[samples], some.device)
        return filter2d(some, kernels, sizes, drawn.size[samples], separable[samples])

    return _only(x, extent, drawn.applied, stage)


def _noise(x: Tensor, drawn: DrawnNoise, extent: Extent) -> Tensor:
    def gaussian(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        sigma, is_gray = drawn.sigma[samples], drawn.is_gray[samples]
        noise = gaussian_noise(some, sigma, is_gray, int(drawn.seed[samples[0]]))
        return noise.add_(some).clamp_(0, 1)

    def poisson(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        scale, is_gray = drawn.poisson_scale[samples], drawn.is_gray[samples]
        seed = int(drawn.seed[samples[0]])
        return poisson_noise(some, scale, is_gray, seed, sizes).add_(some).clamp_(0, 1)

    x = _only(x, extent, drawn.applied & drawn.is_gaussian, gaussian)
    return _only(x, extent, drawn.applied & ~drawn.is_gaussian, poisson)


def _jpeg(
    x: Tensor, quality: Tensor, applied: Tensor, extent: Extent, jpeg_kind: JpegKind
) -> Tensor:
    compress = diffjpeg if jpeg_kind == "diffjpeg" else jpeg

    def stage(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        return compress(some, quality[samples], sizes)

    return _only(x, extent, applied, stage)
