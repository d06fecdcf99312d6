"""A network of an ncnn `.param` and `.bin` as a PyTorch module: equal weights for every engine."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from realesrgan_vk.models.ncnn.param import Layer, read_graph
from realesrgan_vk.models.ncnn.weights import read_weights

NEAREST, BILINEAR, BICUBIC = 1, 2, 3
MODES = {NEAREST: "nearest", BILINEAR: "bilinear", BICUBIC: "bicubic"}
PRODUCT, SUM = 0, 1
ADD, MULTIPLY = 0, 2
NO_ACTIVATION, RELU, LEAKY_RELU = 0, 1, 2


def _key(layer: str, part: str) -> str:
    return f"{layer.replace('.', '/')}/{part}"  # PyTorch allows no dots in a parameter's name


class TorchGraph(nn.Module):
    """Runs the layers of RRDBNet and SRVGGNetCompact graphs in the file's order.

    Maps [batch, channels, height, width] to [batch, channels, scale * height, scale * width],
    values 0..1.
    """

    def __init__(self, param: Path) -> None:
        """Read the graph and the weights beside it.

        Raises:
            ModelError: if a file is damaged.
            ValueError: if the graph has a layer that is not known here.
        """
        super().__init__()
        self.graph = read_graph(param)
        self.weights = nn.ParameterDict()
        for name, kept in read_weights(self.graph, param.with_suffix(".bin")).items():
            self.weights[_key(name, "weight")] = nn.Parameter(torch.from_numpy(kept.weight))
            if kept.bias is not None:
                self.weights[_key(name, "bias")] = nn.Parameter(torch.from_numpy(kept.bias))
        self.requires_grad_(False)

    def forward(self, picture: Tensor) -> Tensor:
        """Run the network, forgetting every tensor after its last reader as an engine would."""
        last = {blob: i for i, layer in enumerate(self.graph) for blob in layer.inputs}
        blobs: dict[str, Tensor] = {}
        for i, layer in enumerate(self.graph):
            inputs = [picture] if layer.type == "Input" else [blobs[name] for name in layer.inputs]
            for name in layer.inputs:
                if last[name] == i:
                    del blobs[name]
            result = self._run(layer, inputs)
            blobs.update(dict.fromkeys(layer.outputs, result))
        return blobs[self.graph.output]

    def conv2d(
        self, picture: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        """One convolution; a subclass may compute it in another form."""
        return functional.conv2d(picture, weight, bias, stride, padding)

    def combine(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        """A sum or product of two tensors or of one with a number; as `conv2d`, to be replaced."""
        return _combine(layer, inputs)

    def _run(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        first = inputs[0]
        runs: dict[str, Callable[[], Tensor]] = {
            "Input": lambda: first,
            "Split": lambda: first,
            "Convolution": lambda: self._convolve(layer, first),
            "PReLU": lambda: functional.prelu(first, self.weights[_key(layer.name, "weight")]),
            "ReLU": lambda: functional.leaky_relu(first, layer.number(0)),
            "Concat": lambda: torch.cat(inputs, 1),
            "PixelShuffle": lambda: functional.pixel_shuffle(first, layer.integer(0)),
            "Interp": lambda: _resize(layer, first),
            "Eltwise": lambda: self.combine(layer, inputs),
            "BinaryOp": lambda: self.combine(layer, inputs),
        }
        if layer.type not in runs:
            raise ValueError(f"layer {layer.name}: type {layer.type} is not known here")
        return runs[layer.type]()

    def _convolve(self, layer: Layer, picture: Tensor) -> Tensor:
        weight = self.weights[_key(layer.name, "weight")]
        bias = self.weights[_key(layer.name, "bias")]
        stride = layer.integer(3, 1)
        result = self.conv2d(picture, weight, bias, stride, layer.integer(4))
        activation = layer.integer(9, NO_ACTIVATION)
        if activation == NO_ACTIVATION:
            return result
        slope = layer.numbers(10)[0] if activation == LEAKY_RELU else 0.0
        return functional.leaky_relu(result, slope)


def _resize(layer: Layer, picture: Tensor) -> Tensor:
    scale = layer.number(1, 1.0)
    mode = MODES[layer.integer(0)]
    corners = None if mode == "nearest" else False
    return functional.interpolate(picture, scale_factor=scale, mode=mode, align_corners=corners)


def _combine(layer: Layer, inputs: list[Tensor]) -> Tensor:
    kind = layer.integer(0)
    if layer.type == "BinaryOp" and layer.integer(1):
        scalar = layer.number(2)
        if kind == MULTIPLY:
            return inputs[0] * scalar
        if kind == ADD:
            return inputs[0] + scalar
    elif layer.type == "BinaryOp" and kind == ADD:
        return inputs[0] + inputs[1]
    elif layer.type == "Eltwise" and kind == SUM:
        weights = layer.numbers(1) or (1.0,) * len(inputs)
        total = inputs[0] * weights[0]
        for tensor, weight in zip(inputs[1:], weights[1:], strict=True):
            total = total + tensor * weight
        return total
    raise ValueError(f"layer {layer.name}: {layer.type} of kind {kind} is not known here")
