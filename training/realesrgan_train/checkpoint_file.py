"""Read and write files of named tensors: `.pth` (without running any code) and `.safetensors`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from realesrgan_train.errors import CheckpointError

TORCH_SUFFIXES = (".pth", ".pt", ".ckpt")
WRAPPERS = ("params_ema", "params", "state_dict")
"""Keys under which public checkpoints keep their weights, the best first."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors of a checkpoint onto the CPU.

    Of a `.pth` with several sets of weights the average (`params_ema`) is preferred to `params`.

    Args:
        path: a `.pth`, `.pt`, `.ckpt` or `.safetensors` file.

    Returns:
        The tensors by name, and the metadata (empty for a `.pth`).

    Raises:
        CheckpointError: if the file is missing, cut short, damaged, needs code to be read, has an
            unknown suffix or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _read_safetensors(path)
    if suffix in TORCH_SUFFIXES:
        return _unwrap(path, _read_pickle(path)), {}
    raise CheckpointError(
        f"{path}: unknown suffix; give a .safetensors file or a .pth file written by PyTorch"
    )


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a `.safetensors` file whole: under a temporary name beside it, then renamed.

    Args:
        path: ends in `.safetensors`.
        tensors: written as contiguous CPU copies.
        metadata: strings kept in the file's header.

    Raises:
        CheckpointError: for another suffix.
        OSError: if the file cannot be written; an older file of that name is untouched then.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: weights are written as .safetensors; rename the output")
    copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    partial = Path(name)
    try:
        save_file(copies, partial, metadata=dict(metadata))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a whole .safetensors file ({error}); copy or download it again"
        ) from error


def _read_pickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file provokes in the unpickler
        first_line = str(error).strip().split("\n", 1)[0]
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise CheckpointError(
                f"{path}: refused, because reading it would run code stored in it; export plain "
                "weights (a state dict) or a .safetensors file instead"
            ) from error
        raise CheckpointError(
            f"{path}: not a whole PyTorch checkpoint ({first_line}); copy or download it again"
        ) from error


def _unwrap(path: Path, content: object) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not named tensors")
    strangers = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers or not content:
        raise CheckpointError(
            f"{path}: holds no network weights (found {', '.join(strangers[:5]) or 'nothing'}); "
            f"expected tensors, bare or under {', '.join(WRAPPERS)}"
        )
    return {str(key).removeprefix("module."): value for key, value in content.items()}
