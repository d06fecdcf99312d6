"""The exported files, run in every engine there is here, against PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from realesrgan_export.engines import (
    Engine,
    core_engine,
    ncnn_engine,
    onnx_engine,
    padded,
    torch_engine,
)
from realesrgan_export.errors import ExportError, ParityError
from realesrgan_export.parity import FP16, FP32, REPORTED, Limits, Row, check, parity_table
from realesrgan_export.pictures import NamedPicture, verification_pictures
from realesrgan_export.source import SourceNetwork
from realesrgan_vk._core import DeviceInfo
from realesrgan_vk.devices import find_device, list_devices
from realesrgan_vk.errors import DeviceError

CHECKPOINT = "checkpoint (PyTorch)"
NCNN = "ncnn, CPU fp32"
CORE = "realesrgan-vk, CPU fp32"
GPU = "realesrgan-vk, Vulkan"
ONNX = "onnxruntime, CPU fp32"


@dataclass(frozen=True)
class Files:
    """An exported network's files."""

    param: Path
    bin: Path
    onnx: Path | None = None


def verify(
    source: SourceNetwork,
    stored: nn.Module,
    files: Files,
    *,
    fp16: bool,
    device: DeviceInfo | None = None,
) -> tuple[list[Row], ParityError | None]:
    """Compare every engine with PyTorch on the verification pictures.

    The reference is PyTorch with the weights as they are stored, so that the figures are the
    engines' own; what rounding the weights to 16 bits costs is reported in a row of its own.

    Args:
        source: The network of the checkpoint.
        stored: The network with the weights that the `.bin` holds.
        files: Those exported.
        fp16: Whether the `.bin` holds 16-bit weights.
        device: A Vulkan device to verify on as well, in 32 bits and, if it can, in 16.

    Returns:
        The parity table, and the first breach of a limit if there is one.

    Raises:
        ParityError: If an engine makes a picture of another size, or numbers that are not finite.
        ExportError: If an engine cannot run the network on a picture it must run on.
    """
    engines: dict[str, Engine] = {}
    limits: dict[str, Limits] = {}

    def add(name: str, engine: Engine, limit: Limits, multiple: int = 1) -> None:
        engines[name], limits[name] = padded(engine, multiple, source.scale), limit

    # Of a network that is not ours pnnx rounded what it chose to, so the reference is not rounded.
    exact = FP32 if source.own or not fp16 else FP16
    if fp16 and source.own:
        add(CHECKPOINT, torch_engine(source.network), REPORTED, source.multiple)
    # Networks that are not ours may amplify rounding; here it is the files that are verified.
    ncnn = ncnn_engine(files.param, files.bin, winograd=source.own)
    add(NCNN, ncnn, exact, source.multiple)
    add(CORE, core_engine(files.param), exact)
    if device is not None:
        place = device.index
        add(f"{GPU} {place} fp32", core_engine(files.param, device=place), exact)
        if device.fp16_storage:
            add(f"{GPU} {place} fp16", core_engine(files.param, device=place, fp16=True), FP16)
    if files.onnx is not None:
        add(ONNX, onnx_engine(files.onnx), FP32, source.multiple)
    reference = padded(torch_engine(stored), source.multiple, source.scale)
    clamping = [name for name in engines if name.startswith("realesrgan-vk")]
    rows = parity_table(reference, engines, _pictures(source), clamping)
    try:
        check(rows, limits)
    except ParityError as error:
        return rows, error
    return rows, None


def _pictures(source: SourceNetwork) -> list[NamedPicture]:
    pictures = verification_pictures(source.channels)
    found = [each for each in pictures if min(each.pixels.shape[:2]) >= source.minimum]
    if not found:
        largest = max(min(each.pixels.shape[:2]) for each in pictures)
        raise ExportError(
            f"{source.architecture} takes only pictures of at least {source.minimum} pixels a "
            f"side; it cannot be verified on the pictures here, which have at most {largest}"
        )
    return found


def vulkan_device(wanted: str | None) -> DeviceInfo | None:
    """Return the Vulkan device to verify on, None for none.

    Args:
        wanted: As `realesrgan_vk.Upscaler` takes it; "cpu" is none, because every network is
            verified on the CPU. None: the first that is real hardware.

    Raises:
        ExportError: If there is no such device.
    """
    devices = list_devices()
    if wanted is None:
        return next((each for each in devices if each.type in ("discrete", "integrated")), None)
    try:
        index = find_device(wanted, devices)
    except DeviceError as error:
        raise ExportError(f"--device: {error}") from error
    return next((each for each in devices if each.index == index), None)
