"""`realesrgan-train presets` and `schema`."""

from __future__ import annotations

import json

import typer

from realesrgan_train.cli.reporting import reported_errors
from realesrgan_train.config import json_schema, load_config, preset_names
from realesrgan_train.config.schema import RunConfig
from realesrgan_train.engine.building import configured_architecture


def _stages(config: RunConfig) -> str:
    stages = config.stages
    parts = [f"{name} {stage.steps:,}" for name, stage in stages if stage is not None]
    return " + ".join(parts)


def presets() -> None:
    """List the presets: network and steps of each stage."""
    with reported_errors():
        for name in preset_names():
            config = load_config(name)
            network = configured_architecture(config)
            typer.echo(f"{name:22} {_stages(config):30} {network}")


def schema() -> None:
    """Print the JSON schema of the configuration, for editors that check YAML."""
    typer.echo(json.dumps(json_schema(), indent=2))
