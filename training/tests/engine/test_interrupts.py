"""Ctrl-C and SIGTERM: the step in hand is finished, saved, and the run can be continued."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch
from click.testing import CliRunner

from realesrgan_train.cli import app
from realesrgan_train.config import load_config
from realesrgan_train.data.batches import TrainingBatch
from realesrgan_train.engine import ProcessGroup, Trainer

from ..conftest import Overrides
from .test_resume import assert_same_bits

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def _signal_in_step(
    patch: pytest.MonkeyPatch, step: int, number: signal.Signals, times: int
) -> None:
    inner = Trainer._one_step

    def one_step(trainer: Trainer, batches: Iterator[TrainingBatch]) -> None:
        if trainer.state.step == step:
            for _ in range(times):
                signal.raise_signal(number)
        inner(trainer, batches)

    patch.setattr(Trainer, "_one_step", one_step)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_with_a_checkpoint(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    common = micro("checkpoint.every=100")
    with monkeypatch.context() as patch:
        _signal_in_step(patch, 9, number, 1)
        result = CliRunner().invoke(app, ["run", "tiny", *common])
    assert result.exit_code == 130, result.output
    assert "stopped after step 10; the same command continues" in result.stderr
    assert signal.getsignal(number) is before
    stopped = load_config("tiny", common)
    assert (stopped.run_dir / "checkpoints" / "step-000000010-0").is_dir()
    assert Trainer(stopped, ALONE).run().finished
    straight = load_config("tiny", [*common, "name=straight"])
    Trainer(straight, ALONE).run()
    last = "checkpoints/step-000000014-0"
    assert_same_bits(straight.run_dir / last, stopped.run_dir / last)


def test_a_second_signal_interrupts_at_once(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_in_step(monkeypatch, 2, signal.SIGINT, 2)
    result = CliRunner().invoke(app, ["run", "tiny", *micro()])
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    folder = load_config("tiny", micro()).run_dir / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["step-000000000-0"]
