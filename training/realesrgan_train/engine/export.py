"""Export-ready weights: `.safetensors` that say what they are and where they come from."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

import realesrgan_train
from realesrgan_train.checkpoint_file import write_tensors
from realesrgan_train.config import RunConfig
from realesrgan_train.networks import UNetDiscriminatorSN
from realesrgan_train.weights import save_network


def export_weights(
    network: nn.Module, config: RunConfig, manifest: dict[str, Any], name: str, step: int
) -> None:
    """Write a network as `weights/NAME.safetensors` in the run's folder, whole or not at all.

    The metadata has the recipe, the whole configuration, the data manifest, the step and the
    licence, beside the architecture.

    Args:
        network: A generator, or the discriminator, whose file `start.discriminator` takes.
        config: Configuration of the run.
        manifest: As `data_manifest` returns it.
        name: The stage's, or "discriminator" for that of the stage `gan`.
        step: Steps done.
    """
    path = config.run_dir / "weights" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "recipe": config.preset or "own",
        "config": json.dumps(config.model_dump(mode="json", exclude={"output"})),
        "data_manifest": json.dumps(manifest),
        "stage": "gan" if name == "discriminator" else name,
        "step": str(step),
        "licence": config.licence,
        "trained_by": f"realesrgan-train {realesrgan_train.__version__}, torch {torch.__version__}",
    }
    if isinstance(network, UNetDiscriminatorSN):
        metadata["architecture"] = "UNetDiscriminatorSN"
        write_tensors(path, network.state_dict(), metadata)
    else:
        save_network(path, network, metadata)
