"""From a checkpoint of GFPGANv1Clean, which restores faces, to ncnn files."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from realesrgan_export.engines import Engine, core_engine, ncnn_engine, torch_engine
from realesrgan_export.errors import ExportError
from realesrgan_export.export import Exported, checked_name, install_network
from realesrgan_export.parity import FP16, FP32, REPORTED, Limits, Row, check, parity_table
from realesrgan_export.pictures import square_pictures
from realesrgan_export.target import check_folder, file_entry, read_entries
from realesrgan_export.verify import CHECKPOINT, CORE, GPU, NCNN, Files, vulkan_device
from realesrgan_train.checkpoint_file import read_tensors
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import GFPGANv1Clean
from realesrgan_train.networks.gfpgan import ModulatedConv2d
from realesrgan_vk._core import DeviceInfo
from realesrgan_vk.errors import RealesrganError
from realesrgan_vk.models.checkpoint_network import convert_network
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.models.ncnn.param import format_graph
from realesrgan_vk.models.ncnn.weights import format_weights


def export_faces(  # noqa: PLR0917 - in the order of the command
    checkpoint: Path,
    folder: Path,
    name: str,
    licence: str = "",
    device: str | None = None,
    report: Callable[[list[Row]], None] | None = None,
) -> Exported:
    """Export one network; the files appear only when every engine agrees with PyTorch.

    Args:
        checkpoint: `.pth` or `.safetensors`, under the official release's names.
        folder: Made when it is missing; its manifest keeps its other networks.
        name: Of the network and its files.
        licence: SPDX identifier for the manifest.
        device: A Vulkan device to verify on as well; by default the first GPU, if there is one.
        report: Is given the parity table before it is judged.

    Raises:
        ExportError: If the checkpoint is of another network, or cannot be exported.
        ParityError: If an engine's pictures differ from PyTorch's by more than the contract allows.
        OSError: If the files cannot be written.
    """
    checked_name(name)
    check_folder(folder)
    read_entries(folder)
    chosen = vulkan_device(device)
    try:
        tensors, _ = read_tensors(checkpoint)
        network = load_face_network(tensors)
    except (CheckpointError, ExportError) as error:
        raise ExportError(f"{checkpoint}: {error}") from error
    with tempfile.TemporaryDirectory(prefix="realesrgan-export-") as scratch:
        files = Files(Path(scratch, f"{name}.param"), Path(scratch, f"{name}.bin"))
        try:
            converted = convert_network({key: value.numpy() for key, value in tensors.items()})
            files.param.write_text(format_graph(converted.graph), "utf-8")
            files.bin.write_bytes(format_weights(converted.graph, converted.weights))
            rows, limits = _compare(network, files, chosen)
        except RealesrganError as error:
            raise ExportError(f"realesrgan-vk cannot run the network: {error}") from error
        if report is not None:
            report(rows)
        check(rows, limits)
        entry = {
            "name": name,
            "architecture": converted.architecture,
            "scale": 1,
            "channels": 3,
            "precision": "fp16",
            "files": {"param": file_entry(files.param), "bin": file_entry(files.bin)},
            "for": "faces, with --faces",
            "licence": licence,
            "origin": f"exported from {checkpoint.name}",
            "source": {"file": checkpoint.name, "sha256": file_sha256(checkpoint)},
            "parity": [row.as_json() for row in rows],
        }
        return install_network(folder, entry, files, rows)


def load_face_network(tensors: Mapping[str, Tensor]) -> GFPGANv1Clean:
    """Make the network of these tensors, which must all fit.

    Raises:
        ExportError: They are those of another network.
    """
    decoder = "stylegan_decoder"
    try:
        levels = sum(name.endswith(".skip.weight") for name in tensors) // 2
        first = tensors[f"{decoder}.constant_input.weight"].shape[1]
        latent = tensors[f"{decoder}.to_rgb1.modulated_conv.modulation.weight"].shape[1]
        widths = [
            tensors[f"{decoder}.style_convs.{2 * level}.modulated_conv.weight"].shape[1]
            for level in range(levels)
        ]
        multiplier = 2 * widths[3] // first if levels > 3 else 1
        mapping = sum(
            name.startswith(f"{decoder}.style_mlp.") and name.endswith(".bias") for name in tensors
        )
        network = GFPGANv1Clean(4 << levels, latent, multiplier, mapping, first / 512)
        network.load_state_dict(dict(tensors))
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        lines = str(error).splitlines() or [""]
        raise ExportError(f"this is no GFPGANv1Clean ({' '.join(lines[:2])[:200]})") from error
    return network.float().eval()


class InUnits(nn.Module):
    """The network from 0..1 to 0..1, as the exported files have it."""

    def __init__(self, network: GFPGANv1Clean) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, 3, H, W] to the same shape, unclamped."""
        made: Tensor = self.network(2 * x - 1)
        return made / 2 + 0.5


def with_stored_weights(network: GFPGANv1Clean) -> GFPGANv1Clean:
    """A copy with the weights that the files hold, in 16 bits where all of them fit."""
    stored = copy.deepcopy(network)
    if max(float(value.abs().max()) for value in network.state_dict().values()) > 65504:
        return stored
    for module in stored.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, ModulatedConv2d)):
            with torch.no_grad():
                module.weight.copy_(module.weight.half().float())
    return stored


def _compare(
    network: GFPGANv1Clean, files: Files, device: DeviceInfo | None
) -> tuple[list[Row], dict[str, Limits]]:
    engines: dict[str, Engine] = {
        CHECKPOINT: torch_engine(InUnits(network)),
        NCNN: ncnn_engine(files.param, files.bin),
        CORE: core_engine(files.param),
    }
    limits: dict[str, Limits] = {CHECKPOINT: REPORTED, NCNN: FP32, CORE: FP32}
    if device is not None:
        name = f"{GPU} {device.index}"
        engines[f"{name} fp32"] = core_engine(files.param, device=device.index)
        limits[f"{name} fp32"] = FP32
        if device.fp16_storage:
            engines[f"{name} fp16"] = core_engine(files.param, device=device.index, fp16=True)
            limits[f"{name} fp16"] = FP16
    reference = torch_engine(InUnits(with_stored_weights(network)))
    clamping = [name for name in engines if name.startswith("realesrgan-vk")]
    pictures = square_pictures(network.out_size)
    return parity_table(reference, engines, pictures, clamping), limits
