"""`realesrgan-train interpolate`: blend two networks of one architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from realesrgan_train.cli.reporting import ActTypeOption, reported_errors
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.weights import interpolate as blend
from realesrgan_train.weights import load_checked, save_network

_WeightsArgument = Annotated[Path, typer.Argument(help="A .pth or .safetensors file.")]


def interpolate(
    a: _WeightsArgument,
    b: _WeightsArgument,
    alpha: Annotated[float, typer.Option(help="Share of B: 0 gives A, 1 gives B.")] = 0.5,
    out: Annotated[Path, typer.Option(help=".safetensors file to write.")] = Path(
        "interpolated.safetensors"
    ),
    act_type: ActTypeOption = None,
) -> None:
    """Write (1 - alpha) * A + alpha * B, such as between a strong and a weak denoiser."""
    with reported_errors():
        if not 0 <= alpha <= 1:
            raise ConfigError(f"alpha is {alpha}, but must be between 0 (A) and 1 (B)")
        if out.suffix != ".safetensors":
            raise ConfigError(f"--out {out}: weights are written as .safetensors")
        if not out.parent.is_dir():
            raise ConfigError(f"--out {out}: the folder {out.parent} does not exist")
        first, second = load_checked(a, act_type), load_checked(b, act_type)
        if str(first.architecture) != str(second.architecture):
            raise CheckpointError(
                f"{a} holds {first.architecture}, {b} holds {second.architecture}: only "
                "networks of one architecture and size can be blended"
            )
        mixed = blend(first.network.state_dict(), second.network.state_dict(), alpha)
        first.network.load_state_dict(mixed)
        origin = {"a": str(a.name), "b": str(b.name), "alpha": alpha}
        licences = {loaded.metadata.get("licence", "unspecified") for loaded in (first, second)}
        metadata = {"interpolated": json.dumps(origin), "licence": " AND ".join(sorted(licences))}
        save_network(out, first.network, metadata)
        typer.echo(str(out))
