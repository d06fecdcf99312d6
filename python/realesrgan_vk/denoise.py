"""`denoise=`: a network mixed with its weakly denoising twin when it is loaded.

Both are trained alike, one to remove noise and one to keep it; a straight line between their
weights gives every strength in between (deep network interpolation, Wang et al., CVPR 2019).
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models import Model, find_model, model_at
from realesrgan_vk.ncnn_graph import Graph, read_graph
from realesrgan_vk.ncnn_weights import LayerWeights, format_weights, read_weights
from realesrgan_vk.own_models import entry_of


@contextmanager
def denoised(model: Model, denoise: float | None) -> Iterator[Path]:
    """Give the `.bin` of a network for a strength of denoising, for as long as it takes to load it.

    Args:
        model: Its manifest names the twin (`weak_denoise`).
        denoise: 0 (the twin) .. 1 (the network itself); None: the network itself, twin or not.

    Yields:
        A `.bin` that goes with the network's `.param`.

    Raises:
        TypeError: `denoise` is no number.
        ValueError: `denoise` is outside 0..1.
        ModelError: There is no twin, it cannot be read, or it is another network.
    """
    networks = blended_networks(model, denoise)
    if denoise is None or len(networks) == 1:
        yield model.bin
        return
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as folder:
        path = Path(folder) / "blend.bin"
        path.write_bytes(blended_weights(*networks, float(denoise)))
        yield path


def blended_networks(model: Model, denoise: float | None) -> tuple[Model] | tuple[Model, Model]:
    """The networks whose weights `denoised` reads: the model and, for a blend, its twin.

    Raises:
        TypeError, ValueError, ModelError: As `denoised`.
    """
    if denoise is None:
        return (model,)
    if isinstance(denoise, bool) or not isinstance(denoise, (int, float)):
        raise TypeError(f"denoise must be a number from 0 to 1, not {denoise!r}")
    if not 0 <= denoise <= 1:
        raise ValueError(f"denoise is {denoise}; it must be from 0 (keep noise) to 1 (remove it)")
    twin = _twin(model)
    return (model,) if denoise == 1 else (model, twin)


def blended_weights(model: Model, twin: Model, denoise: float) -> bytes:
    """The bytes of a `.bin` holding denoise * model + (1 - denoise) * twin, in 32 bits.

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
    mixed = {
        name: _mixed(own, twins, denoise)
        for (name, own), twins in zip(ours.items(), theirs.values(), strict=True)
    }
    return format_weights(graph, mixed)


def _mixed(own: LayerWeights, twin: LayerWeights, share: float) -> LayerWeights:
    bias = None
    if own.bias is not None and twin.bias is not None:
        bias = (share * own.bias + (1 - share) * twin.bias).astype(np.float32)
    weight = (share * own.weight + (1 - share) * twin.weight).astype(np.float32)
    return LayerWeights(weight, bias)


def _structure(graph: Graph) -> list[tuple[str, tuple[str, ...], tuple[tuple[int, object], ...]]]:
    """The graph without its names: what each layer is, which blobs it reads, how it is set."""
    number = {blob: str(i) for i, blob in enumerate(graph.producers())}
    return [
        (layer.type, tuple(number[blob] for blob in layer.inputs), tuple(layer.params.items()))
        for layer in graph
    ]


def _twin(model: Model) -> Model:
    entry = entry_of(model.param) or {}
    name = entry.get("weak_denoise")
    if not name:
        raise ModelError(
            f"model {model.name} names no weakly denoising twin, so denoise= cannot be used; "
            "realesr-general-x4v3 does: realesrgan-vk models pull realesr-general-x4v3"
        )
    beside = model.param.with_name(f"{name}.param")
    try:
        return model_at(beside) if beside.is_file() else find_model(str(name))
    except ModelError as error:
        raise ModelError(f"model {model.name} needs its twin for denoise=: {error}") from error
