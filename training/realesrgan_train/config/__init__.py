"""The run configuration: a strict schema, presets, YAML files and `key=value` overrides."""

from realesrgan_train.config.loading import (
    config_to_yaml,
    json_schema,
    load_config,
    parse_config,
    preset_names,
    preset_values,
    read_config_file,
)
from realesrgan_train.config.schema import RunConfig

__all__ = [
    "RunConfig",
    "config_to_yaml",
    "json_schema",
    "load_config",
    "parse_config",
    "preset_names",
    "preset_values",
    "read_config_file",
]
