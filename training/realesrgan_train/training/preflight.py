"""What must hold before step 1, checked in a moment."""

from __future__ import annotations

from realesrgan_train.config import RunConfig
from realesrgan_train.errors import ConfigError


def check_ready(config: RunConfig) -> None:
    """Check what a preset leaves open for the user to fill in.

    Raises:
        ConfigError: no data, or a second stage with nothing to start from.
    """
    problems = []
    if not config.data.pictures and config.data.pair_ratio < 1:
        problems.append("data.pictures is empty: name a folder, such as data.pictures=my_photos")
    if config.stages.gan and not config.stages.net and config.start.generator is None:
        problems.append(
            "the run has only the gan stage, which refines a trained network: set start.generator "
            "to the first stage's weights (weights/net.safetensors of its run)"
        )
    if problems:
        raise ConfigError(f"{config.name} cannot start:\n  " + "\n  ".join(problems))
