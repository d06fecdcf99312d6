"""Every figure of the degradation recipe, with the published value as its default."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Quality = Annotated[float, Field(ge=1.0, le=100.0)]
PresetName = Literal["paper", "per-sample"]
JpegKind = Literal["libjpeg", "diffjpeg"]

LARGEST_KERNEL = 21
"""Blur kernels are drawn on a grid of this many taps a side; smaller ones are zero-padded to it."""


def _check_sum(name: str, probabilities: tuple[float, ...]) -> None:
    if not math.isclose(sum(probabilities), 1.0, abs_tol=1e-6):
        raise ValueError(f"{name}: the probabilities add up to {sum(probabilities):g}, not to 1")


class Section(BaseModel):
    """A section of the configuration: unknown keys are errors, types are not coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _RecipeSection(Section):
    """A section in which every pair of numbers is a range, with the lower bound first."""

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> _RecipeSection:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) == 2 and value[0] > value[1]:
                raise ValueError(
                    f"{name}: the lower bound {value[0]} is above the upper, {value[1]}"
                )
        return self


class KernelFamilies(_RecipeSection):
    """How often each blur kernel family is drawn. Adds up to 1."""

    iso: Probability = 0.45
    aniso: Probability = 0.25
    generalized_iso: Probability = 0.12
    generalized_aniso: Probability = 0.03
    plateau_iso: Probability = 0.12
    plateau_aniso: Probability = 0.03

    @model_validator(mode="after")
    def _adds_up(self) -> KernelFamilies:
        _check_sum("kernel families", self.as_tuple())
        return self

    def as_tuple(self) -> tuple[float, ...]:
        """The probabilities in the order of `KERNEL_FAMILIES`."""
        return tuple(getattr(self, name) for name in KERNEL_FAMILIES)


KERNEL_FAMILIES: tuple[str, ...] = tuple(KernelFamilies.model_fields)
"""Family names; a drawn family is an index into this tuple."""


class KernelConfig(_RecipeSection):
    """One blur kernel: its size, family and shape.

    Sizes are odd tap counts, sigmas are in pixels, angles and cutoffs in radians.
    """

    size: tuple[int, int] = (7, 21)
    families: KernelFamilies = KernelFamilies()
    sigma: tuple[Positive, Positive] = (0.2, 3.0)
    rotation: tuple[float, float] = (-math.pi, math.pi)
    beta_generalized: tuple[Positive, Positive] = (0.5, 4.0)
    beta_plateau: tuple[Positive, Positive] = (1.0, 2.0)
    sinc_probability: Probability = 0.1
    sinc_cutoff_small: tuple[Positive, Positive] = (math.pi / 3, math.pi)
    sinc_cutoff_large: tuple[Positive, Positive] = (math.pi / 5, math.pi)
    sinc_small_below: int = 13

    @model_validator(mode="after")
    def _is_drawable(self) -> KernelConfig:
        _check_sizes(self.size)
        for name, (low, high) in (
            ("beta_generalized", self.beta_generalized),
            ("beta_plateau", self.beta_plateau),
        ):
            if not low <= 1.0 <= high:
                raise ValueError(
                    f"{name}: {low}..{high} must contain 1 (half the draws fall on either side)"
                )
        return self


def _check_sizes(size: tuple[int, int]) -> None:
    low, high = size
    if low % 2 == 0 or high % 2 == 0 or not 1 <= low <= high <= LARGEST_KERNEL:
        raise ValueError(f"size: {low}..{high} must be odd numbers from 1 to {LARGEST_KERNEL}")


class ResizeConfig(_RecipeSection):
    """One random resize. `factor` is the whole range: up draws from 1..high, down from low..1."""

    up: Probability = 0.2
    down: Probability = 0.7
    keep: Probability = 0.1
    factor: tuple[Positive, Positive] = (0.15, 1.5)
    modes: tuple[Literal["area", "bilinear", "bicubic"], ...] = ("area", "bilinear", "bicubic")

    @model_validator(mode="after")
    def _is_drawable(self) -> ResizeConfig:
        _check_sum("resize", (self.up, self.down, self.keep))
        if not self.factor[0] <= 1.0 <= self.factor[1]:
            raise ValueError(f"factor: {self.factor[0]}..{self.factor[1]} must contain 1")
        if not self.modes:
            raise ValueError("modes: name at least one of area, bilinear, bicubic")
        return self


class NoiseConfig(_RecipeSection):
    """Gaussian noise (sigma in 1/255) with a probability, otherwise Poisson noise (a factor)."""

    probability: Probability = 1.0
    gaussian_probability: Probability = 0.5
    gaussian_sigma: tuple[NonNegative, NonNegative] = (1.0, 30.0)
    poisson_scale: tuple[NonNegative, NonNegative] = (0.05, 3.0)
    gray_probability: Probability = 0.4


class OrderConfig(_RecipeSection):
    """One order of degradation: blur, resize, noise, JPEG."""

    blur_probability: Probability = 1.0
    kernel: KernelConfig = KernelConfig()
    resize: ResizeConfig = ResizeConfig()
    noise: NoiseConfig = NoiseConfig()
    jpeg_probability: Probability = 1.0
    jpeg_quality: tuple[Quality, Quality] = (30.0, 95.0)


class FinalSincConfig(_RecipeSection):
    """The sinc filter at the end, which imitates ringing and overshoot."""

    probability: Probability = 0.8
    size: tuple[int, int] = (7, 21)
    cutoff: tuple[Positive, Positive] = (math.pi / 3, math.pi)

    @model_validator(mode="after")
    def _is_drawable(self) -> FinalSincConfig:
        _check_sizes(self.size)
        return self


class VideoCodecs(_RecipeSection):
    """How often each codec compresses. Adds up to 1."""

    h264: Probability = 0.4
    hevc: Probability = 0.3
    vp9: Probability = 0.15
    mpeg2: Probability = 0.15

    @model_validator(mode="after")
    def _adds_up(self) -> VideoCodecs:
        _check_sum("video codecs", self.as_tuple())
        return self

    def as_tuple(self) -> tuple[float, ...]:
        """The probabilities in the order of `VIDEO_CODECS`."""
        return tuple(getattr(self, name) for name in VIDEO_CODECS)


VIDEO_CODECS: tuple[str, ...] = tuple(VideoCodecs.model_fields)
"""Codec names; a drawn codec is an index into this tuple."""

Quantiser = Annotated[int, Field(ge=1, le=63)]


class VideoConfig(_RecipeSection):
    """Compression as a frame of a video, at the very end; needs the package av (PyAV).

    The picture is the last frame of a short clip in which it moves evenly, continued by its edge.
    Frames are converted to BT.601, limited range, 4:2:0, and encoded in one thread.

    Attributes:
        probability: Of each sample to be compressed. 0, the default, needs no package.
        frames: Frames of the clip; 1 is a frame that is coded on its own.
        motion: Pixels a frame, each way, that the picture moves by.
        h264: The range of x264's `crf`, whole numbers, as are the others.
        hevc: Of x265's `crf`.
        vp9: Of libvpx's `crf`.
        mpeg2: Of the MPEG-2 encoder's quantiser scale.
    """

    probability: Probability = 0.0
    codecs: VideoCodecs = VideoCodecs()
    frames: tuple[Annotated[int, Field(ge=1, le=60)], Annotated[int, Field(ge=1, le=60)]] = (1, 6)
    motion: Annotated[float, Field(ge=0, le=16)] = 2.0
    h264: tuple[Quantiser, Quantiser] = (18, 38)
    hevc: tuple[Quantiser, Quantiser] = (20, 40)
    vp9: tuple[Quantiser, Quantiser] = (20, 55)
    mpeg2: tuple[Quantiser, Quantiser] = (2, 20)

    @model_validator(mode="after")
    def _can_be_encoded(self) -> VideoConfig:
        for name, largest in (("h264", 51), ("hevc", 51), ("mpeg2", 31)):
            if getattr(self, name)[1] > largest:
                raise ValueError(f"{name}: {getattr(self, name)[1]} is above {largest}")
        return self


class UsmConfig(_RecipeSection):
    """Unsharp masking of the ground truth. `radius` is made odd; `threshold` is in 1/255.

    Attributes:
        target: What the sharpened target is. "picture": the patch of the sharpened picture that
            the low resolution is made from. "patch": the patch of the plain picture, sharpened on
            its own, as the published training has it; that differs near the patch's edges.
    """

    weight: NonNegative = 0.5
    radius: Annotated[int, Field(ge=1)] = 50
    threshold: NonNegative = 10.0
    target: Literal["picture", "patch"] = "picture"


class SecondKernelConfig(KernelConfig):
    """`KernelConfig` with the second order's sigmas as the default."""

    sigma: tuple[Positive, Positive] = (0.2, 1.5)


class SecondResizeConfig(ResizeConfig):
    """`ResizeConfig` with the second order's figures as defaults."""

    up: Probability = 0.3
    down: Probability = 0.4
    keep: Probability = 0.3
    factor: tuple[Positive, Positive] = (0.3, 1.2)


class SecondNoiseConfig(NoiseConfig):
    """`NoiseConfig` with the second order's figures as defaults."""

    gaussian_sigma: tuple[NonNegative, NonNegative] = (1.0, 25.0)
    poisson_scale: tuple[NonNegative, NonNegative] = (0.05, 2.5)


class SecondOrderConfig(OrderConfig):
    """`OrderConfig` with the second order's figures as defaults.

    A class of its own, so that a configuration that names only some keys of the second order keeps
    the second order's figures for the rest.
    """

    blur_probability: Probability = 0.8
    kernel: SecondKernelConfig = SecondKernelConfig()
    resize: SecondResizeConfig = SecondResizeConfig()
    noise: SecondNoiseConfig = SecondNoiseConfig()


FirstResize = Literal["size", "factor"]


class DegradationConfig(_RecipeSection):
    """The whole recipe; `DegradationConfig()` has the published figures.

    Three details are not as in the published training by default: `jpeg`, `usm.target` and
    `first_resize`.

    Attributes:
        granularity: "batch": resize direction, factor and mode, noise family, whether the second
            blur runs, and the last order are drawn once a batch, as published. "sample": every
            sample draws its own.
        input_size: Side of the ground truth a `Degrader` is meant to be fed with, in pixels.
        patch_size: Side of the ground-truth patch cut after the degradation, in pixels; None keeps
            the whole picture.
        first_resize: "size": the first resize maps one size to the other, so that the picture
            stays aligned at its far edges. "factor": bilinear and bicubic step by the inverse of
            the drawn factor, as the published training does; the size is rounded down, and what is
            left at the far edges is cut off.
        second: The second order; its resize factor is relative to (ground truth / scale).
        resize_before_jpeg: Probability of [resize, final sinc] before the last JPEG rather than
            after it.
        video: Compression as a frame of a video, after everything else; off by default.
        usm: Sharpening of the ground truth the picture is degraded from.
        jpeg: "libjpeg" compresses as libjpeg, and so nearly all programs, do. "diffjpeg" is the
            approximation that the published networks were trained with: table of luminance
            transposed, chroma repeated, only the coefficients rounded.
        pool_size: Pairs each process keeps to decorrelate its batches; 0 for none.
    """

    granularity: Literal["batch", "sample"] = "batch"
    input_size: Annotated[int, Field(ge=8)] = 400
    patch_size: Annotated[int, Field(ge=4)] | None = 256
    first: OrderConfig = OrderConfig()
    first_resize: FirstResize = "size"
    second: SecondOrderConfig = SecondOrderConfig()
    resize_before_jpeg: Probability = 0.5
    final_sinc: FinalSincConfig = FinalSincConfig()
    video: VideoConfig = VideoConfig()
    usm: UsmConfig = UsmConfig()
    jpeg: JpegKind = "libjpeg"
    pool_size: Annotated[int, Field(ge=0)] = 180

    @model_validator(mode="after")
    def _patch_fits(self) -> DegradationConfig:
        if self.patch_size is not None and self.patch_size > self.input_size:
            raise ValueError(
                f"patch_size {self.patch_size} is larger than input_size {self.input_size}"
            )
        return self

    @classmethod
    def preset(cls, name: PresetName) -> DegradationConfig:
        """Return a named recipe: "paper" (the published one) or "per-sample"."""
        if name == "paper":
            return cls()
        if name == "per-sample":
            return cls(granularity="sample")
        raise ValueError(f"no degradation preset {name!r}; there are: paper, per-sample")
