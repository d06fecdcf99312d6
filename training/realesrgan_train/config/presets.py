"""The presets: one YAML file each, next to this module."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

from realesrgan_train.config.nearest import nearest
from realesrgan_train.errors import ConfigError


def preset_names() -> list[str]:
    """Names of the shipped presets, sorted."""
    folder = resources.files("realesrgan_train.config") / "presets"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def preset_values(name: str) -> dict[str, Any]:
    """The raw values of a preset, its own `preset` parent not yet merged.

    Raises:
        ConfigError: no such preset; the message names the nearest one.
    """
    names = preset_names()
    if name not in names:
        guess = nearest(name, names)
        hint = f"; did you mean {guess!r}?" if guess else "."
        raise ConfigError(f"no preset {name!r}{hint} There are: {', '.join(names)}")
    text = resources.files("realesrgan_train.config") / "presets" / f"{name}.yaml"
    values: dict[str, Any] = yaml.safe_load(text.read_text(encoding="utf-8"))
    return values
