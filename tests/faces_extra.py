"""The extra `faces`, which some tests need, and pictures with faces."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import skimage
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.faces.detect import require_detector
from realesrgan_vk.models.ncnn.param import Graph, Layer, format_graph
from realesrgan_vk.models.ncnn.weights import LayerWeights, format_weights

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


def detector_weights() -> Path:
    """YuNet's file.

    Skips the test where it or OpenCV is missing; in CI, where the variable `CI` is set, fails it.
    """
    try:
        return require_detector()
    except ImportError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def photograph(name: str) -> Image.Image:
    """One of scikit-image's photographs, in RGB."""
    with Image.open(PHOTOGRAPHS / name) as image:
        return image.convert("RGB")


def write_sharpener(folder: Path, name: str = "sharpen") -> Path:
    """A network for faces that is one 3x3 convolution: 2 x - the mean of its neighbours."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        kernel[channel, channel] = -1 / 9
        kernel[channel, channel, 1, 1] += 2
    params = {0: 3, 1: 3, 4: 1, 5: 1, 6: kernel.size}
    graph = Graph(
        [
            Layer("Input", "input", [], ["data"]),
            Layer("Convolution", "sharpen", ["data"], ["output"], dict(params)),
        ]
    )
    path = folder / f"{name}.param"
    path.write_text(format_graph(graph), "utf-8")
    stored = {"sharpen": LayerWeights(kernel, np.zeros(3, np.float32))}
    path.with_suffix(".bin").write_bytes(format_weights(graph, stored))
    return path


def turned(image: Image.Image, degrees: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The picture turned clockwise on grey, and the matrix (2, 3) from its points to the result."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    result = image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 100, 110))
    shift = np.array(result.size) / 2 - turn @ (np.array(image.size) / 2)
    return np.asarray(result), np.column_stack([turn, shift])
