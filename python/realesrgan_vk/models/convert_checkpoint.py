"""A PyTorch checkpoint as the two files of an ncnn network."""

from pathlib import Path
from typing import Any

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.checkpoint_network import convert_network
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.models.torch_file import read_tensors
from realesrgan_vk.ncnn.param import format_graph
from realesrgan_vk.ncnn.weights import format_weights


def convert_checkpoint(checkpoint: Path, folder: Path, name: str) -> dict[str, Any]:
    """Write `NAME.param` and `NAME.bin` into a folder.

    Args:
        checkpoint: A `.pth` of an RRDBNet or an SRVGGNetCompact.
        folder: Where to; there already.
        name: Of the network.

    Returns:
        The network's entry for the manifest of the folder.

    Raises:
        ModelError: The file is no such checkpoint.
        OSError: The folder cannot be written.
    """
    try:
        network = convert_network(read_tensors(checkpoint))
    except ModelError as error:
        raise ModelError(f"{checkpoint.name} cannot be exported: {error}") from error
    param, weights = folder / f"{name}.param", folder / f"{name}.bin"
    param.write_text(format_graph(network.graph), "utf-8")
    weights.write_bytes(format_weights(network.graph, network.weights))
    return {
        "name": name,
        "architecture": network.architecture,
        "files": {
            kind: {"file": path.name, "sha256": file_sha256(path)}
            for kind, path in (("param", param), ("bin", weights))
        },
        "origin": f"converted from {checkpoint.name}",
        "source": {"file": checkpoint.name, "sha256": file_sha256(checkpoint)},
    }
