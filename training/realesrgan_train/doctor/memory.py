"""How much memory a training step takes, found without computing it."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from realesrgan_train.config import RunConfig
from realesrgan_train.engine.building import configured_architecture
from realesrgan_train.learned_metrics import Dists
from realesrgan_train.losses.vgg19 import VGG19Features
from realesrgan_train.networks import UNetDiscriminatorSN

_FP32 = 4


def _parameter_bytes(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters()) * _FP32


def _saved_bytes(network: nn.Module, *inputs: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass, each storage counted once.

    On the meta device tensors have shapes but no content, so this costs no memory and no time.
    """
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = tensor  # alive, so that its address is not used again
            sizes[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = network(*inputs)
    del result
    return sum(sizes.values())


def estimate(config: RunConfig) -> dict[str, int]:
    """Bytes per process, by what they are for, of the stage that takes more."""
    patch, batch, channels = config.gt_size, config.data.batch_size, config.network.channels
    # Autocast keeps activations at half the size.
    factor = 1.0 if config.execution.precision == "fp32" else 0.5
    with torch.device("meta"):
        generator = configured_architecture(config).build()
        small = torch.empty(batch, channels, patch // config.scale, patch // config.scale)
        large = torch.empty(batch, channels, patch, patch, requires_grad=True)
        weights = _parameter_bytes(generator)
        needs = {
            "generator and its average": 2 * weights,
            "generator gradients and Adam": 3 * weights,
            "generator activations": int(_saved_bytes(generator, small) * factor),
        }
        if config.stages.gan is not None:
            discriminator = UNetDiscriminatorSN(channels, **config.discriminator.model_dump())
            needs["discriminator with Adam"] = 4 * _parameter_bytes(discriminator)
            both = 2 * _saved_bytes(discriminator, large)  # real and generated together
            needs["discriminator activations"] = int(both * factor)
            if config.perceptual is not None:
                vgg = VGG19Features(tuple(config.perceptual.layers))
                needs["VGG19"] = _parameter_bytes(vgg)
                needs["VGG19 activations"] = int(_saved_bytes(vgg, large) * factor)
            if config.stages.gan.dists is not None:
                dists = Dists()
                needs["DISTS"] = _parameter_bytes(dists)
                needs["DISTS activations"] = int(
                    _saved_bytes(dists, large, large.detach()) * factor
                )
    pool, crop = config.degradation.pool_size, config.degradation.input_size
    pair_bytes = channels * (
        (patch // config.scale) ** 2 + patch**2 * 3
    )  # 8 bit, sharpened one 16 bit
    needs["pair pool"] = pool // batch * batch * pair_bytes
    needs["degradation"] = (
        batch * channels * crop**2 * _FP32 * 8
    )  # a handful of batches at crop size
    return needs


def available_bytes(device: str) -> tuple[str, int]:
    """Where a run would compute, and how much memory is free there."""
    if device != "cpu" and torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return "GPU memory", free
    return "main memory", _available_main_memory()


def _available_main_memory() -> int:
    """What Linux calls available: free, or held only as a cache of files."""
    facts = Path("/proc/meminfo")
    if facts.is_file():
        for line in facts.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
