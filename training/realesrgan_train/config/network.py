"""Which generator and which discriminator are trained, and from which weights they start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from realesrgan_train.config.base import PositiveInt, Section


class RRDBNetConfig(Section):
    """The ESRGAN generator; scales 1 and 2 pixel-unshuffle their input by 4 and 2."""

    architecture: Literal["rrdbnet"]
    num_feat: PositiveInt = 64
    num_block: PositiveInt = 23
    num_grow_ch: PositiveInt = 32


class CompactConfig(Section):
    """SRVGGNetCompact: plain 3x3 convolutions and one pixel shuffle."""

    architecture: Literal["compact"]
    num_feat: PositiveInt = 64
    num_conv: PositiveInt = 16
    act_type: Literal["prelu", "relu", "leakyrelu"] = "prelu"


NetworkConfig = Annotated[RRDBNetConfig | CompactConfig, Field(discriminator="architecture")]


class DiscriminatorConfig(Section):
    """The U-Net discriminator with spectral norm of the second stage."""

    num_feat: PositiveInt = 64
    skip_connection: bool = True


class StartConfig(Section):
    """Weights to start from; without them the networks start from seeded random weights.

    Attributes:
        generator: `.pth` or `.safetensors`, checked against `network` and `scale`.
        strict: off, tensors that are missing or have another shape keep their random start;
            this is how an x2 network starts from x4plus.
        discriminator: weights for the second stage's discriminator.
    """

    generator: Path | None = None
    strict: bool = True
    discriminator: Path | None = None
