"""The JSONL log, and the extras beside it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest

from realesrgan_train.config import load_config
from realesrgan_train.engine.run_log import RunLog
from realesrgan_train.errors import ConfigError

from ..conftest import Overrides


class _Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []
        self.closed = 0

    def log(self, values: dict[str, float], step: int) -> None:
        self.seen.extend((name, value, step) for name, value in values.items())

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.seen.append((name, value, step))

    def finish(self) -> None:
        self.closed += 1

    close = finish


def test_every_line_is_json_and_a_restart_appends(micro: Overrides) -> None:
    config = load_config("tiny", micro())
    for step in (1, 2):
        log = RunLog(config, active=True)
        log.event("step", step, loss=math.nan if step == 2 else 0.5)
        log.close()
    RunLog(config, active=False).event("step", 3)
    lines = (config.run_dir / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [0.5, "nan"]


@pytest.mark.parametrize("extra", ["tensorboard", "wandb"])
def test_extras_get_the_numbers(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    """Against stand-ins with the extras' interface, for neither is installed for tests."""
    recorder = _Recorder()
    board, wandb = ModuleType("torch.utils.tensorboard"), ModuleType("wandb")
    board.SummaryWriter = lambda folder: recorder  # type: ignore[attr-defined]
    wandb.init = lambda **_: recorder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    log = RunLog(load_config("tiny", micro(f"logging.{extra}=true")), active=True)
    log.event("step", 7, stage="net", loss=0.25)
    log.event("checkpoint", 7)
    log.event("validation", 7, psnr_y=30.0)
    log.close()
    assert recorder.seen == [("step/loss", 0.25, 7), ("validation/psnr_y", 30.0, 7)]
    assert recorder.closed == 1


def test_wandb_continues_a_run_and_keeps_two_of_one_name_apart(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[object] = []

    def init(**given: object) -> _Recorder:
        seen.append(given["id"])
        return _Recorder()

    wandb = ModuleType("wandb")
    wandb.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    for output in ("here", "here", "there"):
        options = ("logging.wandb=true", f"output={tmp_path / output}")
        RunLog(load_config("tiny", micro(*options)), active=True).close()
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("extra", ["tensorboard", "wandb"])
def test_a_missing_extra_says_how_to_get_it(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    for name in ("torch.utils.tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"pip install {extra}$"):
        RunLog(load_config("tiny", micro(f"logging.{extra}=true")), active=True)
