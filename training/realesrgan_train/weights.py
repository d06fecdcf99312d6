"""Networks from checkpoints and back: architecture, scale and sizes are read off the tensors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from realesrgan_train.checkpoint_file import read_tensors, write_tensors
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import RRDBNet, SRVGGNetCompact
from realesrgan_train.old_esrgan_names import modern_names

__all__ = [
    "Architecture",
    "CheckpointError",
    "LoadedNetwork",
    "deduce_architecture",
    "interpolate",
    "load_network",
    "save_network",
]

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "RRDBNet": RRDBNet,
    "SRVGGNetCompact": SRVGGNetCompact,
}


@dataclass(frozen=True)
class Architecture:
    """What a state dict says about the network it belongs to."""

    name: str
    scale: int
    kwargs: dict[str, Any]

    def build(self) -> nn.Module:
        """Make the network with fresh weights."""
        return ARCHITECTURES[self.name](**self.kwargs)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights, on the CPU, in evaluation mode."""

    network: nn.Module
    architecture: str
    scale: int
    kwargs: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict)


def _size(tensors: Mapping[str, Tensor], name: str, dim: int) -> int:
    tensor = tensors.get(name)
    if tensor is None or tensor.dim() <= dim:
        raise CheckpointError(f"weights: {name} is missing or has too few dimensions")
    return int(tensor.shape[dim])


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """Highest index that matches the pattern's group, plus one."""
    found = (re.match(pattern, name) for name in tensors)
    return max((int(match.group(1)) for match in found if match), default=-1) + 1


def _rrdbnet(tensors: Mapping[str, Tensor]) -> Architecture:
    num_out_ch = _size(tensors, "conv_last.weight", 0)
    first = _size(tensors, "conv_first.weight", 1)
    scale_of_ratio = {1: 4, 4: 2, 16: 1}
    ratio, rest = divmod(first, num_out_ch)
    if rest or ratio not in scale_of_ratio:
        raise CheckpointError(
            f"weights: an RRDBNet whose first convolution reads {first} channels and whose last "
            f"one writes {num_out_ch} is neither x4, x2 nor x1"
        )
    scale = scale_of_ratio[ratio]
    kwargs = {
        "num_in_ch": num_out_ch,
        "num_out_ch": num_out_ch,
        "scale": scale,
        "num_feat": _size(tensors, "conv_first.weight", 0),
        "num_block": _count(tensors, r"body\.(\d+)\.rdb1\.conv1\.weight$"),
        "num_grow_ch": _size(tensors, "body.0.rdb1.conv1.weight", 0),
    }
    return Architecture("RRDBNet", scale, kwargs)


def _srvgg(tensors: Mapping[str, Tensor], act_type: str | None) -> Architecture:
    last = _count(tensors, r"body\.(\d+)\.weight$") - 1
    num_in_ch = _size(tensors, "body.0.weight", 1)
    channels = _size(tensors, f"body.{last}.weight", 0)
    upscale = round((channels / num_in_ch) ** 0.5)
    if upscale < 1 or upscale**2 * num_in_ch != channels or last % 2 or last < 2:
        raise CheckpointError(
            f"weights: a compact network from {num_in_ch} to {channels} channels in "
            f"{last // 2 + 1} convolutions has no whole scale"
        )
    if "body.1.weight" in tensors:
        act_type = "prelu"
    elif act_type is None:
        raise CheckpointError(
            "weights: a compact network without PReLU; ReLU and LeakyReLU look alike in its "
            'tensors, so say which: act_type="relu" or act_type="leakyrelu"'
        )
    kwargs = {
        "num_in_ch": num_in_ch,
        "num_out_ch": num_in_ch,
        "num_feat": _size(tensors, "body.0.weight", 0),
        "num_conv": last // 2 - 1,
        "upscale": upscale,
        "act_type": act_type,
    }
    return Architecture("SRVGGNetCompact", upscale, kwargs)


def deduce_architecture(
    state_dict: Mapping[str, Tensor], act_type: str | None = None
) -> Architecture:
    """Tell which network a state dict belongs to.

    Args:
        state_dict: tensors under modern or old ESRGAN names.
        act_type: activation of a compact network without PReLU; the tensors do not tell.

    Raises:
        CheckpointError: if it is no RRDBNet and no SRVGGNetCompact.
    """
    tensors = modern_names(state_dict)
    if "conv_first.weight" in tensors and "body.0.rdb1.conv1.weight" in tensors:
        return _rrdbnet(tensors)
    if "body.0.weight" in tensors:
        return _srvgg(tensors, act_type)
    if "conv0.weight" in tensors and "conv1.weight_orig" in tensors:
        raise CheckpointError(
            "weights: this is a discriminator (UNetDiscriminatorSN), which enlarges nothing; give "
            "the generator's checkpoint (net_g)"
        )
    sample = ", ".join(list(tensors)[:4]) or "nothing"
    raise CheckpointError(
        f"weights: neither an RRDBNet nor an SRVGGNetCompact (found {sample}, ...)"
    )


def _check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], name: str) -> None:
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    if missing or extra:
        what = [
            f"{side} {', '.join(keys[:3])}{', ...' * (len(keys) > 3)}"
            for side, keys in (("lacks", missing), ("has unknown", extra))
            if keys
        ]
        raise CheckpointError(f"weights: looks like an {name} but {' and '.join(what)}")
    for key, tensor in expected.items():
        if found[key].shape != tensor.shape:
            raise CheckpointError(
                f"weights: {key} has shape {tuple(found[key].shape)}, this {name} needs "
                f"{tuple(tensor.shape)}"
            )
        if not bool(torch.isfinite(found[key]).all()):
            raise CheckpointError(f"weights: {key} holds NaN or infinity; training went astray")


def load_network(path: Path, act_type: str | None = None) -> LoadedNetwork:
    """Read a generator from a `.pth` or `.safetensors` file.

    Args:
        path: a checkpoint with the weights bare or under `params_ema` (preferred) or `params`,
            under modern or old ESRGAN names, in any floating-point type.
        act_type: activation of a compact network without PReLU, unless the metadata tell it.

    Returns:
        The network in float32.

    Raises:
        CheckpointError: if the file is damaged, would run code, or is no such network.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path)
    kwargs = _stored_kwargs(metadata)
    try:
        architecture = deduce_architecture(tensors, act_type or kwargs.get("act_type"))
        network = architecture.build()
        tensors = modern_names(tensors)
        _check_shapes(network.state_dict(), tensors, architecture.name)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    network.load_state_dict(tensors)
    return LoadedNetwork(
        network.eval(), architecture.name, architecture.scale, architecture.kwargs, metadata
    )


def _stored_kwargs(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        kwargs = json.loads(metadata.get("kwargs", "{}"))
    except json.JSONDecodeError:
        return {}
    return kwargs if isinstance(kwargs, dict) else {}


def save_network(path: Path, network: nn.Module, metadata: Mapping[str, str] | None = None) -> None:
    """Write a generator's weights as `.safetensors`, with its architecture in the metadata.

    Args:
        path: ends in `.safetensors`; appears whole or not at all.
        network: an RRDBNet or SRVGGNetCompact.
        metadata: more strings for the header (recipe, step, licence...).

    Raises:
        CheckpointError: for another kind of network, non-finite weights or another suffix.
    """
    tensors = network.state_dict()
    architecture = deduce_architecture(tensors, getattr(network, "act_type", None))
    _check_shapes(architecture.build().state_dict(), tensors, architecture.name)
    header = {
        **(metadata or {}),
        "architecture": architecture.name,
        "scale": str(architecture.scale),
        "kwargs": json.dumps(architecture.kwargs),
    }
    write_tensors(path, tensors, header)


def interpolate(
    a: Mapping[str, Tensor], b: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """Mix two sets of weights: (1 - alpha) * a + alpha * b (Wang et al., 2019).

    Args:
        a: state dict; returned as it is for alpha 0.
        b: state dict with the same names and shapes; returned as it is for alpha 1.
        alpha: 0..1.

    Raises:
        CheckpointError: if names or shapes differ.
        ValueError: if alpha is outside 0..1.
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    if a.keys() != b.keys():
        different = sorted(a.keys() ^ b.keys())
        raise CheckpointError(
            f"the two networks differ in {len(different)} names ({', '.join(different[:3])})"
        )
    for name, tensor in a.items():
        if tensor.shape != b[name].shape:
            raise CheckpointError(
                f"the two networks differ: {name} is {tuple(tensor.shape)} in one and "
                f"{tuple(b[name].shape)} in the other"
            )
    return {
        name: torch.lerp(tensor.double(), b[name].double(), alpha).to(tensor.dtype)
        for name, tensor in a.items()
    }
