"""Export-ready weights: `.safetensors` that say what they are and where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

import realesrgan_train
from realesrgan_train.checkpoint_file import write_tensors
from realesrgan_train.config import RunConfig
from realesrgan_train.weights import save_network


def _metadata(config: RunConfig, manifest: dict[str, Any], stage: str, step: int) -> dict[str, str]:
    return {
        "recipe": config.preset or "own",
        "config": json.dumps(config.model_dump(mode="json", exclude={"output"})),
        "data_manifest": json.dumps(manifest),
        "stage": stage,
        "step": str(step),
        "licence": config.licence,
        "trained_by": f"realesrgan-train {realesrgan_train.__version__}, torch {torch.__version__}",
    }


def export_generator(
    network: nn.Module, config: RunConfig, manifest: dict[str, Any], stage: str, step: int
) -> Path:
    """Write the generator as `weights/STAGE.safetensors` in the run's folder.

    The metadata has the recipe, the whole configuration, the data manifest, the step and the
    licence, beside the architecture.

    Returns:
        The file, replaced whole.
    """
    path = config.run_dir / "weights" / f"{stage}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_network(path, network, _metadata(config, manifest, stage, step))
    return path


def export_discriminator(
    network: nn.Module, config: RunConfig, manifest: dict[str, Any], step: int
) -> Path:
    """Write the discriminator as `weights/discriminator.safetensors`, for `start.discriminator`."""
    path = config.run_dir / "weights" / "discriminator.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = _metadata(config, manifest, "gan", step)
    write_tensors(path, network.state_dict(), {**metadata, "architecture": "UNetDiscriminatorSN"})
    return path
