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

from realesrgan_train.checkpoint_file import naming, read_tensors, require_floats, write_tensors
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import SPAN, RRDBNet, SRVGGNetCompact
from realesrgan_train.networks.span import BLOCKS, RGB_MEAN
from realesrgan_train.networks.srvgg import ACTIVATIONS
from realesrgan_train.wording import shown

_TRUNK = {
    "trunk_conv": "conv_body",
    "upconv1": "conv_up1",
    "upconv2": "conv_up2",
    "HRconv": "conv_hr",
}
_NUMBERED = {"0": "conv_first", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}
_NUMBERED_BLOCK = re.compile(r"model\.1\.sub\.(\d+)\.RDB([123])\.conv([1-5])\.0\.(weight|bias)$")
_NUMBERED_TRUNK = re.compile(r"model\.1\.sub\.(\d+)\.(weight|bias)$")
_NUMBERED_OTHER = re.compile(r"model\.(\d+)\.(weight|bias)$")
_NAMED_BLOCK = re.compile(r"RRDB_trunk\.(\d+)\.RDB([123])\.(conv[1-5])\.(weight|bias)$")


def _from_numbered(name: str) -> str:
    if match := _NUMBERED_BLOCK.match(name):
        block, dense, conv, kind = match.groups()
        return f"body.{block}.rdb{dense}.conv{conv}.{kind}"
    if match := _NUMBERED_TRUNK.match(name):
        return f"conv_body.{match.group(2)}"
    match = _NUMBERED_OTHER.match(name)
    if match and match.group(1) in _NUMBERED:
        return f"{_NUMBERED[match.group(1)]}.{match.group(2)}"
    raise CheckpointError(
        f"weights: an old ESRGAN model with {shown(name)}, which no x4 RRDBNet has; only the plain "
        "x4 form can be read"
    )


def _from_named(name: str) -> str:
    if match := _NAMED_BLOCK.match(name):
        block, dense, conv, kind = match.groups()
        return f"body.{block}.rdb{dense}.{conv}.{kind}"
    stem, _, kind = name.rpartition(".")
    return f"{_TRUNK.get(stem, stem)}.{kind}"


def modern_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename both old ESRGAN forms (`model.1.sub.0...`, `RRDB_trunk.0...`); others pass through.

    Raises:
        CheckpointError: For an old model with layers today's RRDBNet lacks.
    """
    if "model.0.weight" in tensors and any(name.startswith("model.1.sub.") for name in tensors):
        return {_from_numbered(name): tensor for name, tensor in tensors.items()}
    if any(name.startswith("RRDB_trunk.") for name in tensors):
        return {_from_named(name): tensor for name, tensor in tensors.items()}
    return dict(tensors)


_NUMBER = "0|[1-9][0-9]{0,5}"
"""Of a layer. A longer one belongs to no network, and Python does not read one of 5,000 digits."""

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "RRDBNet": RRDBNet,
    "SPAN": SPAN,
    "SRVGGNetCompact": SRVGGNetCompact,
}


@dataclass(frozen=True)
class Architecture:
    """Which network weights belong to; as text, in words for messages.

    Attributes:
        name: A key of `ARCHITECTURES`.
        scale: Output pixels per input pixel, each way.
        kwargs: Arguments of its class.
    """

    name: str
    scale: int
    kwargs: dict[str, Any]

    @property
    def tensor_count(self) -> int:
        """How many tensors the network has."""
        if self.name == "RRDBNet":
            return 2 * (6 + 15 * int(self.kwargs["num_block"]))
        if self.name == "SPAN":
            return 2 * (2 + 5 * (2 + 3 * BLOCKS)) + (0 if self.kwargs["norm"] else 1)
        convolutions = int(self.kwargs["num_conv"]) + 2
        slopes = convolutions - 1 if self.kwargs["act_type"] == "prelu" else 0
        return 2 * convolutions + slopes

    def build(self) -> nn.Module:
        """Make the network with fresh weights."""
        return ARCHITECTURES[self.name](**self.kwargs)

    @property
    def _kind(self) -> str:
        """The name with an article, and the channels of its pictures where they are not RGB."""
        channels = int(self.kwargs["num_in_ch"])
        if channels == 1:
            return f"a grey {self.name}"
        of = "" if channels == 3 else f" of {channels} channels"
        return f"{'a' if self.name == 'SPAN' else 'an'} {self.name}{of}"

    def __str__(self) -> str:
        sizes, kind = self.kwargs, self._kind
        if self.name == "RRDBNet":
            return (
                f"{kind} x{self.scale} with {sizes['num_feat']} features, {sizes['num_block']} "
                f"blocks and growth {sizes['num_grow_ch']}"
            )
        if self.name == "SPAN":
            norm = "" if sizes["norm"] else ", without a mean that is taken off (norm)"
            return f"{kind} x{self.scale} with {sizes['feature_channels']} features{norm}"
        return (
            f"{kind} x{self.scale} with {sizes['num_feat']} features and "
            f"{sizes['num_conv']} convolutions ({sizes['act_type']})"
        )


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights, on the CPU, in evaluation mode."""

    network: nn.Module
    architecture: Architecture
    metadata: dict[str, str] = field(default_factory=dict)


def _size(tensors: Mapping[str, Tensor], name: str, dim: int) -> int:
    tensor = tensors.get(name)
    if tensor is None or tensor.dim() <= dim:
        raise CheckpointError(f"weights: {name} is missing or has too few dimensions")
    return int(tensor.shape[dim])


def _last(tensors: Mapping[str, Tensor], pattern: str, step: int) -> int:
    """Highest number (the group of `pattern`) of a layer, -1 for none.

    The layers before it must be there, too, of those without tensors only every `step`-th: what is
    built has then at most as many layers as the file has tensors.
    """
    found = {int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name))}
    last = max(found, default=-1)
    if last // step + 1 > len(found) or not found.issuperset(range(0, last + 1, step)):
        raise CheckpointError(
            f"weights: there is a layer body.{last}, but only {len(found)} layers up to it"
        )
    return last


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
        "num_block": _last(tensors, rf"body\.({_NUMBER})\.rdb1\.conv1\.weight", 1) + 1,
        "num_grow_ch": _size(tensors, "body.0.rdb1.conv1.weight", 0),
    }
    return Architecture("RRDBNet", scale, kwargs)


def _srvgg(tensors: Mapping[str, Tensor], act_type: str | None) -> Architecture:
    last = _last(tensors, rf"body\.({_NUMBER})\.weight", 2)
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
            "weights: a compact network without PReLU; its tensors do not say whether it has ReLU "
            "or LeakyReLU: give --act-type relu or --act-type leakyrelu (in Python: "
            'act_type="relu" or act_type="leakyrelu")'
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


def _span(tensors: Mapping[str, Tensor]) -> Architecture:
    num_in_ch = _size(tensors, "conv_1.sk.weight", 1)
    channels = _size(tensors, "upsampler.0.weight", 0)
    upscale = round((channels / num_in_ch) ** 0.5)
    if upscale < 1 or upscale**2 * num_in_ch != channels:
        raise CheckpointError(
            f"weights: a SPAN from {num_in_ch} to {channels} channels has no whole scale"
        )
    norm = "no_norm" not in tensors
    if norm and num_in_ch != len(RGB_MEAN):
        raise CheckpointError(
            f"weights: a SPAN that takes a mean off has 3 channels, this one {num_in_ch}"
        )
    kwargs = {
        "num_in_ch": num_in_ch,
        "num_out_ch": num_in_ch,
        "feature_channels": _size(tensors, "conv_1.sk.weight", 0),
        "upscale": upscale,
        "norm": norm,
    }
    return Architecture("SPAN", upscale, kwargs)


def deduce_architecture(
    state_dict: Mapping[str, Tensor], act_type: str | None = None
) -> Architecture:
    """Tell which network a state dict, under modern or old ESRGAN names, belongs to.

    `act_type` is the activation of a compact network without PReLU; the tensors do not tell.

    Raises:
        CheckpointError: If it is no RRDBNet, no SRVGGNetCompact and no SPAN.
    """
    tensors = modern_names(state_dict)
    if "conv_first.weight" in tensors and "body.0.rdb1.conv1.weight" in tensors:
        return _rrdbnet(tensors)
    if "body.0.weight" in tensors:
        return _srvgg(tensors, act_type)
    if "conv_1.sk.weight" in tensors:
        return _span(tensors)
    if "conv0.weight" in tensors and "conv1.weight_orig" in tensors:
        raise CheckpointError(
            "weights: this is a discriminator (UNetDiscriminatorSN), which makes no pictures; give "
            "the generator's checkpoint (net_g)"
        )
    sample = ", ".join(shown(name) for name in list(tensors)[:4]) or "nothing"
    raise CheckpointError(
        f"weights: neither an RRDBNet nor an SRVGGNetCompact nor a SPAN (found {sample}, ...)"
    )


def check_names(architecture: Architecture, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Check that tensors, under modern names, are those of an architecture.

    Returns:
        The network on PyTorch's meta device: shapes without content.

    Raises:
        CheckpointError: If a tensor is missing, of another shape, or one too many.
    """
    name = architecture.name
    if architecture.tensor_count > 2 * len(tensors):
        raise CheckpointError(
            f"weights: looks like an {name} of {architecture.tensor_count} tensors, but has "
            f"{len(tensors)}"
        )
    with torch.device("meta"):
        network = architecture.build()
    expected = network.state_dict()
    missing, extra = sorted(expected.keys() - tensors), sorted(tensors.keys() - expected)
    if missing or extra:
        what = [
            f"{side} {', '.join(shown(key) for key in keys[:3])}{', ...' * (len(keys) > 3)}"
            for side, keys in (("lacks", missing), ("has unknown", extra))
            if keys
        ]
        raise CheckpointError(f"weights: looks like an {name} but {' and '.join(what)}")
    for key, tensor in expected.items():
        if tensors[key].shape != tensor.shape:
            raise CheckpointError(
                f"weights: {key} has shape {tuple(tensors[key].shape)}, this {name} needs "
                f"{tuple(tensor.shape)}"
            )
    return network


def _check_values(tensors: Mapping[str, Tensor]) -> None:
    require_floats(tensors, tensors)
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor.float()).all()):
            raise CheckpointError(f"weights: {key} holds NaN or infinity; the training diverged")


def network_of(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], act_type: str | None = None
) -> LoadedNetwork:
    """Make the network of what `read_tensors` returned, in float32, with copies of the tensors.

    `act_type` is a compact network's activation, where neither tensors nor metadata tell it.

    Raises:
        CheckpointError: If it is no such network.
    """
    architecture = deduce_architecture(tensors, _stored_activation(metadata) or act_type)
    tensors = modern_names(tensors)
    network = check_names(architecture, tensors)
    _check_values(tensors)
    state = {
        name: tensor.to(torch.float32, copy=True).contiguous() for name, tensor in tensors.items()
    }
    network.load_state_dict(state, assign=True)
    return LoadedNetwork(network.eval(), architecture, dict(metadata))


def check_activation(loaded: LoadedNetwork, act_type: str | None) -> None:
    """Refuse an activation that was asked for where the file tells another.

    Raises:
        CheckpointError: Naming both.
    """
    found = loaded.architecture.kwargs.get("act_type")
    if act_type in (None, found):
        return
    if found is None:
        raise CheckpointError(
            f"weights: --act-type {act_type} is for compact networks; the activation of an "
            f"{loaded.architecture.name} is fixed: leave the option out"
        )
    raise CheckpointError(
        f"weights: --act-type {act_type} was given, but the file says {found}: leave the option out"
    )


def load_network(path: Path, act_type: str | None = None) -> LoadedNetwork:
    """Read a generator from a `.pth` or `.safetensors` file.

    The weights are bare or under one of `checkpoint_file.GROUPS`, under modern or old ESRGAN names,
    in any floating-point type. See `network_of`.

    Raises:
        CheckpointError: If the file is damaged, would run code, or is no such network.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path)
    with naming(path):
        return network_of(tensors, metadata, act_type)


def load_checked(path: Path, act_type: str | None) -> LoadedNetwork:
    """Read a generator, as `load_network`, but refuse an activation that the file contradicts.

    Raises:
        CheckpointError: As `load_network` and `check_activation`.
    """
    loaded = load_network(path, act_type)
    with naming(path):
        check_activation(loaded, act_type)
    return loaded


def _stored_activation(metadata: Mapping[str, str]) -> str | None:
    """The activation in the metadata that `save_network` writes; None where there is none."""
    try:
        kwargs = json.loads(metadata.get("kwargs", "{}"))
    except (ValueError, RecursionError):  # not JSON, a number too long, or nested too deep
        return None
    found = kwargs.get("act_type") if isinstance(kwargs, dict) else None
    return found if found in ACTIVATIONS else None


def save_network(path: Path, network: nn.Module, metadata: Mapping[str, str] | None = None) -> None:
    """Write a generator's weights as `write_tensors` does, its architecture in the metadata.

    Raises:
        CheckpointError: For another kind of network, non-finite weights or another suffix.
    """
    tensors = network.state_dict()
    architecture = deduce_architecture(tensors, getattr(network, "act_type", None))
    check_names(architecture, tensors)
    _check_values(tensors)
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
    """Mix two state dicts: (1 - alpha) * a + alpha * b, alpha 0..1 (Wang et al., 2019).

    Raises:
        CheckpointError: If names or shapes differ.
        ValueError: If alpha is outside 0..1.
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
