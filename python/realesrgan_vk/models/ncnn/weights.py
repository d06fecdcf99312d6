"""An ncnn `.bin` file as NumPy arrays, for the layers super-resolution networks are made of.

Per convolution the file holds a uint32 tag, the weights [out, in, height, width] (two bytes each
and padded to four bytes under the fp16 tag, four bytes each otherwise), then float32 biases; a
PReLU is float32 slopes without a tag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.ncnn.param import Graph, Layer

TAG_FP16 = 0x01306B47
TAG_FP32 = (0, 0x0002C056)
TAG_INT8 = 0x000D4B38

# fmt: off
WEIGHTLESS = frozenset({
    "Input", "Split", "Concat", "Eltwise", "BinaryOp", "UnaryOp", "Interp", "PixelShuffle",
    "Reorg", "ReLU", "Clip", "Crop", "Sigmoid", "HardSigmoid", "HardSwish", "Mish", "GELU",
    "SiLU", "Swish", "ELU", "TanH", "Noop", "Dropout", "Reshape", "Permute", "Slice", "Pooling",
    "Flatten",
})
# fmt: on
"""Layer types without weights in the `.bin`."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer.

    Attributes:
        weight: A convolution's [out, in, height, width], an inner product's [out, in], a PReLU's
            slopes [channels], or a constant's [channels, height, width].
        bias: [out], or None.
        fp16: Whether the weights are stored in 16 bits.
    """

    weight: Array
    bias: Array | None = None
    fp16: bool = False


class _Cursor:
    """Reads arrays one after another."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int, dtype: str, what: str) -> NDArray[np.generic]:
        if count < 0:
            raise ModelError(f"{what} has {count} weights")
        size = count * np.dtype(dtype).itemsize
        if self.at + size > len(self.data):
            raise ModelError(
                f"the weights end inside {what}: {len(self.data)} bytes are too few for this "
                "network; the file is cut short or belongs to another .param"
            )
        array = np.frombuffer(self.data, dtype, count, self.at)
        self.at += -(-size // 4) * 4
        return array


def read_weights(graph: Graph, path: Path) -> dict[str, LayerWeights]:
    """Read the `.bin` that belongs to a graph.

    Returns:
        The weights as float32, by layer name, in the order of the graph.

    Raises:
        ModelError: The file is missing, too short, too long or quantised to 8 bits, or the graph
            has a layer type whose weights are not known here, or two layers of one name.
    """
    path = Path(path)
    try:
        cursor = _Cursor(path.read_bytes())
        weights: dict[str, LayerWeights] = {}
        for layer in graph:
            if layer.type in WEIGHTLESS:
                continue
            if layer.name in weights:
                raise ModelError(
                    f"two layers are called {layer.name}, so weights have no one owner"
                )
            weights[layer.name] = _read_layer(layer, cursor)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    left = len(cursor.data) - cursor.at
    if left:
        raise ModelError(f"{path}: {left} bytes are left over; it belongs to another .param")
    return weights


def format_weights(graph: Graph, weights: Mapping[str, LayerWeights]) -> bytes:
    """Return the bytes of a `.bin` file, from the weights of each layer by its name.

    Layers with weights are Convolution, InnerProduct, PReLU and MemoryData (of the type 1, which
    has no tag).
    """
    parts: list[bytes] = []
    for layer in graph:
        if layer.type in WEIGHTLESS:
            continue
        kept = weights[layer.name]
        tagged = layer.type in ("Convolution", "InnerProduct")
        fp16 = tagged and kept.fp16
        stored = kept.weight.astype("<f2" if fp16 else "<f4").tobytes()
        if tagged:
            parts.append(np.uint32(TAG_FP16 if fp16 else TAG_FP32[0]).tobytes())
        parts += [stored, b"\0" * (-len(stored) % 4)]
        if kept.bias is not None:
            parts.append(kept.bias.astype("<f4").tobytes())
    return b"".join(parts)


def _read_layer(layer: Layer, cursor: _Cursor) -> LayerWeights:
    if layer.type == "PReLU":
        return LayerWeights(_float32(cursor.take(layer.integer(0), "<f4", layer.name)))
    if layer.type == "MemoryData" and layer.integer(11) == 0 and layer.integer(21, 1) == 1:
        sizes = tuple(layer.integer(id_) for id_ in (2, 1, 0))  # channels, height, width
        if min(sizes) < 1:
            raise ModelError(f"the layer {layer.name} is no constant of three dimensions")
        values = cursor.take(math.prod(sizes), "<f4", layer.name)
        return LayerWeights(_float32(values).reshape(sizes))
    if layer.type != "Convolution":
        raise ModelError(
            f"the layer {layer.name} is of type {layer.type}; weights can be read only of networks "
            "made of Convolution, PReLU and MemoryData"
        )
    shape = convolution_shape(layer)
    count = layer.integer(6)
    tag = int(cursor.take(1, "<u4", layer.name)[0])
    if tag == TAG_INT8 or layer.integer(8):
        raise ModelError(f"{layer.name} is quantised to 8 bits; take the fp16 or fp32 network")
    if tag != TAG_FP16 and tag not in TAG_FP32:
        raise ModelError(
            f"{layer.name} starts with the unknown tag {tag:#010x}; the file is damaged or "
            "belongs to another .param"
        )
    fp16 = tag == TAG_FP16
    weight = _float32(cursor.take(count, "<f2" if fp16 else "<f4", layer.name))
    outputs = layer.integer(0)
    bias = _float32(cursor.take(outputs, "<f4", layer.name)) if layer.integer(5) else None
    return LayerWeights(weight.reshape(shape), bias, fp16)


def convolution_shape(layer: Layer) -> tuple[int, int, int, int]:
    """Return a convolution's weight shape [out, in, height, width].

    Raises:
        ModelError: The numbers of the layer do not fit together.
    """
    outputs, width = layer.integer(0), layer.integer(1)
    height = layer.integer(11, width)
    area = outputs * width * height
    inputs, rest = divmod(layer.integer(6), area) if area > 0 else (0, 1)
    if rest or inputs < 1:
        raise ModelError(
            f"layer {layer.name}: {layer.integer(6)} weights do not fill {outputs} kernels of "
            f"{width}x{height}"
        )
    return outputs, inputs, height, width


def _float32(array: NDArray[np.generic]) -> Array:
    return array.astype(np.float32)
