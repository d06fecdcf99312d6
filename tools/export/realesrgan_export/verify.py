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
from realesrgan_export.errors import ParityError
from realesrgan_export.parity import FP16, FP32, REPORTED, Limits, Row, check, parity_table
from realesrgan_export.pictures import verification_pictures
from realesrgan_export.source import SourceNetwork

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
    device: str | None = None,
) -> tuple[list[Row], ParityError | None]:
    """Compare every engine with PyTorch on the verification pictures.

    The reference is PyTorch with the weights as they are stored, so that the figures are the
    engines' own; what rounding the weights to 16 bits costs is reported in a row of its own.

    Args:
        source: the network of the checkpoint.
        stored: the same with the weights the `.bin` holds.
        files: what was exported.
        fp16: whether the `.bin` holds 16-bit weights.
        device: a Vulkan device to verify on as well, in 32 and 16 bits; None: the first GPU, if
            there is one.

    Returns:
        The parity table, and the first breach of a limit if there is one.

    Raises:
        ParityError: if an engine makes a picture of another size, or numbers that are not finite.
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
    gpu = device or _gpu()
    if gpu is not None:
        add(f"{GPU} {gpu} fp32", core_engine(files.param, device=gpu), exact)
        add(f"{GPU} {gpu} fp16", core_engine(files.param, device=gpu, fp16=True), FP16)
    if files.onnx is not None:
        add(ONNX, onnx_engine(files.onnx), FP32, source.multiple)
    reference = padded(torch_engine(stored), source.multiple, source.scale)
    clamping = [name for name in engines if name.startswith("realesrgan-vk")]
    rows = parity_table(reference, engines, verification_pictures(source.channels), clamping)
    try:
        check(rows, limits)
    except ParityError as error:
        return rows, error
    return rows, None


def _gpu() -> str | None:
    """Return a Vulkan device that is real hardware, as `realesrgan_vk.Upscaler` takes it."""
    import realesrgan_vk  # noqa: PLC0415 - loads a compiled library, needed only here

    hardware = [d for d in realesrgan_vk.list_devices() if d.type in ("discrete", "integrated")]
    return str(hardware[0].index) if hardware else None
