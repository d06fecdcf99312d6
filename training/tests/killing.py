"""Run `realesrgan-train` and kill it with SIGKILL at a place that no clock decides.

    python killing.py PLACE NUMBER ARGUMENTS...

Before the NUMBER-th time that it comes by the place, the process whose RANK is KILLED_RANK (by
default the only one) kills itself; under torchrun only at the first start. PLACE is `update`
(between the gradients and the optimiser), `write` (when half of a checkpoint's file is written) or
`export` (a checkpoint is in place, its weights are not exported).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realesrgan_train.cli import main
from realesrgan_train.engine import checkpoints
from realesrgan_train.engine.trainer import Trainer
from realesrgan_train.engine.updater import Updater

_PLACES = {
    "update": (Updater, "update"),
    "write": (checkpoints, "_write"),
    "export": (Trainer, "_export"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(place: str, number: int) -> None:
    owner, name = _PLACES[place]
    inner: Callable[..., Any] = getattr(owner, name)
    passed = 0

    def counted(*arguments: Any) -> object:  # noqa: ANN401 - whatever the place takes
        nonlocal passed
        passed += 1
        if passed < number:
            result: object = inner(*arguments)
            return result
        if place == "write":
            inner(*arguments)
            path: Path = arguments[0]
            os.truncate(path, path.stat().st_size // 2)
        _die()
        return None

    setattr(owner, name, counted)


if __name__ == "__main__":
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if first and os.environ.get("RANK", "0") == os.environ.get("KILLED_RANK", "0"):
        _arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["realesrgan-train", *sys.argv[3:]]
    main()
