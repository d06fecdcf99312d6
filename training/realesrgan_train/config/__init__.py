"""The run configuration: a strict schema, presets, YAML files and `key=value` overrides."""

from realesrgan_train.config.loading import (
    config_to_yaml,
    load_config,
    parse_config,
    preset_names,
)
from realesrgan_train.config.schema import RunConfig

__all__ = [
    "RunConfig",
    "config_to_yaml",
    "load_config",
    "parse_config",
    "preset_names",
]
