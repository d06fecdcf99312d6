"""PyTorch checkpoints to the two files of an ncnn network: Real-ESRGAN's two, and GFPGAN's.

The result is what `realesrgan-export` writes, byte for byte. RRDBNet: Wang et al., "ESRGAN" (ECCV
workshops 2018) and "Real-ESRGAN" (ICCV workshops 2021); SRVGGNetCompact: the small network of
Real-ESRGAN's general and video models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.models.face_network import convert_face_network, is_face_network
from realesrgan_vk.models.names import escaped
from realesrgan_vk.models.ncnn.param import ParamValue, format_graph
from realesrgan_vk.models.ncnn.weights import LayerWeights, format_weights
from realesrgan_vk.models.network_builder import (
    LARGEST_FP16,
    Array,
    Builder,
    ConvertedNetwork,
    Tensors,
)
from realesrgan_vk.models.torch_file import OtherFileError, read_tensors

_LEAKY_RELU = 2
_NEAREST = 1
_SUM = 1
_SLOPE = 0.2
_RESIDUAL = 0.2
_TRUNK = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
_UNSHUFFLES = {1: 1, 4: 2, 16: 4}
"""RRDBNet: the factor of the pixel-unshuffle, by input channels of the body and of the picture."""


class ForeignNetworkError(ModelError):
    """The tensors are those of a network that is not converted here."""


def convert_checkpoint(checkpoint: Path, folder: Path, name: str) -> dict[str, Any]:
    """Write `NAME.param` and `NAME.bin` into a folder.

    Args:
        checkpoint: A `.pth` of an RRDBNet or an SRVGGNetCompact.
        folder: Where to; there already.
        name: Of the network.

    Returns:
        The network's entry for the manifest of the folder.

    Raises:
        ForeignNetworkError: The file holds another network, or more than a network.
        ModelError: The file is no checkpoint, or a damaged one.
        OSError: The folder cannot be written.
    """
    try:
        network = convert_network(read_tensors(checkpoint))
    except OtherFileError as error:
        raise ForeignNetworkError(f"{checkpoint.name} cannot be converted: {error}") from error
    except ModelError as error:
        raise type(error)(f"{checkpoint.name} cannot be converted: {error}") from error
    param, weights = folder / f"{name}.param", folder / f"{name}.bin"
    param.write_text(format_graph(network.graph), "utf-8")
    weights.write_bytes(format_weights(network.graph, network.weights))
    return {
        "name": name,
        "architecture": network.architecture,
        "files": {
            kind: {"file": path.name, "sha256": file_sha256(path)}
            for kind, path in (("param", param), ("bin", weights))
        },
        "origin": f"converted from {checkpoint.name}",
        "source": {"file": checkpoint.name, "sha256": file_sha256(checkpoint)},
    }


def convert_network(tensors: Mapping[str, Array]) -> ConvertedNetwork:
    """Convert an RRDBNet (x1, x2, x4) or an SRVGGNetCompact with PReLU.

    Args:
        tensors: By PyTorch's names; convolutions [out, in, height, width].

    Raises:
        ForeignNetworkError: They are those of another network.
        ModelError: A tensor is missing, left over or has a shape that does not fit, or a value is
            not finite.
    """
    build: Callable[[Tensors], ConvertedNetwork]
    if is_face_network(tensors):
        build = convert_face_network
    elif "conv_first.weight" in tensors and "body.0.rdb1.conv1.weight" in tensors:
        build = _rrdbnet
    elif "body.0.weight" in tensors and "body.1.weight" in tensors:
        build = _compact
    else:
        found = ", ".join(escaped(name) for name in list(tensors)[:4])
        raise ForeignNetworkError(
            f"neither an RRDBNet nor an SRVGGNetCompact with PReLU (found {found})"
        )
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ModelError(f"{escaped(name)} has values that are not finite")
    return build(Tensors(tensors))


class _Builder(Builder):
    """With the layers of these two architectures."""

    def convolution(  # noqa: PLR0917 - read like a layer's line
        self,
        source: str,
        name: str,
        inputs: int,
        outputs: int,
        slope: float = 0.0,
        unshuffle: int = 1,
    ) -> str:
        """Add a 3x3 convolution with bias, and a LeakyReLU if it has a slope.

        A pixel-unshuffle before it is folded into it: a kernel of 3r with stride and padding r.
        """
        kernel = self.tensors.take(f"{name}.weight", outputs, inputs * unshuffle**2, 3, 3)
        bias = self.tensors.take(f"{name}.bias", outputs)
        if unshuffle > 1:
            kernel = _folded(kernel, unshuffle)
        side, step = 3 * unshuffle, unshuffle
        params: dict[int, ParamValue] = {
            0: outputs, 1: side, 2: 1, 3: step, 4: step, 5: 1, 6: kernel.size,
            11: side, 12: 1, 13: step, 14: step,
        }  # fmt: skip
        if slope:
            params |= {9: _LEAKY_RELU, 10: (slope,)}
        output = self.add("Convolution", [source], params)
        self.weights[self.last] = LayerWeights(kernel, bias)
        return output

    def prelu(self, source: str, name: str, channels: int) -> str:
        output = self.add("PReLU", [source], {0: channels})
        slopes = self.tensors.take(f"{name}.weight", channels)
        self.weights[self.last] = LayerWeights(slopes)
        return output

    def residual(self, block: str, skip: str) -> str:
        return self.add("Eltwise", [block, skip], {0: _SUM, 1: (_RESIDUAL, 1.0)})

    def enlarge(self, source: str, factor: int) -> str:
        return self.add("Interp", [source], {0: _NEAREST, 1: float(factor), 2: float(factor), 6: 0})

    def finish(self, architecture: str, scale: int) -> ConvertedNetwork:
        """Store the weights in 16 bits if none is too large for them."""
        kernels = [kept.weight for kept in self.weights.values() if kept.bias is not None]
        fp16 = all(np.abs(kernel).max() <= LARGEST_FP16 for kernel in kernels)
        self.weights = {
            name: LayerWeights(kept.weight, kept.bias, fp16) for name, kept in self.weights.items()
        }
        return self.network(architecture, scale)


def _rrdbnet(tensors: Tensors) -> ConvertedNetwork:
    features, body_inputs = tensors.shape("conv_first.weight", 4)[:2]
    channels = tensors.shape("conv_last.weight", 4)[0]
    growth = tensors.shape("body.0.rdb1.conv1.weight", 4)[0]
    unshuffle = _UNSHUFFLES.get(body_inputs // channels, 0)
    if body_inputs != channels * unshuffle**2:
        raise ModelError(
            f"conv_first reads {body_inputs} channels and conv_last writes {channels}; an RRDBNet "
            "of x4, x2 or x1 reads as many, 4 or 16 times as many"
        )
    to = _Builder(tensors)
    first = to.convolution("data", "conv_first", channels, features, unshuffle=unshuffle)
    source, blocks = first, 0
    while f"body.{blocks}.rdb1.conv1.weight" in tensors:
        block = source
        for dense in (1, 2, 3):
            block = _dense_block(to, block, f"body.{blocks}.rdb{dense}", features, growth)
        source = to.residual(block, source)
        blocks += 1
    body, up1, up2, high, last = _TRUNK
    source = to.convolution(source, body, features, features)
    source = to.add("BinaryOp", [first, source], {0: 0})
    for name in (up1, up2):
        source = to.convolution(to.enlarge(source, 2), name, features, features, _SLOPE)
    source = to.convolution(source, high, features, features, _SLOPE)
    to.convolution(source, last, features, channels)
    words = f"RRDBNet, {blocks} block{'s' * (blocks > 1)}, {features} features"
    return to.finish(words, 4 // unshuffle)


def _dense_block(to: _Builder, source: str, name: str, features: int, growth: int) -> str:
    """Five convolutions; each reads the block's input and all outputs before it."""
    parts, joined = [source], source
    for number in range(4):
        inputs = features + number * growth
        made = to.convolution(joined, f"{name}.conv{number + 1}", inputs, growth, _SLOPE)
        parts.append(made)
        joined = to.add("Concat", list(parts), {0: 0})
    last = to.convolution(joined, f"{name}.conv5", features + 4 * growth, features)
    return to.residual(last, source)


def _compact(tensors: Tensors) -> ConvertedNetwork:
    features, channels = tensors.shape("body.0.weight", 4)[:2]
    last = 0
    while f"body.{last + 2}.weight" in tensors:
        last += 2
    outputs = tensors.shape(f"body.{last}.weight", 4)[0]
    scale = math.isqrt(outputs // channels)
    if last < 2 or scale < 1 or outputs != channels * scale**2:
        raise ModelError(
            f"a compact network from {channels} to {outputs} channels in {last // 2 + 1} "
            "convolutions has no whole scale"
        )
    to = _Builder(tensors)
    source = to.convolution("data", "body.0", channels, features)
    for index in range(2, last + 1, 2):
        source = to.prelu(source, f"body.{index - 1}", features)
        made = outputs if index == last else features
        source = to.convolution(source, f"body.{index}", features, made)
    source = to.add("PixelShuffle", [source], {0: scale, 1: 0})
    to.add("BinaryOp", [source, to.enlarge("data", scale)], {0: 0})
    words = f"SRVGGNetCompact, {last // 2 - 1} convolutions, {features} features"
    return to.finish(words, scale)


def _folded(kernel: Array, factor: int) -> Array:
    """The kernel that reads the picture itself, where this one reads the unshuffled picture.

    Channel c * factor**2 + i * factor + j of the unshuffled picture holds row i and column j of
    each cell of channel c.
    """
    outputs, inputs, height, width = kernel.shape
    cells = kernel.reshape(outputs, inputs // factor**2, factor, factor, height, width)
    return np.ascontiguousarray(cells.transpose(0, 1, 4, 2, 5, 3)).reshape(
        outputs, inputs // factor**2, height * factor, width * factor
    )
