"""The convolutional part of VGG19 (Simonyan and Zisserman, 2015) and its weights."""

from __future__ import annotations

import http.client
import os
import time
import urllib.request
from pathlib import Path

import torch
from torch import Tensor, nn

from realesrgan_train.checkpoint_file import naming, read_tensors, require_floats
from realesrgan_train.colour import as_rgb
from realesrgan_train.config.schema import VGG19_LAYERS
from realesrgan_train.errors import CheckpointError
from realesrgan_train.files import file_sha256, replacing
from realesrgan_train.wording import first_line

_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the five stages; between two stages lies a 2x2 max-pool."""

VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
VGG19_SHA256_PREFIX = "dcbb9e9d"
"""The publisher puts the first digits of the file's sha256 into its name."""
VGG19_BYTES = 600 << 20
"""More than the file has (574,673,361); a longer answer is not the file."""

_TIMEOUT = 20.0
"""Seconds to wait for a connection, for each part of an answer, and over which the pace counts."""
_SLOWEST = 1000
"""Bytes a second below which a download is given up."""


def _layers() -> tuple[nn.Sequential, dict[str, int]]:
    layers: list[nn.Module] = []
    index: dict[str, int] = {}
    channels = 3
    for name in VGG19_LAYERS:
        if name.endswith("_1") and layers:
            layers.append(nn.MaxPool2d(2))
        index[name] = len(layers)
        width = _CHANNELS[int(name[4]) - 1]
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers), index


class VGG19Features(nn.Module):
    """VGG19 up to its last convolution, with torchvision's parameter names.

    It is made with random weights from the global generator, stays in evaluation mode, and its
    parameters need no gradient.

    Args:
        layers: Which convolutions to return, by name (`conv1_2` .. `conv5_4`), before their ReLU.

    Raises:
        ValueError: For an unknown layer name.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: tuple[str, ...] = ("conv5_4",)) -> None:
        super().__init__()
        self.features, index = _layers()
        unknown = [name for name in layers if name not in index]
        if unknown or not layers:
            raise ValueError(
                f"VGG19 has no layer {', '.join(unknown) or '(none given)'}; "
                f"there are: {', '.join(index)}"
            )
        self._wanted = {index[name]: name for name in layers}
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the wanted features by name: [B, C, H / 2^(stage - 1), W / 2^(stage - 1)].

        x is [B, 3, H, W] RGB or [B, 1, H, W] grey (which is repeated), 0..1, normalised here by
        ImageNet's mean and deviation; H and W are at least 16 for conv5_4.
        """
        x = (as_rgb(x) - self.mean) / self.std
        wanted: dict[str, Tensor] = {}
        for position, layer in enumerate(self.features):
            x = layer(x)
            if position in self._wanted:
                wanted[self._wanted[position]] = x
            if len(wanted) == len(self._wanted):
                break
        return wanted


def load_vgg19(network: VGG19Features, path: Path, sha256: str | None = None) -> None:
    """Load weights in torchvision's format (`.pth` or `.safetensors`); classifier keys are ignored.

    The file's digest must begin with `sha256` (all 64 digits, or a prefix; None: anything).

    Raises:
        CheckpointError: If the file is missing, damaged, of another digest or another network.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no VGG19 weights there")
    if sha256 is not None and not (found := file_sha256(path)).startswith(sha256.lower()):
        raise CheckpointError(f"{path}: sha256 is {found}, expected {sha256}; fetch the file again")
    tensors, _ = read_tensors(path)
    expected = network.state_dict()
    for name, parameter in expected.items():
        if name not in tensors or tensors[name].shape != parameter.shape:
            raise CheckpointError(
                f"{path}: not VGG19 weights ({name} of shape {tuple(parameter.shape)} is missing)"
            )
    with naming(path):
        require_floats(tensors, expected)
    network.load_state_dict({name: tensors[name] for name in expected})


def vgg19_cache_path() -> Path:
    """Where `fetch_vgg19` keeps the weights: under XDG_CACHE_HOME, by default ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "realesrgan-train" / Path(VGG19_URL).name


def is_cached(sha256: str = VGG19_SHA256_PREFIX) -> bool:
    """Whether the cache holds the weights, undamaged."""
    target = vgg19_cache_path()
    return target.is_file() and file_sha256(target).startswith(sha256.lower())


def fetch_vgg19(url: str = VGG19_URL, sha256: str = VGG19_SHA256_PREFIX) -> Path:
    """Download the published weights (548 MB) into the user's cache, once; return their path.

    A cached file is hashed again, and fetched again when it is damaged.

    Raises:
        CheckpointError: If the download fails or its sha256 does not begin with `sha256`; nothing
            is left in the cache then.
    """
    target = vgg19_cache_path()
    if is_cached(sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(target) as partial:
            _download(url, partial)
            if not (found := file_sha256(partial)).startswith(sha256.lower()):
                raise CheckpointError(f"{url}: sha256 is {found}, expected {sha256}...")
    except (OSError, http.client.HTTPException) as error:
        raise CheckpointError(
            f"{url}: cannot download VGG19's weights ({first_line(error)}); fetch them elsewhere "
            "and give their path"
        ) from error
    return target


def _download(url: str, partial: Path) -> None:
    """Write what a URL answers to a file.

    Raises:
        OSError: No connection, too slow an answer (a `TimeoutError`), or too long a one.
    """
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, partial.open("wb") as file:
        total, recent, since = 0, 0, time.monotonic()
        while block := answer.read1(1 << 18):
            file.write(block)
            total, recent, now = total + len(block), recent + len(block), time.monotonic()
            if total > VGG19_BYTES:
                raise OSError(f"longer than {VGG19_BYTES >> 20} MB")
            if now - since > _TIMEOUT:
                if recent < _SLOWEST * (now - since):
                    raise TimeoutError(f"fewer than {_SLOWEST} bytes a second arrive")
                since, recent = now, 0
