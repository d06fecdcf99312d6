"""A PyTorch network through pnnx into an ncnn graph and weights, in a folder of its own."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import pnnx
import torch
from torch import nn

from realesrgan_export.errors import ExportError

TRACE_SIZES = ((64, 48), (48, 80))
"""Height and width of the two example pictures; pnnx takes what differs between them as dynamic."""


def trace(network: nn.Module, channels: int, path: Path) -> None:
    """Write the TorchScript file pnnx reads.

    Args:
        network: in evaluation mode, on the CPU.
        channels: of the picture.
        path: ends in `.pt`.

    Raises:
        ExportError: if the network cannot be traced.
    """
    example = torch.rand(1, channels, *TRACE_SIZES[0])
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is on its way out of PyTorch, but it is what pnnx reads.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        try:
            torch.jit.trace(network, example).save(str(path))  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, TypeError) as error:
            first_line = str(error).strip().split("\n", 1)[0]
            raise ExportError(f"the network cannot be traced: {first_line}") from error


def convert(
    network: nn.Module, channels: int, folder: Path, *, fp16: bool = False
) -> tuple[Path, Path]:
    """Convert a network to ncnn, with dynamic height and width.

    Args:
        network: in evaluation mode, on the CPU.
        channels: of the picture.
        folder: an existing folder that pnnx may fill.
        fp16: whether pnnx stores the weights in 16 bits.

    Returns:
        The `.param` and the `.bin`, as pnnx wrote them.

    Raises:
        ExportError: if tracing or pnnx fails, or writes operators ncnn does not have.
    """
    script = folder / "network.pt"
    trace(network, channels, script)
    param, weights = folder / "network.ncnn.param", folder / "network.ncnn.bin"
    shapes = [f"[1,{channels},{height},{width}]f32" for height, width in TRACE_SIZES]
    command = [
        pnnx.EXEC_PATH,
        script.name,
        f"inputshape={shapes[0]}",
        f"inputshape2={shapes[1]}",
        f"fp16={int(fp16)}",
    ]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ExportError(f"pnnx cannot be started ({error}); reinstall pnnx") from error
    log = (done.stdout + done.stderr).strip()
    if done.returncode or not param.is_file() or not weights.is_file():
        tail = " / ".join(log.splitlines()[-3:])
        raise ExportError(f"pnnx failed with exit code {done.returncode}: {tail}")
    strange = [line.split()[0] for line in param.read_text().splitlines() if _is_foreign(line)]
    if strange:
        raise ExportError(
            f"the network uses {', '.join(sorted(set(strange)))}, which ncnn has no layer for"
        )
    return param, weights


def _is_foreign(line: str) -> bool:
    """Whether pnnx left an operator of PyTorch's (`aten::...`, `F.grid_sample`, `torch.fft...`)."""
    kind = line.split(maxsplit=1)[0] if line.strip() else ""
    return "::" in kind or "." in kind
