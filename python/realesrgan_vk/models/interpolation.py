"""Linear interpolation between the weights of two networks (deep network interpolation).

Wang et al., "Deep Network Interpolation for Continuous Imagery Effect Transition", CVPR 2019.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.ncnn.param import Graph, read_graph
from realesrgan_vk.models.ncnn.weights import LayerWeights, format_weights, read_weights
from realesrgan_vk.models.registry import Model


@contextmanager
def blended_file(model: Model, twin: Model, fraction: float) -> Iterator[Path]:
    """A temporary `.bin` of `blended_weights`."""
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as folder:
        path = Path(folder) / "blend.bin"
        path.write_bytes(blended_weights(model, twin, fraction))
        yield path


def blended_weights(model: Model, twin: Model, fraction: float) -> bytes:
    """The bytes of a `.bin` holding fraction * model + (1 - fraction) * twin, in 32 bits.

    Raises:
        ModelError: A file cannot be read, or the two are not the same network.
    """
    graph, other = read_graph(model.param), read_graph(twin.param)
    if _structure(graph) != _structure(other):
        raise ModelError(
            f"{twin.param} is not the same network as {model.param}; only weights of one "
            "architecture can be blended"
        )
    ours, theirs = read_weights(graph, model.bin), read_weights(other, twin.bin)
    mixed = {}
    for (name, own), twins in zip(ours.items(), theirs.values(), strict=True):
        with np.errstate(invalid="ignore", over="ignore"):
            mixed[name] = _mixed(own, twins, fraction)
        if not np.isfinite(mixed[name].weight).all():
            raise ModelError(
                f"layer {name} of {model.param} or its twin has weights that are not finite"
            )
    return format_weights(graph, mixed)


def _mixed(own: LayerWeights, twin: LayerWeights, fraction: float) -> LayerWeights:
    bias = None
    if own.bias is not None and twin.bias is not None:
        bias = (fraction * own.bias + (1 - fraction) * twin.bias).astype(np.float32)
    weight = (fraction * own.weight + (1 - fraction) * twin.weight).astype(np.float32)
    return LayerWeights(weight, bias)


def _structure(graph: Graph) -> list[tuple[str, tuple[str, ...], tuple[tuple[int, object], ...]]]:
    """The graph without its names: what each layer is, which blobs it reads, how it is set."""
    number = {blob: str(i) for i, blob in enumerate(graph.producers())}
    return [
        (
            layer.type,
            tuple(number[blob] for blob in layer.inputs),
            tuple(sorted(layer.params.items())),
        )
        for layer in graph
    ]
