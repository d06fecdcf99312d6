"""From checkpoint to ncnn files: fold, trace, pnnx, tidy, verify, write."""

from __future__ import annotations

import copy
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from realesrgan_export.convert import check_space, convert, needed_space, trace_sizes
from realesrgan_export.errors import ExportError
from realesrgan_export.fold import folded
from realesrgan_export.onnx_file import check_onnx_installed, write_onnx
from realesrgan_export.parity import Row
from realesrgan_export.source import SourceNetwork, load_source
from realesrgan_export.target import (
    MANIFEST,
    check_folder,
    default_name,
    file_entry,
    listed_file,
    read_entries,
    with_entry,
)
from realesrgan_export.tidy import tidy
from realesrgan_export.verify import Files, verify, vulkan_device
from realesrgan_train.networks import SPAN
from realesrgan_vk.errors import RealesrganError
from realesrgan_vk.models.ncnn.param import Graph, format_graph, read_graph
from realesrgan_vk.models.ncnn.weights import LayerWeights, format_weights, read_weights
from realesrgan_vk.models.user_store import install_files, locked

_WEIGHTED = ("Convolution", "PReLU", "MemoryData")
"""The layers of our networks that have weights."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Attributes:
        name: Name of the network and its files; by default as `default_name` says.
        fp16: Store weights in 16 bits, as the published networks do; arithmetic is not affected.
        onnx: Write `NAME.onnx` as well, 32-bit, with the same (rounded) weights.
        act_type: Activation of a compact network without PReLU, unless the checkpoint tells.
        licence: SPDX identifier for the manifest, unless the checkpoint tells.
        device: A Vulkan device to verify on as well, a software one, too, as
            `realesrgan_vk.Upscaler` takes it; by default the first GPU, if there is one.
        weak_denoise: Name of the variant trained to denoise weakly, for `denoise=`.
    """

    name: str | None = None
    fp16: bool = True
    onnx: bool = False
    act_type: str | None = None
    licence: str | None = None
    weak_denoise: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Exported:
    """What was written."""

    param: Path
    bin: Path
    onnx: Path | None
    manifest: Path
    rows: list[Row]


def export_checkpoint(
    checkpoint: Path | str,
    folder: Path | str,
    options: ExportOptions | None = None,
    report: Callable[[list[Row]], None] | None = None,
) -> Exported:
    """Export one network; the files appear only when every engine agrees with PyTorch.

    Args:
        checkpoint: `.pth` or `.safetensors`.
        folder: Made when it is missing; its manifest keeps its other networks.
        options: Defaults when None.
        report: Is given the parity table before it is judged.

    Raises:
        ExportError: If the checkpoint cannot be exported.
        ParityError: If an engine's pictures differ from PyTorch's by more than the contract allows.
        OSError: If the files cannot be written.
    """
    checkpoint, folder, options = Path(checkpoint), Path(folder), options or ExportOptions()
    name = checked_name(default_name(checkpoint) if options.name is None else options.name)
    if options.weak_denoise and checked_name(options.weak_denoise) == name:
        raise ExportError(f"--weak-denoise {name}: the weakly denoising twin is another network")
    if options.onnx:
        check_onnx_installed()
    check_folder(folder)
    read_entries(folder)
    device = vulkan_device(options.device)
    source = load_source(checkpoint, options.act_type)
    with tempfile.TemporaryDirectory(prefix="realesrgan-export-") as scratch:
        check_space(Path(scratch), needed_space(source.network))
        try:
            stored = _stored(source, options.fp16)
            files = _convert(source, stored, Path(scratch), name, options)
            rows, failure = verify(source, stored, files, fp16=options.fp16, device=device)
        except (ExportError, RealesrganError) as error:
            raise _refusal(source, error, Path(scratch)) from error
        if report is not None:
            report(rows)
        if failure is not None:
            raise _refusal(source, failure, Path(scratch))
        entry = _entry(name, source, options, files, rows)
        return install_network(folder, entry, files, rows)


def _refusal(source: SourceNetwork, error: Exception, scratch: Path) -> ExportError:
    """The error with the architecture's name, and without the names of temporary files."""
    words = str(error).replace(f"{scratch}{os.sep}", "")
    if isinstance(error, RealesrganError):
        words = f"realesrgan-vk cannot run the network: {words}"
    if not source.own:
        words = (
            f"{source.architecture}: {words}. Networks of other architectures can be exported, "
            "such as ESRGAN, Compact and SPAN"
        )
    return type(error)(words) if isinstance(error, ExportError) else ExportError(words)


def checked_name(name: str) -> str:
    """Return a network's name; raise ExportError where files cannot be called so."""
    if not NAME.fullmatch(name):
        raise ExportError(
            f"{name!r} cannot name a network: use letters, digits, dots, hyphens and underscores, "
            "and give --name"
        )
    return name


def _convert(
    source: SourceNetwork, stored: nn.Module, scratch: Path, name: str, options: ExportOptions
) -> Files:
    network = folded(stored)
    fp16_by_pnnx = options.fp16 and not source.own
    sizes = trace_sizes(source.multiple, source.minimum)
    raw_param, raw_bin = convert(network, source.channels, scratch, sizes, fp16=fp16_by_pnnx)
    raw = read_graph(raw_param)
    graph = tidy(raw, broadcasts=not source.own)
    files = Files(
        scratch / f"{name}.param",
        scratch / f"{name}.bin",
        scratch / f"{name}.onnx" if options.onnx else None,
    )
    files.param.write_text(format_graph(graph), "utf-8")
    if source.own:
        files.bin.write_bytes(_weights(raw, graph, raw_bin, fp16=options.fp16))
    else:
        raw_bin.rename(files.bin)
    if files.onnx is not None:
        write_onnx(network, source.channels, sizes[0], source.multiple, files.onnx)
    return files


def _weights(raw: Graph, graph: Graph, raw_bin: Path, *, fp16: bool) -> bytes:
    """Store pnnx's weights under the tidy graph's layer names, in the asked precision."""
    kept = read_weights(raw, raw_bin).values()
    names = [layer.name for layer in graph if layer.type in _WEIGHTED]
    stored = {
        name: LayerWeights(weights.weight, weights.bias, fp16)
        for name, weights in zip(names, kept, strict=True)
    }
    return format_weights(graph, stored)


def _stored(source: SourceNetwork, fp16: bool) -> nn.Module:
    """Return the network with the weights the files hold: the reference for the engines.

    Raises:
        ExportError: If a weight does not fit 16 bits.
    """
    if not fp16 or not source.own:
        return source.network
    network = folded(source.network) if isinstance(source.network, SPAN) else source.network
    network = copy.deepcopy(network)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            with torch.no_grad():
                module.weight.copy_(module.weight.half().float())
            if not bool(torch.isfinite(module.weight).all()):
                raise ExportError(f"{name} has weights too large for 16 bits; export with --fp32")
    return network


def _entry(
    name: str,
    source: SourceNetwork,
    options: ExportOptions,
    files: Files,
    rows: list[Row],
) -> Mapping[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "architecture": source.architecture,
        "scale": source.scale,
        "channels": source.channels,
        "precision": "fp16" if options.fp16 else "fp32",
        "files": {"param": file_entry(files.param), "bin": file_entry(files.bin)},
        "licence": options.licence or source.metadata.get("licence", ""),
        "origin": f"exported from {source.path.name}",
        "source": {"file": source.path.name, "sha256": source.sha256},
        "parity": [row.as_json() for row in rows],
    }
    if source.minimum > 1:
        entry["minimum_side"] = source.minimum
    if files.onnx is not None:
        entry["files"]["onnx"] = file_entry(files.onnx)
    if options.weak_denoise:
        entry["weak_denoise"] = options.weak_denoise
    return entry


def install_network(
    folder: Path, entry: Mapping[str, Any], files: Files, rows: list[Row]
) -> Exported:
    """Put the files and the new manifest into the folder, all of them or none."""
    paths = [path for path in (files.bin, files.param, files.onnx) if path is not None]
    contents: dict[str, bytes | Path] = {path.name: path for path in paths}
    own = f"{entry['name']}.onnx"
    with locked(folder):  # another export may write the manifest, too
        contents[MANIFEST] = with_entry(folder, entry).encode()
        # Of an earlier export with --onnx; what else a manifest lists is not ours.
        stale = own not in contents and listed_file(folder, entry["name"], "onnx") == own
        install_files(folder, contents)
        if stale:
            (folder / own).unlink(missing_ok=True)
    written = {path.suffix: folder / path.name for path in paths}
    return Exported(
        written[".param"], written[".bin"], written.get(".onnx"), folder / MANIFEST, rows
    )
