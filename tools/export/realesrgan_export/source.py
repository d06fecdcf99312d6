"""The network to export: read from a checkpoint without running any code stored in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from realesrgan_export.errors import ExportError
from realesrgan_train.checkpoint_file import read_tensors, require_floats
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import RRDBNet
from realesrgan_train.weights import (
    check_activation,
    check_names,
    deduce_architecture,
    modern_names,
    network_of,
)
from realesrgan_train.wording import first_line
from realesrgan_vk.models.checksums import file_sha256


@dataclass(frozen=True)
class SourceNetwork:
    """A network and what its exported form must know of it.

    Attributes:
        path: Path of the checkpoint.
        network: In evaluation mode, float32, on the CPU.
        scale: Output pixels per input pixel, each way.
        multiple: PyTorch can only take sides of a multiple of this.
        minimum: PyTorch can only take sides of at least this.
        own: Whether it is one of this project's architectures, which has no operator outside the
            row stream and no weights outside convolutions, PReLUs and constants.
        metadata: The checkpoint's header.
    """

    path: Path
    network: nn.Module
    architecture: str
    scale: int
    channels: int
    multiple: int
    own: bool
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    minimum: int = 1


def load_source(path: Path, act_type: str | None = None) -> SourceNetwork:
    """Read a checkpoint; `act_type` is the activation of a compact network that does not tell it.

    Raises:
        ExportError: If it is damaged, would run code, is a discriminator, or is of an architecture
            that needs spandrel and cannot be read with it.
    """
    path = Path(path)
    try:
        tensors, metadata = read_tensors(path)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    try:
        misfit = _misfit(tensors)
        if misfit:
            return _load_foreign(path, tensors, misfit, act_type)
        loaded = network_of(tensors, metadata, act_type)
        check_activation(loaded, act_type)
    except (CheckpointError, ExportError) as error:
        raise ExportError(f"{path}: {error}") from error
    multiple = loaded.network.unshuffle if isinstance(loaded.network, RRDBNet) else 1
    return SourceNetwork(
        path,
        loaded.network,
        loaded.architecture.name,
        loaded.architecture.scale,
        int(loaded.architecture.kwargs["num_in_ch"]),
        multiple,
        True,
        file_sha256(path),
        loaded.metadata,
    )


def _misfit(tensors: Mapping[str, Tensor]) -> str:
    """Say why the tensors are not those of one of the networks known here; empty when they are."""
    try:
        architecture = deduce_architecture(tensors, "relu")  # where PReLU has none, none has
        found = modern_names(tensors)
        if architecture.name == "RRDBNet" and "conv_up2.weight" not in found:
            count = sum(f"conv_up{i}.weight" in found for i in (1, 2))
            return (
                f"weights: an RRDBNet with {count} of the 2 convolutions after enlargements "
                "(BSRGAN's x2 has one)"
            )
        check_names(architecture, found)
    except CheckpointError as error:
        return str(error)
    return ""


def _what_spandrel_needs(error: ModuleNotFoundError) -> str:
    """Say what to install, from what is missing when spandrel is imported."""
    if error.name in (None, "spandrel"):
        return (
            "Other architectures can be exported when spandrel is installed: pip install spandrel"
        )
    return (
        f"spandrel, which may know it, is installed, but {error.name} is missing, which it needs: "
        f"pip install {str(error.name).partition('.')[0]}"
    )


def _load_foreign(
    path: Path, tensors: Mapping[str, Tensor], reason: str, act_type: str | None
) -> SourceNetwork:
    """Ask spandrel, giving it tensors only: its own readers of files are not used."""
    if any(name.endswith(".weight_orig") for name in tensors):
        raise ExportError(reason)
    if act_type is not None:
        raise ExportError(f"{reason}; --act-type is for compact networks only")
    # Buffers such as SwinIR's relative_position_index are integers; these names are weights.
    require_floats(tensors, [n for n in tensors if n.endswith((".weight", ".bias"))])
    try:
        import spandrel  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise ExportError(f"{reason}. {_what_spandrel_needs(error)}") from error
    except (ImportError, RuntimeError) as error:  # a torchvision made for another PyTorch
        raise ExportError(
            f"{reason}. spandrel, which may know it, cannot be imported ({first_line(error)}); "
            "install the torchvision that goes with this PyTorch"
        ) from error
    try:
        model = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
    except Exception as error:  # spandrel tells "not mine" and "damaged" by many exceptions
        raise ExportError(
            f"{reason}, and spandrel refuses it too ({first_line(error)}); networks of other "
            "architectures can be exported, such as ESRGAN, Compact and SPAN"
        ) from error
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise ExportError(f"spandrel reads a {type(model).__name__}, no upscaling network")
    if model.input_channels != model.output_channels:
        raise ExportError(
            f"{model.architecture.name} turns {model.input_channels} channels into "
            f"{model.output_channels}; only networks that keep them can be exported"
        )
    sizes = model.size_requirements
    if sizes.square:
        raise ExportError(
            f"{model.architecture.name} takes only square pictures, which most are not"
        )
    return SourceNetwork(
        path,
        model.model.float().eval(),
        str(model.architecture.name),
        int(model.scale),
        int(model.input_channels),
        max(1, int(sizes.multiple_of)),
        False,
        file_sha256(path),
        minimum=max(1, int(sizes.minimum)),
    )
