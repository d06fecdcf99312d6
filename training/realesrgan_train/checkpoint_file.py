"""Read and write files of named tensors: `.pth` (without running any code) and `.safetensors`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from realesrgan_train.errors import CheckpointError
from realesrgan_train.file_kind import recognise
from realesrgan_train.files import replacing
from realesrgan_train.wording import first_line, shown

GROUPS = (
    "params_ema",
    "params",
    "state_dict",
    "net_g_ema",
    "net_g",
    "generator",
    "module",
    "_orig_mod",
    "model",
)
"""Under what public checkpoints keep a generator's weights, the best first: keys of a dictionary in
a `.pth`, and beginnings of names ("net_g.conv_first.weight") in any format."""

_DEPTH = 8
"""Groups within groups that are looked through; a pickle can hold a dictionary inside itself."""

_STORED = frozenset(
    {
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
    }
)
"""Types that are read: a network's weights, and the indices some architectures keep beside them."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a PyTorch or `.safetensors` file onto the CPU; the content tells which.

    Of several sets of weights the average (`params_ema`) is preferred to `params`, and a
    generator's to those beside it; the names are those within the set.

    Returns:
        The tensors by name, each dense, not empty and of a plain type; and the metadata (empty for
        a `.pth`).

    Raises:
        CheckpointError: If the file is missing, is something else, is cut short, damaged, needs
            code to be read, or holds no tensors or ones that are no weights.
    """
    path = Path(path)
    if not path.is_file():
        what = "not a file" if path.exists() else "no such checkpoint"
        raise CheckpointError(f"{path}: {what}; give a .pth or .safetensors file")
    try:
        form, other = recognise(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if other:
        raise CheckpointError(f"{path}: not a checkpoint but {other}")
    metadata: dict[str, str] = {}
    if form == "safetensors" or (path.suffix.lower() == ".safetensors" and form != "torch"):
        tensors, metadata = _read_safetensors(path)
    elif form == "torch":
        tensors = _named_tensors(path, _read_pickle(path))
    else:
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint (neither a zip archive nor a pickle); give a .pth "
            "file written by PyTorch or a .safetensors file"
        )
    tensors = _generator_only(tensors)
    for name, tensor in tensors.items():
        fault = _fault(tensor)
        if fault:
            raise CheckpointError(f"{path}: {shown(name)} is {fault}")
    return tensors, metadata


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of a `CheckpointError`."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def require_floats(tensors: Mapping[str, Tensor], names: Iterable[str]) -> None:
    """Refuse weights (`names`) that are integers, which conversion to floating point would hide.

    Raises:
        CheckpointError: Naming the first that is no floating-point tensor.
    """
    for name in names:
        if not tensors[name].is_floating_point():
            raise CheckpointError(
                f"weights: {shown(name)} holds {_type_name(tensors[name])} numbers; weights are "
                "floating-point numbers"
            )


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a `.safetensors` file, the metadata in its header, whole or not at all.

    Raises:
        CheckpointError: For another suffix.
        OSError: If the file cannot be written; an older file of that name is untouched then.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: weights are written as .safetensors; rename the output")
    copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(path) as partial:
            save_file(copies, partial, metadata=dict(metadata))
    except SafetensorError as error:  # such as a full disk
        raise OSError(f"{path}: cannot be written ({first_line(error)})") from error


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except Exception as error:  # SafetensorError, and what PyTorch says of a type it does not have
        raise CheckpointError(
            f"{path}: not a whole .safetensors file ({first_line(error)}); copy or download it "
            "again"
        ) from error
    if not tensors:
        raise CheckpointError(f"{path}: holds no network weights (found nothing)")
    return tensors, metadata


def _read_pickle(path: Path) -> object:
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, and of kinds of tensors refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file provokes in the unpickler
        if would_run_code(error):
            raise CheckpointError(
                f"{path}: refused, because reading it would run code stored in it; export plain "
                "weights (a state dict) or a .safetensors file instead"
            ) from error
        raise CheckpointError(
            f"{path}: not a whole PyTorch checkpoint ({first_line(error)}); copy or download it "
            "again"
        ) from error


def would_run_code(error: Exception) -> bool:
    """Whether PyTorch refused a pickle for what it calls.

    PyTorch's own message advises to switch `weights_only` off, which would run the code.
    """
    return "weights_only" in str(error) or "Unsupported" in str(error)


def _named_tensors(path: Path, content: object) -> dict[str, Tensor]:
    """Go down to the dictionary of tensors that belongs to the generator."""
    for _ in range(_DEPTH):
        if not isinstance(content, dict):
            break
        inner = next((content[g] for g in GROUPS if isinstance(content.get(g), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not named tensors")
    strangers = [
        shown(key) if isinstance(key, str) else f"a key of type {type(key).__name__}"
        for key, value in content.items()
        if not isinstance(key, str) or not isinstance(value, Tensor)
    ]
    if strangers or not content:
        raise CheckpointError(
            f"{path}: holds no network weights (found {', '.join(strangers[:5]) or 'nothing'}); "
            f"expected tensors, bare or under {', '.join(GROUPS)}"
        )
    return {key: value.detach() for key, value in content.items()}


def _generator_only(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take what belongs to the generator, under its own names."""
    for _ in range(_DEPTH):
        group = next((g for g in GROUPS if _is_group(g, tensors)), None)
        if group is None:
            break
        start = f"{group}."
        tensors = {
            name.removeprefix(start): tensor
            for name, tensor in tensors.items()
            if name.startswith(start)
        }
    return tensors


def _is_group(group: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether names begin with a group: all of them for words a network could use itself."""
    start = f"{group}."
    if group in ("module", "_orig_mod", "model"):
        # The first ESRGAN release calls its layers model.0, model.1, ...
        return all(n.startswith(start) and not n[len(start) :][:1].isdigit() for n in tensors)
    return any(name.startswith(start) for name in tensors)


def _fault(tensor: Tensor) -> str:
    """What makes a tensor unfit as a network's weight, or empty."""
    if tensor.layout != torch.strided or tensor.is_nested:
        return "a sparse tensor; weights are dense ones"
    shape = tuple(tensor.shape)
    faults = {
        "a quantized tensor; give the network as it was before quantization": tensor.is_quantized,
        f"of type {_type_name(tensor)}; weights are float16, bfloat16, float32 or float64": (
            tensor.dtype not in _STORED
        ),
        "a tensor without content (PyTorch's meta device)": tensor.is_meta,
        f"an empty tensor of shape {shape}": tensor.numel() == 0,
        f"a tensor of shape {shape} with less content than that": (
            tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
        ),
    }
    return next((words for words, found in faults.items() if found), "")


def _type_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
