"""The engines an exported network is run in, behind one function each: picture in, picture out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from realesrgan_export.errors import ExportError
from realesrgan_export.pictures import Picture

Engine = Callable[[Picture], Picture]
"""Maps [height, width, channels] to [scale * height, scale * width, channels], float32."""


def torch_engine(network: nn.Module) -> Engine:
    """Run a PyTorch network on the CPU, the whole picture at once."""

    def run(picture: Picture) -> Picture:
        batch = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
        with torch.inference_mode():
            result = network(batch)[0]
        return np.ascontiguousarray(result.numpy().transpose(1, 2, 0))

    return run


def ncnn_engine(
    param: Path,
    weights: Path,
    data: str = "data",
    output: str = "output",
    *,
    winograd: bool = True,
) -> Engine:
    """Run ncnn files in PyPI's `ncnn`: CPU, 32 bits, the whole picture at once.

    Args:
        param: The graph.
        weights: The `.bin`.
        data: Name of the input blob.
        output: Name of the blob that is read; need not be the last one.
        winograd: Use the faster convolution, whose rounding is ten times coarser.

    Raises:
        ExportError: If ncnn does not load the files.
    """
    import ncnn  # noqa: PLC0415 - loads a large library, needed only here

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.use_winograd_convolution = winograd
    net.opt.num_threads = max(1, torch.get_num_threads())
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise ExportError(f"{param}: ncnn {ncnn.__version__} cannot load this network")

    def run(picture: Picture) -> Picture:
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
        with net.create_extractor() as extractor:
            extractor.input(data, ncnn.Mat(planes).clone())
            code, result = extractor.extract(output)
            if code:
                raise ExportError(f"{param}: ncnn fails on a picture with code {code}")
            planes = np.array(result, np.float32)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))

    return run


def onnx_engine(path: Path) -> Engine:
    """Run an ONNX file in onnxruntime on the CPU."""
    import onnxruntime  # noqa: PLC0415 - an optional dependency

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, torch.get_num_threads())
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(picture: Picture) -> Picture:
        batch = np.ascontiguousarray(picture.transpose(2, 0, 1))[None]
        result: Picture = session.run(["output"], {"data": batch})[0]
        return np.ascontiguousarray(result[0].transpose(1, 2, 0))

    return run


def padded(engine: Engine, multiple: int, scale: int) -> Engine:
    """Let an engine that needs sides of a multiple take any picture.

    The picture is continued to the right and down by mirroring without repeating the edge, as
    realesrgan-vk does; what that adds is cut off the result.
    """
    if multiple == 1:
        return engine

    def run(picture: Picture) -> Picture:
        height, width, _ = picture.shape
        extra = ((0, -height % multiple), (0, -width % multiple), (0, 0))
        result = engine(np.pad(picture, extra, mode="reflect"))
        return np.ascontiguousarray(result[: height * scale, : width * scale])

    return run


def core_engine(param: Path, *, device: str | int = "cpu", fp16: bool = False) -> Engine:
    """Run a network in realesrgan-vk's `Upscaler`; 16-bit storage (Vulkan only) sums in 32 bits."""
    import realesrgan_vk  # noqa: PLC0415 - loads a compiled library, needed only here

    precision: Literal["fp16", "fp32"] = "fp16" if fp16 else "fp32"
    upscaler = realesrgan_vk.Upscaler(model=param, device=device, precision=precision)

    def run(picture: Picture) -> Picture:
        grey = picture.shape[2] == 1
        result = upscaler.upscale(picture[..., 0] if grey else picture)
        return np.asarray(result, np.float32).reshape(*result.shape[:2], -1)

    return run
