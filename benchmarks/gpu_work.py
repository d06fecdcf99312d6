"""How much arithmetic a network is."""

from pathlib import Path

from realesrgan_vk.ncnn.param import read_graph


def flops_per_pixel(param: Path) -> float:
    """Floating-point operations of the convolutions for each pixel of the network's input.

    By direct convolution; a multiplication and an addition are two.
    """
    zoom: dict[str, float] = {}
    total = 0.0
    for layer in read_graph(param):
        size = zoom[layer.inputs[0]] if layer.inputs else 1.0
        if layer.type == "Convolution":
            size /= layer.integer(3, 1)
            total += 2.0 * layer.integer(6) * size * size  # parameter 6: the count of weights
        elif layer.type == "Interp":
            size *= layer.number(1, 1.0)
        elif layer.type == "PixelShuffle":
            size *= layer.integer(0, 1)
        zoom.update(dict.fromkeys(layer.outputs, size))
    return total
