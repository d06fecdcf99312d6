"""From a YAML file or preset name and `key=value` overrides to a checked `RunConfig`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.config.nearest import describe_error, hint, models_in
from realesrgan_train.config.schema import RunConfig
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
        ConfigError: No such preset.
    """
    names = preset_names()
    if name not in names:
        raise ConfigError(f"no preset {name!r}{hint(name, names)} There are: {', '.join(names)}")
    text = resources.files("realesrgan_train.config") / "presets" / f"{name}.yaml"
    values: dict[str, Any] = yaml.safe_load(text.read_text(encoding="utf-8"))
    return values


_NAME_SAYS_SHARDS = re.compile(r"\.tar$|\{\d+\.\.\d+\}|^[a-z0-9+]+://")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-4` as text; a learning rate must be a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def _parse_yaml(text: str, origin: str) -> object:
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also numbers of 5,000 digits
        raise ConfigError(f"{origin} is not valid YAML: {error}") from error


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, mapping by mapping; another `architecture` replaces its mapping."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            present = old.get("architecture")
            other = present is not None and value.get("architecture", present) != present
            result[key] = dict(value) if other else merge(old, value)
        else:
            result[key] = value
    return result


def read_config_file(config: str | Path) -> dict[str, Any]:
    """Raw values of a YAML file, or of a preset when no such file exists; presets merged in.

    Raises:
        ConfigError: Neither a file nor a preset; unreadable or invalid YAML.
    """
    path = Path(config)
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not a YAML file in UTF-8 ({error})") from error
        values = _parse_yaml(text, str(path))
    elif str(config) in preset_names():
        values = {"preset": str(config)}
    else:
        names = preset_names()
        raise ConfigError(
            f"{config} is neither a file nor a preset{hint(str(config), names, 'the preset ')} "
            f"Presets: {', '.join(names)}"
        )
    if not isinstance(values, dict):
        raise ConfigError(f"{config}: a configuration is a mapping of keys to values")
    if path.is_file():
        values.setdefault("name", path.stem)
    return values


def _is_resolved(values: Mapping[str, Any]) -> bool:
    """Whether every default is spelled out, as `config_to_yaml` does.

    The preset is then merged already, and what is missing did not exist when the configuration was
    written: it keeps the default of its type, whatever the preset says of it today. A run that
    began with libjpeg's JPEG goes on with it.
    """
    recipe = values.get("degradation")
    known = DegradationConfig.model_fields.keys() - {"jpeg", "first_resize"}
    return (
        isinstance(recipe, Mapping)
        and known <= recipe.keys()
        and RunConfig.model_fields.keys() <= values.keys()
    )


def _with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Merge the chain of parents; `preset` in the result is the outermost name."""
    name = values.get("preset")
    if name is None or _is_resolved(values):
        return values
    if not isinstance(name, str):
        raise ConfigError(f"preset is the name of a preset, not {name!r}")
    return merge(_with_preset(preset_values(name)), values)


def parse_override(text: str) -> dict[str, Any]:
    """`a.b=value` as nested mappings; the value is YAML.

    Raises:
        ConfigError: No `=`, or an empty key.
    """
    key, equals, value = text.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {text!r} is not key=value, such as data.batch_size=4")
    nested: object = _parse_yaml(value, f"the value of {key}")
    result: dict[str, Any] = {parts[-1]: nested}
    for part in reversed(parts[:-1]):
        result = {part: result}
    return result


def _source(value: object) -> object:
    """A plain path or URL is short for a source; its ending says which kind."""
    if not isinstance(value, str):
        return value
    if _NAME_SAYS_SHARDS.search(value):
        return {"kind": "shards", "urls": [value]}
    return {"kind": "lmdb" if value.rstrip("/").endswith(".lmdb") else "folder", "path": value}


def _sources(value: object) -> object:
    if isinstance(value, str | dict):
        value = [value]
    if not isinstance(value, list):
        return value
    return [
        {side: _source(inner) for side, inner in entry.items()}
        if isinstance(entry, dict) and "kind" not in entry
        else _source(entry)
        for entry in value
    ]


def _expand_shorthand(values: dict[str, Any]) -> dict[str, Any]:
    for section in ("data", "validation"):
        part = values.get(section)
        if isinstance(part, dict):
            expanded = {key: _sources(part[key]) for key in ("pictures", "pairs") if key in part}
            expanded |= {
                key: {"backbone": part[key]}
                for key in ("lpips", "dists")
                if isinstance(part.get(key), str)
            }
            values = {**values, section: {**part, **expanded}}
    return values


def _fill_partial(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Lay partly given sections over their defaults.

    Without this, `stages.gan.optimizer.kind=adamw` would take the learning rate from the defaults
    of its type, which are the first stage's.
    """
    filled = dict(values)
    for name, field in model.model_fields.items():
        given = values.get(name)
        if not isinstance(given, dict):
            continue
        default = field.get_default(call_default_factory=False)
        inner = models_in(field.annotation)
        if isinstance(default, BaseModel):
            given = merge(default.model_dump(mode="json"), given)
        if len(inner) == 1:
            given = _fill_partial(inner[0], given)
        filled[name] = given
    return filled


def parse_config(values: Mapping[str, Any], origin: str = "the configuration") -> RunConfig:
    """Check raw values.

    Raises:
        ConfigError: Listing every problem, unknown keys with the nearest valid name.
    """
    expanded = _fill_partial(RunConfig, _expand_shorthand(_with_preset(dict(values))))
    try:
        # JSON mode: strict about types, yet lists may become tuples and text may become paths.
        return RunConfig.model_validate_json(json.dumps(expanded, default=str))
    except ValidationError as error:
        lines = [f"  {describe_error(RunConfig, item)}" for item in error.errors()]
        raise ConfigError("\n".join([f"{origin} is not valid:", *lines])) from error


def load_config(config: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file or preset, apply `key=value` overrides in order, check the result.

    Raises:
        ConfigError: With one line per problem.
    """
    values = read_config_file(config)
    for text in overrides:
        override = parse_override(text)
        values = merge(_with_preset(values) if "preset" not in override else values, override)
    return parse_config(values, str(config))


def config_to_yaml(config: RunConfig) -> str:
    """The resolved configuration as YAML, every default spelled out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
