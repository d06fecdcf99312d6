"""The two stages: `net` learns the picture, `gan` learns the texture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from realesrgan_train.config.base import Count, PositiveFloat, PositiveInt, Section, Weight
from realesrgan_train.config.nearest import nearest
from realesrgan_train.losses.vgg19 import LAYER_NAMES

Target = Literal["sharpened", "plain"]
Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Section):
    """One optimiser.

    Attributes:
        kind: Adam, or AdamW (decoupled weight decay).
        lr: learning rate per step.
        schedule: `constant`, or `cosine` down to `lr * final` at the stage's last step.
        final: what is left of the rate at the end of `cosine`.
        warmup: steps over which the rate rises linearly from 0.
    """

    kind: Literal["adam", "adamw"] = "adam"
    lr: PositiveFloat = 2e-4
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    weight_decay: Weight = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    final: Annotated[float, Field(ge=0, le=1)] = 0.01
    warmup: Count = 0


class PixelLossConfig(Section):
    """The pixel loss and which target it compares with."""

    kind: Literal["l1", "charbonnier"] = "l1"
    weight: Weight = 1.0
    target: Target = "sharpened"


class PerceptualLossConfig(Section):
    """The VGG19 feature loss.

    Attributes:
        weight: 0 switches it off and needs no VGG weights.
        layers: weight per VGG19 layer, features before ReLU; 0 leaves one of the five out.
        weights: a file with torchvision's parameter names; `fetch` to download it (548 MB) to the
            user's cache; `random` for seeded random features (tests and tiny runs only). A run
            with a weight above 0 must name one of them.
        sha256: expected digest of the file, or its first digits, checked when given.
    """

    weight: Weight = 1.0
    layers: dict[str, Weight] = Field(
        default={"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
    )
    target: Target = "sharpened"
    weights: Path | Literal["fetch", "random"] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8,64}$")] | None = None

    @field_validator("layers")
    @classmethod
    def _are_layers(cls, layers: dict[str, float]) -> dict[str, float]:
        for name in layers:
            if name not in LAYER_NAMES:
                guess = nearest(name, LAYER_NAMES)
                hint = f"did you mean {guess!r}? " if guess else ""
                raise ValueError(
                    f"VGG19 has no layer {name!r}; {hint}There are: {', '.join(LAYER_NAMES)}"
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
    weight: Weight = 0.1
    target: Target = "plain"


class NetStageConfig(Section):
    """Stage 1: the pixel loss alone."""

    steps: PositiveInt = 1_000_000
    optimizer: OptimizerConfig = OptimizerConfig()
    pixel: PixelLossConfig = PixelLossConfig()


class GanStageConfig(Section):
    """Stage 2: pixel, perceptual and adversarial losses, from stage 1's averaged weights.

    Attributes:
        perceptual: `null` leaves it out, as a weight of 0 does. No VGG19 weights are needed then,
            but textures follow the discriminator alone and look less natural.
    """

    steps: PositiveInt = 400_000
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-4)
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=1e-4)
    pixel: PixelLossConfig = PixelLossConfig()
    perceptual: PerceptualLossConfig | None = PerceptualLossConfig()
    gan: GanLossConfig = GanLossConfig()
    discriminator_steps: PositiveInt = 1


class StagesConfig(Section):
    """The stages of the run, in order; leave one out with `null`."""

    net: NetStageConfig | None = None
    gan: GanStageConfig | None = None
