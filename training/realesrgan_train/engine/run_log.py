"""What a run writes down: `log.jsonl` always, TensorBoard and Weights & Biases when asked."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from realesrgan_train.config import RunConfig
from realesrgan_train.errors import ConfigError
from realesrgan_train.files import replacing


class _TensorBoard:
    def __init__(self, config: RunConfig) -> None:
        writer = _import("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._writer = writer(str(config.run_dir / "tensorboard"))
        self.close = self._writer.close

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        with Image.open(path) as image:
            self._writer.add_image(name, np.asarray(image), step, dataformats="HWC")


def _import(module: str, extra: str) -> Any:  # noqa: ANN401 - optional, and without types
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"logging.{extra} needs a package that is not installed: pip install {extra}"
        ) from error


def _wandb_id(config: RunConfig) -> str:
    """An identity that belongs to the run's folder: two runs may have one name."""
    path = config.run_dir / "wandb-id"
    if not path.is_file():
        with replacing(path) as partial:
            partial.write_text(secrets.token_hex(8), encoding="ascii")
    return path.read_text(encoding="ascii")


class _Wandb:
    def __init__(self, config: RunConfig) -> None:
        self._run = _import("wandb", "wandb").init(
            project=config.logging.wandb_project,
            name=config.name,
            id=_wandb_id(config),
            resume="allow",
            dir=str(config.run_dir),
            config=config.model_dump(mode="json"),
        )
        self.close = self._run.finish

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, name: str, path: Path, step: int) -> None:
        self._run.log({name: _import("wandb", "wandb").Image(str(path))}, step=step)


def _drop_cut_line(path: Path) -> None:
    """Remove the part of a line that a kill or a full disk left at the end of a log."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        whole = sum(len(line) for line in file if line.endswith(b"\n"))
        file.truncate(whole)


class RunLog:
    """Appends one JSON object per event; does nothing on processes other than the main one.

    After a crash the file may hold steps that are done again; the later line counts.

    Raises:
        ConfigError: An extra that is asked for is not installed.
    """

    def __init__(self, config: RunConfig, active: bool) -> None:
        self._file: TextIO | None = None
        self._sinks: list[_TensorBoard | _Wandb] = []
        if not active:
            return
        config.run_dir.mkdir(parents=True, exist_ok=True)
        if config.logging.tensorboard:
            self._sinks.append(_TensorBoard(config))
        if config.logging.wandb:
            self._sinks.append(_Wandb(config))
        path = config.run_dir / "log.jsonl"
        _drop_cut_line(path)
        self._file = path.open("a", encoding="utf-8")

    def event(self, event: str, step: int, **values: object) -> None:
        """Write one line; numbers of `step` and `validation` events also go to the extras.

        Raises:
            OSError: Naming the log, if it cannot be written.
        """
        if self._file is None:
            return
        line: dict[str, object] = {"event": event, "step": step, "time": round(time.time(), 3)}
        for name, value in values.items():
            is_number = not isinstance(value, float) or math.isfinite(value)
            line[name] = value if is_number else str(value)  # JSON has no NaN
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            name = self._file.name
            with suppress(OSError):  # it still holds the line, which cannot be written now either
                self._file.close()
            self._file = None
            raise OSError(error.errno, error.strerror, name) from error
        if event in ("step", "validation"):
            numbers = {f"{event}/{k}": v for k, v in values.items() if isinstance(v, float)}
            for sink in self._sinks:
                sink.scalars(numbers, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """Show a picture's file in the extras."""
        for sink in self._sinks:
            sink.picture(name, path, step)

    def close(self) -> None:
        """Flush everything."""
        if self._file is not None:
            self._file.close()
        for sink in self._sinks:
            sink.close()
