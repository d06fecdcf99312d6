"""The whole run configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from realesrgan_train.config.base import Count, PositiveInt, Section
from realesrgan_train.config.data import DataConfig, GuardConfig, ValidationConfig
from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.config.network import DiscriminatorConfig, NetworkConfig, StartConfig
from realesrgan_train.config.stages import StagesConfig


class ExecutionConfig(Section):
    """How steps are computed; `precision`, `accumulate` and `clip_norm` change the maths.

    `compile` and `channels_last` change the order of sums, and so the last bits.

    Attributes:
        device: `auto` takes CUDA where there is one.
        precision: `bf16` and `fp16` run the networks under autocast; weights stay fp32.
        accumulate: micro-batches per optimiser step.
        clip_norm: largest gradient norm, 0 for no clipping.
        ema_decay: decay of the averaged generator weights, 0 to switch averaging off.
        compile: run the networks through `torch.compile`.
        channels_last: keep networks and batches in NHWC memory order.
        threads: CPU threads per process, 0 for PyTorch's choice. Sums depend on it, so a run
            resumed with another count is close, not bit-identical.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: PositiveInt = 1
    clip_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
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
    keep: Annotated[int, Field(ge=1)] = 2


class RunConfig(Section):
    """One run: everything needed to start it again and get the same bits.

    Attributes:
        preset: the preset this configuration started from, kept for the record.
        name: the run's folder below `output`.
        seed: the only source of randomness.
        scale: output edge over input edge.
        licence: licence of the trained weights, written into their metadata.
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
        if self.stages.gan is not None and patch % 8:
            raise ValueError(
                f"the discriminator halves a patch three times: degradation.patch_size {patch} "
                "must be a multiple of 8"
            )
        return self


__all__ = ["CheckpointConfig", "ExecutionConfig", "LoggingConfig", "RunConfig"]
