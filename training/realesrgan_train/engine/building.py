"""Networks from the configuration, with the weights they start from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from realesrgan_train.checkpoint_file import naming, read_tensors, require_floats
from realesrgan_train.config import RunConfig
from realesrgan_train.config.schema import RRDBNetConfig, SpanConfig
from realesrgan_train.data.sampler import START_STREAM, torch_seed
from realesrgan_train.errors import CheckpointError
from realesrgan_train.grey import grey_discriminator, grey_network, is_colour_discriminator
from realesrgan_train.networks import UNetDiscriminatorSN
from realesrgan_train.weights import Architecture, load_network

_GENERATOR, _DISCRIMINATOR = range(2)


def _seeded(seed: int, which: int, make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose random start belongs to the run's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, START_STREAM, which))
        return make()


def configured_architecture(config: RunConfig) -> Architecture:
    """Return which generator is configured."""
    sizes = config.network.model_dump(exclude={"architecture", "channels"})
    sizes |= dict.fromkeys(("num_in_ch", "num_out_ch"), config.network.channels)
    if isinstance(config.network, RRDBNetConfig):
        return Architecture("RRDBNet", config.scale, {"scale": config.scale, **sizes})
    name = "SPAN" if isinstance(config.network, SpanConfig) else "SRVGGNetCompact"
    return Architecture(name, config.scale, {"upscale": config.scale, **sizes})


def load_start(config: RunConfig, network: nn.Module) -> list[str]:
    """Fill the generator from `start.generator`; a colour network is made grey for a grey one.

    Returns:
        Names of the tensors that keep their random start (only without `start.strict`).

    Raises:
        CheckpointError: Damaged, of another architecture or scale, or nothing fits.
    """
    path = config.start.generator
    if path is None:
        return []
    act_type = getattr(config.network, "act_type", None)
    loaded = load_network(path, act_type)
    if config.network.channels == 1 and loaded.architecture.kwargs["num_in_ch"] == 3:
        with naming(path):
            loaded = grey_network(loaded)
    wanted, given = network.state_dict(), loaded.network.state_dict()
    fitting = {k: v for k, v in given.items() if k in wanted and wanted[k].shape == v.shape}
    left_over = [name for name in wanted if name not in fitting]
    ours, theirs = str(configured_architecture(config)), str(loaded.architecture)
    if config.start.strict and (left_over or len(given) != len(wanted) or ours != theirs):
        raise CheckpointError(
            f"{path} holds {theirs}, but the configuration asks for {ours}: change network and "
            "scale, name another file, or set start.strict=false to take only the tensors that fit"
        )
    if not fitting:
        raise CheckpointError(f"{path} holds {theirs}: none of its tensors fits {ours}")
    network.load_state_dict(fitting, strict=False)
    return left_over


def build_generator(config: RunConfig) -> tuple[nn.Module, list[str]]:
    """The generator with its start weights, and the names of tensors left at random.

    Raises:
        CheckpointError: As `load_start`.
    """
    network = _seeded(config.seed, _GENERATOR, configured_architecture(config).build)
    return network, load_start(config, network)


def build_discriminator(config: RunConfig) -> nn.Module:
    """The discriminator with its start weights.

    Raises:
        CheckpointError: `start.discriminator` does not fit.
    """
    sizes = config.discriminator.model_dump()
    make = partial(UNetDiscriminatorSN, config.network.channels, **sizes)
    network = _seeded(config.seed, _DISCRIMINATOR, make)
    if config.start.discriminator is not None:
        _fill_discriminator(network, config.start.discriminator)
    return network


def discriminator_caution(config: RunConfig) -> str | None:
    """What to do where a generator that may be finished meets a random discriminator, or None.

    The result of the stage `net` starts against a random one in the published training, too; its
    file says what it is where this package wrote it.

    Raises:
        CheckpointError: `start.generator` cannot be read.
    """
    stage, start = config.stages.gan, config.start
    if stage is None or config.stages.net is not None or not stage.gan.weight:
        return None
    if start.generator is None or start.discriminator is not None or stage.warmup_discriminator:
        return None
    made_by = read_tensors(start.generator)[1].get("stage")
    if made_by == "net":
        return None
    if made_by == "gan":
        what = f"{start.generator} was trained against a discriminator, but a random one"
    else:
        what = (
            "the discriminator starts at random. That is right for a first stage's result; if "
            f"{start.generator} was trained against a discriminator, a random one"
        )
    return (
        f"{what} knows nothing yet, and the generator would follow it away from what it has "
        "learned. Name the discriminator that belongs to it as start.discriminator "
        "(weights/discriminator.safetensors of its run; RealESRGAN_x4plus_netD.pth for "
        "RealESRGAN_x4plus), or let the discriminator learn alone first: "
        "stages.gan.warmup_discriminator=1000"
    )


def _fill_discriminator(network: nn.Module, path: Path) -> None:
    tensors, _ = read_tensors(path)
    wanted = network.state_dict()
    if wanted["conv0.weight"].shape[1] == 1 and is_colour_discriminator(tensors):
        tensors = grey_discriminator(tensors)
    if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in wanted.items()}:
        raise CheckpointError(
            f"{path} does not hold the configured discriminator "
            f"({len(tensors)} tensors, {len(wanted)} expected): check discriminator.num_feat and "
            "network.channels"
        )
    with naming(path):
        require_floats(tensors, wanted)
    network.load_state_dict(tensors)
