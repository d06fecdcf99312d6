"""A small SRVGGNetCompact in ncnn form with random weights, for tests of files."""

from pathlib import Path

import numpy as np

from realesrgan_vk.models.ncnn.param import Graph, Layer, format_graph
from realesrgan_vk.models.ncnn.weights import LayerWeights, format_weights


def conv(name: str, blobs: tuple[str, str], inputs: int, outputs: int) -> Layer:
    count = outputs * inputs * 9
    return Layer(
        "Convolution", name, [blobs[0]], [blobs[1]], {0: outputs, 1: 3, 4: 1, 5: 1, 6: count}
    )


def compact_graph(features: int = 8, scale: int = 2) -> Graph:
    return Graph(
        [
            Layer("Input", "in", [], ["data"]),
            Layer("Split", "split", ["data"], ["skip", "first"]),
            conv("conv0", ("first", "a"), 3, features),
            Layer("PReLU", "prelu0", ["a"], ["b"], {0: features}),
            conv("conv1", ("b", "c"), features, 3 * scale**2),
            Layer("PixelShuffle", "shuffle", ["c"], ["d"], {0: scale}),
            Layer("Interp", "grow", ["skip"], ["e"], {0: 1, 1: float(scale), 2: float(scale)}),
            Layer("BinaryOp", "add", ["d", "e"], ["output"], {0: 0}),
        ]
    )


def random_weights(graph: Graph, seed: int, *, fp16: bool = True) -> dict[str, LayerWeights]:
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in graph:
        if layer.type == "PReLU":
            slopes = rng.uniform(0.1, 0.5, layer.integer(0)).astype(np.float32)
            weights[layer.name] = LayerWeights(slopes)
        if layer.type == "Convolution":
            shape = (layer.integer(0), layer.integer(6) // layer.integer(0) // 9, 3, 3)
            kernel = rng.normal(0, 0.08, shape).astype(np.float16 if fp16 else np.float32)
            bias = rng.normal(0, 0.02, shape[0]).astype(np.float32)
            weights[layer.name] = LayerWeights(kernel.astype(np.float32), bias, fp16)
    return weights


def write_compact(
    folder: Path, name: str, seed: int = 0, features: int = 8, *, scale: int = 2, fp16: bool = True
) -> Path:
    graph = compact_graph(features, scale)
    folder.mkdir(parents=True, exist_ok=True)
    param = folder / f"{name}.param"
    param.write_text(format_graph(graph), "utf-8")
    weights = format_weights(graph, random_weights(graph, seed, fp16=fp16))
    param.with_suffix(".bin").write_bytes(weights)
    return param
