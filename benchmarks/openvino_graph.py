"""The official networks' .param and .bin files as OpenVINO graphs, for comparisons."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import Node
from openvino import opset13 as ops

HALF_TAG = 0x01306B47


class WeightReader:
    """Walks through a .bin file layer by layer."""

    def __init__(self, path: Path) -> None:
        self._bytes = path.read_bytes()
        self._at = 0

    def kernel(self, count: int) -> NDArray[np.float32]:
        """A tagged tensor: fp16 padded to 4 bytes, or fp32."""
        tag = int(np.frombuffer(self._bytes, np.uint32, 1, self._at)[0])
        self._at += 4
        if tag != HALF_TAG:
            return self.bare(count)
        values = np.frombuffer(self._bytes, np.float16, count, self._at)
        self._at += (count * 2 + 3) // 4 * 4
        return values.astype(np.float32)

    def bare(self, count: int) -> NDArray[np.float32]:
        """fp32 values without a tag."""
        values = np.frombuffer(self._bytes, np.float32, count, self._at)
        self._at += 4 * count
        return values


def _parameters(words: list[str]) -> dict[int, Any]:
    values: dict[int, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        number = int(key)
        if number <= -23300:
            values[-23300 - number] = [float(part) for part in value.split(",")[1:]]
        else:
            values[number] = float(value)
    return values


def _enlarged(node: Node, factor: float, kind: int) -> Node:
    mode = {1: "nearest", 2: "linear_onnx", 3: "cubic"}[kind]
    return ops.interpolate(
        node,
        np.array([factor, factor], np.float32),
        mode=mode,
        shape_calculation_mode="scales",
        axes=np.array([2, 3]),
        coordinate_transformation_mode="asymmetric" if kind == 1 else "half_pixel",
        nearest_mode="floor",
        cube_coeff=-0.75,
    )


def _convolution(node: Node, params: dict[int, Any], weights: WeightReader) -> Node:
    outputs, size, count = int(params[0]), int(params[1]), int(params[6])
    kernel = weights.kernel(count).reshape(outputs, -1, size, size)
    bias = weights.bare(outputs).reshape(1, -1, 1, 1)
    pad = [int(params[4])] * 2
    node = ops.convolution(node, ops.constant(kernel), [1, 1], pad, pad, [1, 1])
    node = ops.add(node, ops.constant(bias))
    return ops.prelu(node, np.array(params.get(10, [0.0]), np.float32)) if 9 in params else node


def _sum(inputs: list[Node], params: dict[int, Any]) -> Node:
    first, second = (np.float32(value) for value in params.get(1, [1.0, 1.0]))
    scaled = ops.multiply(inputs[0], ops.constant(first))
    return ops.add(scaled, ops.multiply(inputs[1], ops.constant(second)))


def _layer(kind: str, inputs: list[Node], params: dict[int, Any], weights: WeightReader) -> Node:
    make = {
        "Convolution": lambda: _convolution(inputs[0], params, weights),
        "PReLU": lambda: ops.prelu(inputs[0], weights.bare(int(params[0]))),
        "Concat": lambda: ops.concat(inputs, 1),
        "Eltwise": lambda: _sum(inputs, params),
        "BinaryOp": lambda: ops.add(inputs[0], inputs[1]),
        "PixelShuffle": lambda: ops.depth_to_space(inputs[0], "depth_first", int(params[0])),
        "Interp": lambda: _enlarged(inputs[0], params[1], int(params[0])),
    }
    if kind not in make:
        raise ValueError(f"no translation of {kind}")
    return make[kind]()


def compile_network(
    param: Path, weights: Path, size: tuple[int, ...], threads: int
) -> ov.CompiledModel:
    """A compiled OpenVINO network in fp32 for pictures of `size` (height, width)."""
    reader = WeightReader(weights)
    blobs: dict[str, Node] = {}
    node: Node
    source: Node
    for line in param.read_text().splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        names, results = rest[: int(inputs)], rest[int(inputs) :][: int(outputs)]
        params = _parameters(rest[int(inputs) + int(outputs) :])
        if kind == "Input":
            node = source = ops.parameter([1, 3, *size], np.float32)
        elif kind == "Split":
            node = blobs[names[0]]
        else:
            node = _layer(kind, [blobs[name] for name in names], params, reader)
        blobs.update(dict.fromkeys(results, node))
    model = ov.Model([node], [source])
    hints = {"INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": "f32"}
    return ov.Core().compile_model(model, "CPU", hints)
