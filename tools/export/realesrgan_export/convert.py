"""A PyTorch network through pnnx into an ncnn graph and weights, in a folder of its own."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pnnx
import torch
from torch import nn

from realesrgan_export import launcher
from realesrgan_export.errors import ExportError
from realesrgan_train.wording import first_line

_SPARE = 1 << 20
"""Bytes for the small files of a conversion: graphs and scripts."""

Size = tuple[int, int]
"""Height and width."""


def trace_sizes(multiple: int = 1, minimum: int = 1) -> tuple[Size, Size]:
    """Return the sizes of two example pictures; pnnx takes what differs between them as dynamic.

    Sides are multiples of `multiple` and at least `minimum` pixels.
    """
    side = -(-max(48, minimum) // multiple) * multiple
    step = -(-16 // multiple) * multiple
    return (side + step, side), (side, side + 2 * step)


def trace(network: nn.Module, channels: int, size: Size, path: Path) -> None:
    """Write the TorchScript file pnnx reads, `.pt`, from a network in evaluation mode on the CPU.

    Raises:
        ExportError: If the network cannot be traced.
        OSError: If the file cannot be written.
    """
    example = torch.rand(1, channels, *size)
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is on its way out of PyTorch, but it is what pnnx reads.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        try:
            # Its own check takes four times the rest; the exported files are verified anyway.
            traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
            content = io.BytesIO()
            torch.jit.save(traced, content)
        except Exception as error:  # whatever the network itself raises
            reason = first_line(error).partition(". ")[0]
            raise ExportError(f"the network cannot be traced: {reason}") from error
    # PyTorch's own writer of files aborts the process when the disk is full.
    path.write_bytes(content.getbuffer())


def convert(
    network: nn.Module,
    channels: int,
    folder: Path,
    sizes: tuple[Size, Size] = trace_sizes(),
    *,
    fp16: bool = False,
) -> tuple[Path, Path]:
    """Convert a network to ncnn, with dynamic height and width, in a folder that pnnx may fill.

    Args:
        network: In evaluation mode, on the CPU.
        channels: Number of channels of the picture.
        folder: For the files.
        sizes: Of the example pictures, from `trace_sizes`.
        fp16: Whether pnnx stores the weights in 16 bits.

    Returns:
        The `.param` and the `.bin`, as pnnx wrote them.

    Raises:
        ExportError: If tracing or pnnx fails, or writes operators ncnn does not have.
        OSError: If files cannot be written into the folder.
    """
    script = folder / "network.pt"
    trace(network, channels, sizes[0], script)
    param, weights = folder / "network.ncnn.param", folder / "network.ncnn.bin"
    shapes = [f"[1,{channels},{height},{width}]f32" for height, width in sizes]
    done = _run_pnnx(
        folder,
        script.name,
        f"inputshape={shapes[0]}",
        f"inputshape2={shapes[1]}",
        f"fp16={int(fp16)}",
    )
    log = (done.stdout + done.stderr).strip()
    if done.returncode or not param.is_file() or not weights.is_file():
        check_space(folder, 0)
        if done.returncode == -signal.SIGKILL:
            raise ExportError(
                "pnnx was killed, most likely because the memory was full: a network of "
                "realesrgan-x4plus' size takes 14 GB; close other programs and try again"
            )
        said = (log.splitlines() or ["it says nothing"])[-1].removeprefix("RuntimeError: ")
        raise ExportError(f"pnnx failed with exit code {done.returncode}: {said}")
    strange = [line.split()[0] for line in param.read_text().splitlines() if _is_foreign(line)]
    if strange:
        raise ExportError(
            f"the network uses {', '.join(sorted(set(strange)))}, which ncnn has no layer for"
        )
    return param, weights


def _run_pnnx(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pnnx in a folder; on Linux it ends with this process, whatever ends that.

    Raises:
        ExportError: If it cannot be started.
    """
    command = [pnnx.EXEC_PATH, *arguments]
    if sys.platform == "linux":
        command = [sys.executable, "-IS", launcher.__file__, str(os.getpid()), *command]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ExportError(f"pnnx cannot be started ({error}); reinstall pnnx") from error
    if sys.platform == "linux" and done.returncode == launcher.CANNOT_START:
        raise ExportError(f"pnnx cannot be started ({done.stderr}); reinstall pnnx")
    return done


def needed_space(network: nn.Module) -> int:
    """Return how many bytes of temporary files a conversion makes, estimated from the weights.

    The traced network, pnnx's own two files, ncnn's weights and the result: five files.
    """
    weights: int = sum(tensor.numel() * 4 for tensor in network.state_dict().values())
    return 5 * weights + _SPARE


def check_space(folder: Path, needed: int) -> None:
    """Check that the temporary folder has room; a full disk makes pnnx fail in any way.

    Raises:
        ExportError: If it has less than `needed` bytes, or next to nothing.
    """
    free = shutil.disk_usage(folder).free
    if free < max(needed, _SPARE):
        raise ExportError(
            f"{folder.parent}, the folder for temporary files, has {free / 2**20:.0f} MB free; the "
            f"conversion takes about {max(needed, _SPARE) / 2**20:.0f} MB: set TMPDIR to a folder "
            "with more"
        )


def _is_foreign(line: str) -> bool:
    """Whether pnnx left an operator of PyTorch's (`aten::...`, `F.grid_sample`, `torch.fft...`)."""
    kind = line.split(maxsplit=1)[0] if line.strip() else ""
    return "::" in kind or "." in kind
