"""The folder of a run: its resolved configuration, and one owner at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from realesrgan_train.config import RunConfig, config_to_yaml, parse_config
from realesrgan_train.errors import ConfigError

#: May change when a run is continued: they do not touch what is computed. (`execution.compile`
#: does: its kernels add in another order.)
_FREE = (
    "output",
    "preset",
    "data.workers",
    "data.prefetch",
    "data.cache_mb",
    "validation",
    "guards",
    "checkpoint",
    "logging",
)


def _is_lower(old: Any, new: Any) -> bool:  # noqa: ANN401 - a configuration's value
    return bool(0 < new < old)


#: May change, and only so, once a guard has stopped the run: what the guards' messages advise.
_ADVICE: dict[str, Callable[[Any, Any], bool]] = {
    "stages.net.optimizer.lr": _is_lower,
    "stages.gan.optimizer.lr": _is_lower,
    "stages.gan.discriminator_optimizer.lr": _is_lower,
    "stages.gan.gan.weight": _is_lower,
    "stages.net.pixel.weight": lambda old, new: _is_lower(new, old),
    "stages.gan.pixel.weight": lambda old, new: _is_lower(new, old),
    "execution.clip_norm": lambda old, new: bool(new) and (not old or new < old),
    "execution.precision": lambda old, new: old == "fp16",
}


def _free_keys(config: RunConfig) -> set[str]:
    """The last stage may be made longer or shorter while its rate does not depend on its length."""
    last = "gan" if config.stages.gan else "net"
    stage = getattr(config.stages, last)
    rates = [stage.optimizer, getattr(stage, "discriminator_optimizer", stage.optimizer)]
    if all(rate.schedule == "constant" for rate in rates):
        return {*_FREE, f"stages.{last}.steps"}
    return set(_FREE)


_Difference = tuple[str, object, object]


def _differences(
    old: object, new: object, free: set[str], prefix: str = ""
) -> Iterator[_Difference]:
    if prefix in free:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            name = f"{prefix}.{key}" if prefix else key
            yield from _differences(old.get(key), new.get(key), free, name)
    elif old != new:
        yield prefix, old, new


def _in_words(differences: Iterable[_Difference]) -> list[str]:
    return [f"{key} was {old!r}, now {new!r}" for key, old, new in differences]


def _was_stopped_by_a_guard(config: RunConfig) -> bool:
    path = config.run_dir / "log.jsonl"
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as log:
        return any(line.startswith('{"event": "stopped"') for line in log)


def check_same_run(config: RunConfig) -> list[str]:
    """Refuse to continue a run with a configuration that computes something else.

    Returns:
        What differs and is admitted, because a guard stopped the run and advised it.

    Raises:
        ConfigError: listing what differs and is not.
    """
    path = config.run_dir / "config.yaml"
    if not path.is_file():
        return []
    old = parse_config(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    before, now = old.model_dump(mode="json"), config.model_dump(mode="json")
    found = list(_differences(before, now, _free_keys(config)))
    advised: list[_Difference] = []
    if found and _was_stopped_by_a_guard(config):
        advised = [(k, a, b) for k, a, b in found if k in _ADVICE and _ADVICE[k](a, b)]
    refused = [difference for difference in found if difference not in advised]
    if refused:
        raise ConfigError(
            f"{config.run_dir} holds a run with another configuration; continuing it would not "
            "give what either promises. Choose another name, or undo:\n  "
            + "\n  ".join(_in_words(refused))
        )
    return _in_words(advised)


def save_config(config: RunConfig) -> None:
    """Write the resolved configuration, every default spelled out; it can be run again as it is."""
    config.run_dir.mkdir(parents=True, exist_ok=True)
    path = config.run_dir / "config.yaml"
    temporary = path.with_name(".config.yaml.tmp")
    temporary.write_text(config_to_yaml(config), encoding="utf-8")
    temporary.replace(path)


def _lock(file: IO[str]) -> None:
    """Lock a file for this process, or raise OSError when another one has it.

    A record lock, not `flock`: loader workers are forked, and would inherit the latter and keep it
    for some seconds after this process was killed.
    """
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - only there

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 - not there

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
