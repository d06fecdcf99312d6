"""Two networks of one architecture mixed into one (network interpolation, Wang et al., 2019)."""

from __future__ import annotations

import math
from pathlib import Path

from realesrgan_export.errors import ExportError
from realesrgan_export.target import check_file
from realesrgan_train.errors import CheckpointError
from realesrgan_train.weights import Architecture, interpolate, load_checked, save_network
from realesrgan_vk.models.checksums import file_sha256


def blend_checkpoints(
    first: Path, second: Path, alpha: float, output: Path, act_type: str | None = None
) -> None:
    """Write (1 - alpha) * first + alpha * second as `.safetensors`.

    Both networks are of one architecture, scale and sizes; alpha is 0..1. `act_type` is the
    activation of compact networks without PReLU, unless the files tell.

    Raises:
        ExportError: If a file cannot be read, the networks do not fit, or alpha is outside 0..1.
    """
    if not (math.isfinite(alpha) and 0 <= alpha <= 1):
        raise ExportError(f"--alpha must be between 0 and 1, not {alpha:g}")
    check_file(output)
    try:
        a, b = (load_checked(path, act_type) for path in (first, second))
        if a.architecture != b.architecture:
            raise ExportError(
                f"{first} is {_words(a.architecture)} and {second} "
                f"{_words(b.architecture)}; only equal networks can be blended"
            )
        state = interpolate(a.network.state_dict(), b.network.state_dict(), alpha)
        a.network.load_state_dict(state)
        metadata = {
            "blend": f"{1 - alpha:g} {first.name} + {alpha:g} {second.name}",
            "blend_sha256": f"{file_sha256(first)} {file_sha256(second)}",
        }
        licences = {x.metadata["licence"] for x in (a, b) if "licence" in x.metadata}
        if licences:
            metadata["licence"] = " AND ".join(sorted(licences))
        save_network(output, a.network, metadata)
    except CheckpointError as error:
        raise ExportError(str(error)) from error


def _words(architecture: Architecture) -> str:
    sizes = ", ".join(f"{key}={value}" for key, value in architecture.kwargs.items())
    return f"{architecture.name}({sizes})"
