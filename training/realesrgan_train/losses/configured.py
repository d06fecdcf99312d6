"""The perceptual loss as configured, with the VGG19 weights it needs."""

from __future__ import annotations

from pathlib import Path

import torch

from realesrgan_train.config import RunConfig
from realesrgan_train.config.stages import PerceptualLossConfig
from realesrgan_train.data.sampler import START_STREAM, torch_seed
from realesrgan_train.losses import (
    PerceptualLoss,
    VGG19Features,
    fetch_vgg19,
    is_cached,
    load_vgg19,
)
from realesrgan_train.losses.vgg19 import VGG19_SHA256_PREFIX

_VGG_STREAM = 2


def perceptual_loss(config: PerceptualLossConfig | None, seed: int) -> PerceptualLoss | None:
    """The VGG loss, or None when it is left out or its weight is 0.

    Raises:
        CheckpointError: the weights are missing, damaged, of another digest, or cannot be fetched.
    """
    if config is None or not config.weight:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, START_STREAM, _VGG_STREAM))
        network = VGG19Features(tuple(config.layers))
    if config.weights == "fetch":
        load_vgg19(network, fetch_vgg19(sha256=config.sha256 or VGG19_SHA256_PREFIX))
    elif isinstance(config.weights, Path):
        load_vgg19(network, config.weights, config.sha256)
    return PerceptualLoss(config.layers, config.weight, network)


def must_be_fetched(config: RunConfig) -> bool:
    """Whether the run will download VGG19's weights: asked for, and not in the cache."""
    wanted = _configured(config)
    if wanted is None or not wanted.weight or wanted.weights != "fetch":
        return False
    return not is_cached(wanted.sha256 or VGG19_SHA256_PREFIX)


def check_perceptual(config: RunConfig) -> None:
    """Make sure before step 1 that the second stage will find its VGG19 weights.

    Raises:
        CheckpointError: it would not.
    """
    wanted = _configured(config)
    if wanted is not None and wanted.weights != "random":
        perceptual_loss(wanted, config.seed)


def _configured(config: RunConfig) -> PerceptualLossConfig | None:
    return config.stages.gan.perceptual if config.stages.gan else None
