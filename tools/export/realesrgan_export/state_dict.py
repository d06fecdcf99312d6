"""Which tensor of a PyTorch network each layer of an ncnn graph holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from realesrgan_export.errors import ExportError
from realesrgan_export.fold import unfold_kernel
from realesrgan_export.tidy import LEAKY_RELU, RELU
from realesrgan_vk.models.ncnn.param import Graph, Layer
from realesrgan_vk.models.ncnn.weights import LayerWeights

DENSE_CONVS = 5
DENSE_BLOCKS = 3
RRDB_CONVS = DENSE_CONVS * DENSE_BLOCKS
TRUNK = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
COMPACT_SLOPE = 0.1


@dataclass(frozen=True)
class Recovered:
    """Tensors under PyTorch's names.

    Attributes:
        state: float32 arrays by name.
        act_type: Activation of a compact network, None for an RRDBNet.
        fp16: Whether the convolutions were stored in 16 bits.
    """

    state: dict[str, NDArray[np.float32]]
    act_type: str | None
    fp16: bool


def recovered_state(graph: Graph, weights: Mapping[str, LayerWeights]) -> Recovered:
    """Give each convolution and PReLU of a graph its PyTorch name, by their order.

    That the layers are also connected like the network is proved afterwards, by running both.

    Raises:
        ExportError: If it is neither.
    """
    convs = [layer for layer in graph if layer.type == "Convolution"]
    if len(convs) < 2:
        raise ExportError(f"has {len(convs)} convolutions; no RRDBNet or SRVGGNetCompact has")
    fp16 = all(weights[layer.name].fp16 for layer in convs)
    kinds = {layer.type for layer in graph}
    if "Concat" in kinds:
        return Recovered(_rrdbnet(graph, convs, weights), None, fp16)
    if "PixelShuffle" in kinds:
        state, act_type = _compact(graph, convs, weights)
        return Recovered(state, act_type, fp16)
    raise ExportError("is neither an RRDBNet (no Concat) nor an SRVGGNetCompact (no PixelShuffle)")


def _put(state: dict[str, NDArray[np.float32]], name: str, kept: LayerWeights) -> None:
    if kept.bias is None:
        raise ExportError(f"{name} has no bias, the network's convolutions have one")
    state[f"{name}.weight"], state[f"{name}.bias"] = kept.weight, kept.bias


def _rrdbnet(
    graph: Graph, convs: list[Layer], weights: Mapping[str, LayerWeights]
) -> dict[str, NDArray[np.float32]]:
    blocks, rest = divmod(len(convs) - 1 - len(TRUNK), RRDB_CONVS)
    if rest or blocks < 1:
        raise ExportError(f"has {len(convs)} convolutions; an RRDBNet has 6 + 15 for each block")
    names = [
        f"body.{block}.rdb{dense}.conv{conv}"
        for block in range(blocks)
        for dense in range(1, DENSE_BLOCKS + 1)
        for conv in range(1, DENSE_CONVS + 1)
    ]
    state: dict[str, NDArray[np.float32]] = {}
    for name, layer in zip(["conv_first", *names, *TRUNK], convs, strict=True):
        _put(state, name, weights[layer.name])
    state["conv_first.weight"] = _unfolded(convs[0], state["conv_first.weight"])
    if any(layer.type == "Reorg" and layer.integer(1) != 0 for layer in graph):
        raise ExportError("unshuffles pixels in another order than PyTorch (Reorg mode 1)")
    return state


def _unfolded(conv: Layer, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    factor = conv.integer(3, 1)
    if factor == 1:
        return kernel
    if kernel.shape[2:] != (3 * factor, 3 * factor) or conv.integer(4) != factor:
        raise ExportError(
            f"{conv.name} has stride {factor}, kernel {kernel.shape[2]} and padding "
            f"{conv.integer(4)}; a folded pixel-unshuffle has {factor}, {3 * factor} and {factor}"
        )
    return unfold_kernel(torch.from_numpy(kernel), factor).contiguous().numpy()


def _compact(
    graph: Graph, convs: list[Layer], weights: Mapping[str, LayerWeights]
) -> tuple[dict[str, NDArray[np.float32]], str]:
    state: dict[str, NDArray[np.float32]] = {}
    for i, layer in enumerate(convs):
        _put(state, f"body.{2 * i}", weights[layer.name])
    slopes = [layer for layer in graph if layer.type == "PReLU"]
    if slopes:
        if len(slopes) != len(convs) - 1:
            raise ExportError(f"has {len(slopes)} PReLUs for {len(convs)} convolutions")
        for i, layer in enumerate(slopes):
            features = convs[i].integer(0)
            kept = weights[layer.name].weight
            if kept.size not in (1, features):
                raise ExportError(
                    f"{layer.name} has {kept.size} slopes for {features} channels; a PReLU has one "
                    "or as many"
                )
            state[f"body.{2 * i + 1}.weight"] = np.ascontiguousarray(
                np.broadcast_to(kept, (features,))
            )
        return state, "prelu"
    return state, _activation(graph, convs)


def _activation(graph: Graph, convs: list[Layer]) -> str:
    """Tell ReLU from LeakyReLU, inside the convolutions or as layers of their own."""
    apart = [layer.number(0) for layer in graph if layer.type == "ReLU"]
    fused = [_fused_slope(layer) for layer in convs if layer.integer(9) in (RELU, LEAKY_RELU)]
    slopes = set(apart + fused)
    if len(apart + fused) != len(convs) - 1 or len(slopes) != 1:
        raise ExportError(
            "does not have one kind of activation after every convolution but the last"
        )
    slope = slopes.pop()
    if slope == 0:
        return "relu"
    if abs(slope - COMPACT_SLOPE) < 1e-6:
        return "leakyrelu"
    raise ExportError(f"has LeakyReLUs of slope {slope:g}; an SRVGGNetCompact has {COMPACT_SLOPE}")


def _fused_slope(conv: Layer) -> float:
    if conv.integer(9) == RELU:
        return 0.0
    slopes = conv.numbers(10)
    if len(slopes) != 1:
        raise ExportError(f"{conv.name} has a LeakyReLU with {len(slopes)} slopes instead of one")
    return slopes[0]
