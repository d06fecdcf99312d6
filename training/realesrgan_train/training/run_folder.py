"""The folder of a run: its resolved configuration, and one owner at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import yaml

from realesrgan_train.config import RunConfig, config_to_yaml, parse_config
from realesrgan_train.errors import ConfigError

#: May change when a run is continued: they do not touch what is computed.
_FREE = (
    "output",
    "preset",
    "data.workers",
    "data.prefetch",
    "data.cache_mb",
    "validation",
    "checkpoint",
    "logging",
    "execution.compile",
)


def _free_keys(config: RunConfig) -> set[str]:
    """The last stage may be made longer or shorter while its rate does not depend on its length."""
    last = "gan" if config.stages.gan else "net"
    stage = getattr(config.stages, last)
    rates = [stage.optimizer, getattr(stage, "discriminator_optimizer", stage.optimizer)]
    if all(rate.schedule == "constant" for rate in rates):
        return {*_FREE, f"stages.{last}.steps"}
    return set(_FREE)


def _differences(old: object, new: object, free: set[str], prefix: str = "") -> Iterator[str]:
    if prefix in free:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            name = f"{prefix}.{key}" if prefix else key
            yield from _differences(old.get(key), new.get(key), free, name)
    elif old != new:
        yield f"{prefix} was {old!r}, now {new!r}"


def check_same_run(config: RunConfig) -> None:
    """Refuse to continue a run with a configuration that computes something else.

    Raises:
        ConfigError: listing what differs.
    """
    path = config.run_dir / "config.yaml"
    if not path.is_file():
        return
    old = parse_config(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    before, now = old.model_dump(mode="json"), config.model_dump(mode="json")
    found = list(_differences(before, now, _free_keys(config)))
    if found:
        raise ConfigError(
            f"{config.run_dir} holds a run with another configuration; continuing it would not "
            "give what either promises. Choose another name, or undo:\n  " + "\n  ".join(found)
        )


def save_config(config: RunConfig) -> None:
    """Write the resolved configuration, every default spelled out; it can be run again as it is."""
    config.run_dir.mkdir(parents=True, exist_ok=True)
    path = config.run_dir / "config.yaml"
    temporary = path.with_name(".config.yaml.tmp")
    temporary.write_text(config_to_yaml(config), encoding="utf-8")
    temporary.replace(path)


def _lock(file: IO[str]) -> None:
    """Lock a file for this process, or raise OSError when another one has it."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - only there

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 - not there

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def owned(folder: Path, active: bool) -> Iterator[None]:
    """Hold the run's folder; the system lets go of it when the process dies, however it dies.

    Raises:
        ConfigError: another process is training in it.
    """
    if not active:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            _lock(lock)
        except OSError as error:
            raise ConfigError(
                f"another process is training in {folder}: wait for it, or choose another name"
            ) from error
        yield
