"""From a published ncnn network back to the state dict it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from realesrgan_export.engines import ncnn_engine, padded, torch_engine
from realesrgan_export.errors import ExportError, ParityError
from realesrgan_export.parity import FP32, Row, check, parity_table
from realesrgan_export.pictures import verification_pictures
from realesrgan_export.state_dict import Recovered, recovered_state
from realesrgan_export.target import check_file
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import RRDBNet
from realesrgan_train.weights import deduce_architecture, save_network
from realesrgan_vk.errors import ModelError
from realesrgan_vk.models import find_model
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.models.ncnn.param import Graph, Layer, read_graph
from realesrgan_vk.models.ncnn.weights import read_weights

RESIZE_NAMES = {1: "nearest", 2: "bilinear", 3: "bicubic"}
"""ncnn's `Interp` types."""


@dataclass(frozen=True)
class Tail:
    """A resize after the network, as in the x2 and x3 graphs of animevideov3."""

    resize: str
    scale: float
    before: str
    """Name of the blob the network itself writes."""


def recover_network(
    param: Path | str,
    output: Path | str,
    report: Callable[[list[Row]], None] | None = None,
) -> list[Row]:
    """Write the PyTorch weights of an ncnn network, once its pictures are found equal.

    Args:
        param: The `.param` of an RRDBNet or SRVGGNetCompact from either converter (onnx2ncnn or
            pnnx), with fp16 or fp32 weights in the `.bin` beside it; or the name of a network that
            realesrgan-vk has. A resize after the network is left off and kept in the metadata.
        output: Ends in `.safetensors`.
        report: Is given the parity table before it is judged.

    Raises:
        ExportError: If the files are damaged or are no such network.
        ParityError: If the recovered network makes other pictures; nothing is written.
    """
    output = Path(output)
    check_file(output)
    param, licence = _files(param)
    network, metadata, blob = read_network(param)
    rows = _proof(network, blob, param)
    if report is not None:
        report(rows)
    try:
        check(rows, {row.engine: FP32 for row in rows})
    except ParityError as error:
        raise ParityError(
            f"{param}: looks like an {type(network).__name__}, but {error}; it was not recovered"
        ) from error
    save_network(output, network, {**metadata, **({"licence": licence} if licence else {})})
    return rows


def default_output(network: str) -> Path:
    """Return the file that recovered weights are written to unless another is named.

    Raises:
        ExportError: If there is such a file; what a user did not name is not replaced.
    """
    output = Path(f"{Path(network).name.removesuffix('.param')}.safetensors")
    if output.exists():
        raise ExportError(f"{output} exists already; name the file to write with -o")
    return output


def _files(network: Path | str) -> tuple[Path, str]:
    """Return the `.param` that is meant, and the network's licence where it is known."""
    path = Path(network)
    if path.suffix in (".param", ".bin"):
        return path.with_suffix(".param"), ""
    if path.is_file():
        raise ExportError(
            f"{path}: not an ncnn network; give NAME.param, with NAME.bin beside it, or the name "
            "of an installed network"
        )
    try:
        found = find_model(network)
    except ModelError as error:
        raise ExportError(str(error)) from error
    return found.param, found.licence


def read_network(param: Path) -> tuple[nn.Module, dict[str, str], str]:
    """Read an ncnn network without running it, which alone proves that it is what it looks like.

    Returns:
        The network, what is known of it, and the name of the blob that holds its result.

    Raises:
        ExportError: If the files are damaged or are no RRDBNet and no SRVGGNetCompact.
    """
    weights = param.with_suffix(".bin")
    try:
        graph = read_graph(param)
        tail = _tail(graph)
        found = recovered_state(graph, read_weights(graph, weights))
        network = _network(found)
        blob = tail.before if tail else graph.output
    except (ModelError, CheckpointError, ExportError) as error:
        message = str(error)
        where = "" if str(param.parent) in message else f"{param}: "
        raise ExportError(f"{where}{message}") from error
    return network, _metadata(found, tail, param, weights), blob


def _network(found: Recovered) -> nn.Module:
    tensors: dict[str, Tensor] = {
        name: torch.from_numpy(np.array(a)) for name, a in found.state.items()
    }
    network = deduce_architecture(tensors, found.act_type).build()
    expected = network.state_dict()
    for name, tensor in expected.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            shape = tuple(tensors[name].shape) if name in tensors else "nothing"
            raise ExportError(f"{name} should be {tuple(tensor.shape)}, the file has {shape}")
    if set(tensors) - set(expected):
        raise ExportError(f"has convolutions an {type(network).__name__} has no place for")
    network.load_state_dict(tensors)
    return network.eval()


def _tail(graph: Graph) -> Tail | None:
    if not graph.layers:
        raise ExportError("has no layers")
    last: Layer = graph.layers[-1]
    if last.type != "Interp" or not last.inputs or last.inputs[0] == graph.input:
        return None
    height, width = last.number(1), last.number(2)
    kind = RESIZE_NAMES.get(last.integer(0))
    if kind is None or height != width or height <= 0:
        raise ExportError(f"ends in a resize ({last.name}) that is not by one factor")
    return Tail(kind, height, last.inputs[0])


def _proof(network: nn.Module, blob: str, param: Path) -> list[Row]:
    multiple = network.unshuffle if isinstance(network, RRDBNet) else 1
    scale = int(getattr(network, "scale", 0) or getattr(network, "upscale", 0))
    weights, data = param.with_suffix(".bin"), read_graph(param).input
    ncnn = padded(ncnn_engine(param, weights, data, blob), multiple, scale)
    recovered = padded(torch_engine(network), multiple, scale)
    channels = next(network.parameters()).shape[1] // multiple**2
    return parity_table(recovered, {"ncnn, CPU fp32": ncnn}, verification_pictures(channels))


def _metadata(found: Recovered, tail: Tail | None, param: Path, weights: Path) -> dict[str, str]:
    metadata = {
        "recovered_from": param.name,
        "param_sha256": file_sha256(param),
        "bin_sha256": file_sha256(weights),
        "stored_precision": "fp16" if found.fp16 else "fp32",
    }
    if tail:
        metadata["tail"] = json.dumps({"resize": tail.resize, "scale": tail.scale})
    return metadata
