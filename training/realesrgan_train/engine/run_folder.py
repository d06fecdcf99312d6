"""The folder of a run: its resolved configuration, and one owner at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from realesrgan_train.config import RunConfig, config_to_yaml, parse_config
from realesrgan_train.config.schema import OptimizerConfig
from realesrgan_train.data.opening import data_changes
from realesrgan_train.engine.checkpoints import newest_step
from realesrgan_train.errors import ConfigError
from realesrgan_train.files import replacing

#: May change when a run is continued: they do not touch what is computed. (`execution.compile`
#: does: its kernels add in another order.) Another device or number of threads adds in another
#: order, too, but a run must be able to move to another machine: the user is told.
_FREE = (
    "output",
    "preset",
    "licence",
    "execution.device",
    "execution.threads",
    "data.workers",
    "data.prefetch",
    "data.cache_mb",
    "data.cache_folder",
    "validation",
    "guards",
    "checkpoint",
    "logging",
)


#: Where the pictures are. May change while they are the same, which their manifest tells.
_PLACES = ("data.pictures", "data.pairs")


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


@dataclass(frozen=True)
class Changes:
    """What a configuration changes in a run that it may continue.

    Attributes:
        advised: What a guard advised when it stopped the run.
        rescheduled: Stages made longer whose learning rate depends on their length.
        moved: Other places of the pictures; see `check_same_data`.
    """

    advised: list[str] = field(default_factory=list)
    rescheduled: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)


def _rates(config: RunConfig, stage: str) -> list[OptimizerConfig]:
    if stage == "net":
        return [config.stages.net.optimizer] if config.stages.net else []
    gan = config.stages.gan
    return [gan.optimizer, gan.discriminator_optimizer] if gan else []


def _depends_on_length(config: RunConfig, stage: str) -> bool:
    """Whether a stage's learning rate depends on how many steps it has."""
    return any(rate.schedule != "constant" for rate in _rates(config, stage))


def _lengthened(old: RunConfig, new: RunConfig, done: int) -> set[str]:
    """Keys that make the run longer; of what was trained so far they change nothing.

    The first stage may grow until the second has begun, which builds on its result. The second may
    be added, too.
    """
    keys = set()
    before, now = old.stages, new.stages
    net_has_grown = before.net and now.net and now.net.steps > before.net.steps
    if before.net and net_has_grown and (before.gan is None or done <= before.net.steps):
        keys.add("stages.net.steps")
    if before.gan and now.gan and now.gan.steps > before.gan.steps:
        keys.add("stages.gan.steps")
    if before.gan is None and now.gan is not None:
        keys.add("stages.gan")
    return keys


def _free_keys(old: RunConfig, new: RunConfig, longer: set[str]) -> set[str]:
    """What changes nothing of what was computed.

    The last stage may also be made shorter while its rate does not depend on its length.
    """
    last = "gan" if new.stages.gan else "net"
    free = {*_FREE, *longer}
    if not _depends_on_length(new, last) and not _depends_on_length(old, last):
        free.add(f"stages.{last}.steps")
    return free


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


def check_same_run(config: RunConfig) -> Changes:
    """Refuse to continue a run with a configuration that computes something else.

    Returns:
        Allowed differences that the user is told.

    Raises:
        ConfigError: Listing those that are not allowed.
    """
    path = config.run_dir / "config.yaml"
    if not path.is_file():
        return Changes()
    old = parse_config(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    before, now = old.model_dump(mode="json"), config.model_dump(mode="json")
    longer = _lengthened(old, config, newest_step(config.run_dir / "checkpoints"))
    found = list(_differences(before, now, _free_keys(old, config, longer)))
    advised: list[_Difference] = []
    if found and _was_stopped_by_a_guard(config):
        advised = [(k, a, b) for k, a, b in found if k in _ADVICE and _ADVICE[k](a, b)]
    moved = [difference for difference in found if difference[0] in _PLACES]
    refused = [each for each in found if each not in advised and each not in moved]
    if refused:
        lines = _in_words(refused)
        if any(key == "stages.net.steps" for key, _, _ in refused) and old.stages.gan:
            lines.append(
                "(the gan stage has begun, which refines the net stage's result: raise "
                "stages.gan.steps, or begin a new run with start.generator set to these weights)"
            )
        raise ConfigError(
            f"{config.run_dir} holds a run with another configuration; continued, it "
            "would give the result of neither. Choose another name, or undo:\n  "
            + "\n  ".join(lines)
        )
    rescheduled = [stage for stage in ("net", "gan") if f"stages.{stage}.steps" in longer]
    return Changes(
        _in_words(advised),
        [
            f"stages.{stage}.steps is larger than before, and the learning rate of the stage "
            "depends on it: from here on it follows the longer schedule, unlike a run of this "
            "length from the start"
            for stage in rescheduled
            if _depends_on_length(config, stage)
        ],
        _in_words(moved),
    )


def check_same_data(
    config: RunConfig, changes: Changes, before: dict[str, Any], now: dict[str, Any]
) -> None:
    """Refuse to continue with pictures of another place unless they are the same.

    Args:
        config: Configuration of the run.
        changes: As `check_same_run` returned them.
        before: The manifest of the checkpoint; see `data_manifest`.
        now: The manifest of the configured pictures.

    Raises:
        ConfigError: Saying what differs.
    """
    different = data_changes(before, now)
    if changes.moved and different:
        raise ConfigError(
            f"{config.run_dir} holds a run with other pictures; continued, it would give the "
            "result of neither. Choose another name, or give the run's own pictures, which may "
            "have moved:\n  " + "\n  ".join([*changes.moved, *different])
        )


def save_config(config: RunConfig) -> None:
    """Write the resolved configuration, every default spelled out; it can be run again as it is."""
    config.run_dir.mkdir(parents=True, exist_ok=True)
    with replacing(config.run_dir / "config.yaml") as partial:
        partial.write_text(config_to_yaml(config), encoding="utf-8")


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
    """Lock the run's folder; the system unlocks it when the process ends, however it ends.

    Raises:
        ConfigError: Another process is training in it.
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
