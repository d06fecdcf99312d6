"""What converters of PyTorch's tensors to ncnn's files have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.names import escaped
from realesrgan_vk.models.ncnn.param import Graph, Layer, ParamValue, with_splits
from realesrgan_vk.models.ncnn.weights import LayerWeights

Array = NDArray[np.float32]
LARGEST_FP16 = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class ConvertedNetwork:
    """A network in ncnn's form.

    Attributes:
        architecture: In words.
        scale: Output pixels per input pixel, each way.
        graph: The layers.
        weights: By layer name, convolutions in 16 bits where all fit.
    """

    architecture: str
    scale: int
    graph: Graph
    weights: dict[str, LayerWeights]


class Tensors:
    """Returns each tensor once, and checks its shape."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        """By PyTorch's names."""
        self._left = dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    @property
    def largest(self) -> float:
        """The largest absolute value of all."""
        return max(float(np.abs(tensor).max(initial=0)) for tensor in self._left.values())

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a tensor that has so many dimensions."""
        shape = self._left[name].shape if name in self._left else ()
        if len(shape) != dimensions:
            raise ModelError(f"{name} is missing or has not {dimensions} dimensions")
        return shape

    def take(self, name: str, *shape: int) -> Array:
        """A tensor of this shape."""
        if self.shape(name, len(shape)) != shape:
            raise ModelError(f"{name} has the shape {self._left[name].shape} instead of {shape}")
        return self._left.pop(name)

    def finish(self) -> None:
        """Refuse tensors that nothing took."""
        if self._left:
            raise ModelError(f"{escaped(next(iter(self._left)))} belongs to no layer")


class Builder:
    """Collects layers in the order they run, which also numbers the blobs."""

    def __init__(self, tensors: Tensors) -> None:
        """`tensors`: which the layers take."""
        self.tensors = tensors
        self.weights: dict[str, LayerWeights] = {}
        self._layers = [Layer("Input", "input_0", [], ["data"])]
        self._counts: dict[str, int] = {}

    def add(
        self, kind: str, inputs: list[str], params: dict[int, ParamValue], outputs: int = 1
    ) -> str:
        """Add a layer, and return the name of its output; of several, N, the others are `N_1`..."""
        number = self._counts.get(kind, 0)
        self._counts[kind] = number + 1
        name, output = f"{kind.lower()}_{number}", str(len(self._layers))
        names = [output, *(f"{output}_{number}" for number in range(1, outputs))]
        self._layers.append(Layer(kind, name, inputs, names, params))
        return output

    @property
    def last(self) -> str:
        """Name of the layer added last."""
        return self._layers[-1].name

    def network(self, architecture: str, scale: int) -> ConvertedNetwork:
        """The network whose output is that of the last layer; every tensor must have been taken."""
        self.tensors.finish()
        self._layers[-1].outputs = ["output"]
        return ConvertedNetwork(architecture, scale, with_splits(Graph(self._layers)), self.weights)
