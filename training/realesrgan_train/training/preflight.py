"""What must hold before step 1, checked in a moment."""

from __future__ import annotations

from realesrgan_train.config import RunConfig
from realesrgan_train.errors import ConfigError


def check_ready(config: RunConfig) -> None:
    """Check what a preset leaves open for the user to fill in.

    Raises:
        ConfigError: no data, a second stage with nothing to start from, no VGG19 weights named.
    """
    problems = []
    if not config.data.pictures and config.data.pair_ratio < 1:
        problems.append("data.pictures is empty: name a folder, such as data.pictures=my_photos")
    if config.stages.gan and not config.stages.net and config.start.generator is None:
        problems.append(
            "the run has only the gan stage, which refines a trained network: set start.generator "
            "to the first stage's weights (weights/net.safetensors of its run)"
        )
    perceptual = config.stages.gan.perceptual if config.stages.gan else None
    if perceptual and perceptual.weight and perceptual.weights is None:
        problems.append(
            "the perceptual loss needs VGG19's weights: set stages.gan.perceptual.weights to "
            "torchvision's vgg19 file, or to fetch, which downloads it (548 MB) into your cache"
        )
    if problems:
        raise ConfigError(f"{config.name} cannot start:\n  " + "\n  ".join(problems))


def cautions(config: RunConfig) -> list[str]:
    """What is allowed, but hardly meant."""
    if config.data.pairs and not config.data.pair_ratio:
        return ["data.pairs is given, but data.pair_ratio is 0: none of the pairs will be used"]
    return []
