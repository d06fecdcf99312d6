"""A network as an ONNX file whose height and width are free."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path

import torch
from torch import nn

from realesrgan_export.errors import ExportError
from realesrgan_train.wording import first_line

NEEDED = ("onnx", "onnxscript", "onnxruntime")


def check_onnx_installed() -> None:
    """Raise ExportError, naming what to install, where `--onnx` cannot work."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"--onnx needs {', '.join(missing)}: pip install {' '.join(missing)}")


def write_onnx(
    network: nn.Module, channels: int, size: tuple[int, int], multiple: int, path: Path
) -> None:
    """Write an ONNX file: input `data` and output `output`, [1, channels, height, width].

    The network is in evaluation mode, on the CPU; sides are multiples of `multiple`.

    Raises:
        ExportError: If PyTorch cannot express the network in ONNX.
    """
    example = torch.rand(1, channels, *size)
    height, width = torch.export.Dim("height"), torch.export.Dim("width")
    if multiple > 1:
        height, width = multiple * height, multiple * width
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own parts being deprecated
        try:
            torch.onnx.export(
                network,
                (example,),
                str(path),
                dynamo=True,
                input_names=["data"],
                output_names=["output"],
                dynamic_shapes=({2: height, 3: width},),
                external_data=False,
                verbose=False,
            )
        except OSError:
            raise
        except Exception as error:  # the exporter's errors have no common base
            raise ExportError(
                f"PyTorch cannot write this network as ONNX: {first_line(error)}"
            ) from error
