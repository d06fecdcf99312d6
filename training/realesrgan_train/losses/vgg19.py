"""The convolutional part of VGG19 (Simonyan and Zisserman, 2015) and its weights."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import time
import urllib.request
from pathlib import Path

import torch
from torch import Tensor, nn

from realesrgan_train.checkpoint_file import read_tensors, require_floats
from realesrgan_train.errors import CheckpointError
from realesrgan_train.wording import first_line

_STAGES = ((1, 2, 64), (2, 2, 128), (3, 4, 256), (4, 4, 512), (5, 4, 512))
"""(number, convolutions, channels) of the five stages; a 2x2 max-pool follows each."""

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
    for stage, convolutions, width in _STAGES:
        for number in range(1, convolutions + 1):
            index[f"conv{stage}_{number}"] = len(layers)
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers), index


LAYER_NAMES = tuple(
    f"conv{stage}_{number}" for stage, count, _ in _STAGES for number in range(1, count + 1)
)
"""The convolutions, whose outputs before ReLU are the features."""


class VGG19Features(nn.Module):
    """VGG19 up to its last convolution, with torchvision's parameter names.

    Freshly made it has random weights from the global generator. It stays in evaluation mode and
    its parameters need no gradient.

    Args:
        layers: which convolutions to return, by name (`conv1_2` .. `conv5_4`), before their ReLU.

    Raises:
        ValueError: for an unknown layer name.
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
        """Return the wanted features of a picture.

        Args:
            x: [B, 3, H, W] RGB, 0..1; normalised here by ImageNet's mean and deviation. H and W
                at least 16 for conv5_4.

        Returns:
            name -> [B, C, H / 2^(stage - 1), W / 2^(stage - 1)], before the ReLU.
        """
        x = (x - self.mean) / self.std
        wanted: dict[str, Tensor] = {}
        for position, layer in enumerate(self.features):
            x = layer(x)
            if position in self._wanted:
                wanted[self._wanted[position]] = x
            if len(wanted) == len(self._wanted):
                break
        return wanted


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def load_vgg19(network: VGG19Features, path: Path, sha256: str | None = None) -> None:
    """Load weights in torchvision's format (`.pth` or `.safetensors`); classifier keys are ignored.

    Args:
        network: is filled in place.
        path: the weights.
        sha256: what the file's digest must begin with (all 64 digits, or a prefix); None: anything.

    Raises:
        CheckpointError: if the file is missing, damaged, of another digest or another network.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no VGG19 weights there")
    if sha256 is not None and not (found := _sha256(path)).startswith(sha256.lower()):
        raise CheckpointError(f"{path}: sha256 is {found}, expected {sha256}; fetch the file again")
    tensors, _ = read_tensors(path)
    expected = network.state_dict()
    for name, parameter in expected.items():
        if name not in tensors or tensors[name].shape != parameter.shape:
            raise CheckpointError(
                f"{path}: not VGG19 weights ({name} of shape {tuple(parameter.shape)} is missing)"
            )
    try:
        require_floats(tensors, expected)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    network.load_state_dict({name: tensors[name] for name in expected})


def vgg19_cache_path() -> Path:
    """Where `fetch_vgg19` keeps the weights: under XDG_CACHE_HOME, by default ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "realesrgan-train" / Path(VGG19_URL).name


def is_cached(sha256: str = VGG19_SHA256_PREFIX) -> bool:
    """Whether the cache holds the weights, undamaged."""
    target = vgg19_cache_path()
    return target.is_file() and _sha256(target).startswith(sha256.lower())


def fetch_vgg19(url: str = VGG19_URL, sha256: str = VGG19_SHA256_PREFIX) -> Path:
    """Download the published weights (548 MB) into the user's cache, once; return their path.

    A cached file is hashed again, and fetched again when it is damaged.

    Raises:
        CheckpointError: if the download fails or its sha256 does not begin with `sha256`; nothing
            is left in the cache then.
    """
    target = vgg19_cache_path()
    if is_cached(sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    partial = Path(name)
    try:
        _download(url, partial)
        if not (found := _sha256(partial)).startswith(sha256.lower()):
            raise CheckpointError(f"{url}: sha256 is {found}, expected {sha256}...")
        partial.replace(target)
    except (OSError, http.client.HTTPException) as error:
        raise CheckpointError(
            f"{url}: cannot download VGG19's weights ({first_line(error)}); fetch them elsewhere "
            "and give their path"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _download(url: str, partial: Path) -> None:
    """Write what a URL answers to a file.

    Raises:
        OSError: no connection, too slow an answer (a `TimeoutError`), or too long a one.
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
