"""Guards: what they notice, when they keep quiet, and what the run does then."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.config.schema import GuardConfig
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.engine.guards import Guards
from realesrgan_train.errors import TrainingStopped

from ..conftest import Overrides

ALONE = ProcessGroup(0, 1, torch.device("cpu"))
GOOD = {
    "loss": 0.1,
    "colour_r": 0.01,
    "colour_g": -0.02,
    "colour_b": 0.0,
    "discriminator_loss": 1.2,
    "discriminator_real": 0.4,
    "discriminator_fake": -0.4,
}


def _guards() -> Guards:
    return Guards(GuardConfig(warmup=10, patience=3))


def test_a_healthy_run_is_left_alone() -> None:
    guards = _guards()
    assert all(guards.check(GOOD, step) is None for step in range(50))
    assert not guards.suspicious


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"discriminator_loss": 1e-5}, "the discriminator tells all pictures apart"),
        ({"discriminator_real": -0.4}, "the discriminator gives the same answer to real"),
        ({"colour_b": -0.1}, "blue is 26/255 too low"),
        ({"colour_r": 0.2}, "red is 51/255 too high"),
    ],
)
def test_trouble_is_called_after_patience_and_not_in_warmup(
    figures: dict[str, float], message: str
) -> None:
    guards, bad = _guards(), GOOD | figures
    assert [guards.check(bad, step) for step in range(10)] == [None] * 10
    assert [guards.check(bad, 10), guards.check(bad, 11)] == [None, None]
    assert guards.suspicious
    assert guards.check(GOOD, 12) is None  # it recovered: the count starts anew
    assert not guards.suspicious
    assert [guards.check(bad, 13), guards.check(bad, 14)] == [None, None]
    found = guards.check(bad, 15)
    assert found is not None
    assert message in found


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_numbers_count_at_once(value: float) -> None:
    found = _guards().check(GOOD | {"loss": value}, 0)
    assert found is not None
    assert "loss became infinite or not a number" in found


def _poison(trainer: Trainer, step: int, times: int) -> list[float]:
    """Make the weights NaN after a step, so many times; returns the rate factors of each step."""
    factors: list[float] = []
    left = [times]
    inner = trainer._one_step

    def poisoned(batches: object) -> None:
        factors.append(trainer.state.rate_factor)
        inner(batches)  # type: ignore[arg-type]
        if trainer.state.step == step and left[0]:
            left[0] -= 1
            with torch.no_grad():
                next(trainer.state.generator.parameters()).fill_(math.nan)

    trainer._one_step = poisoned  # type: ignore[method-assign]
    return factors


def _events(config: RunConfig) -> list[dict[str, object]]:
    lines = (config.run_dir / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(micro_config: RunConfig) -> None:
    trainer = Trainer(micro_config, ALONE)
    _poison(trainer, step=4, times=1)
    with pytest.raises(TrainingStopped, match=r"stopped at step 6: .*step-000000003-0"):
        trainer.run()
    assert _events(micro_config)[-1]["event"] == "stopped"
    again = Trainer(micro_config, ALONE)  # the same command continues from the good one
    assert again.run().finished
    assert again.state.is_finite()


def test_rollback_goes_back_once_at_half_the_rate_with_other_draws(micro: Overrides) -> None:
    config = load_config("tiny", micro("guards.action=rollback"))
    trainer = Trainer(config, ALONE)
    factors = _poison(trainer, step=4, times=1)
    assert trainer.run().finished
    assert factors == [1.0] * 6 + [0.5] * 11  # 6 steps, back to 3, then 4..14
    rollback = next(e for e in _events(config) if e["event"] == "rollback")
    assert (rollback["step"], rollback["failed_at"]) == (3, 6)
    assert trainer.state.seed != config.seed
    names = sorted(path.name for path in (config.run_dir / "checkpoints").iterdir())
    assert names == ["step-000000012-1", "step-000000014-1"]


def test_a_rollback_survives_a_restart_and_happens_only_once(
    micro: Overrides, tmp_path: Path
) -> None:
    config = load_config("tiny", micro("guards.action=rollback"))
    trainer = Trainer(config, ALONE)
    _poison(trainer, step=4, times=2)
    with pytest.raises(TrainingStopped, match="after a rollback already"):
        trainer.run()
    again = Trainer(config, ALONE)
    factors = _poison(again, step=99, times=0)
    assert again.run().finished
    assert set(factors) == {0.5}


def test_a_discriminator_that_wins_in_training_stops_the_run(micro: Overrides) -> None:
    """No figure is made up: it learns fast, and the generator hardly at all."""
    config = load_config(
        "tiny",
        micro(
            "stages.net={steps: 1, pixel: {weight: 0}}",
            "stages.gan.steps=400",
            "stages.gan.optimizer.lr=1e-9",
            "stages.gan.discriminator_optimizer.lr=3e-3",
            "guards={every: 5, warmup: 10, patience: 2, colour_drift: 1.0}",
            "guards.discriminator_loss=0.05",
            "checkpoint.every=10",
        ),
    )
    with pytest.raises(
        TrainingStopped, match=r"the discriminator tells all pictures apart: its loss is 0\.0"
    ) as stop:
        Trainer(config, ALONE).run()
    events = _events(config)
    assert events[-1]["event"] == "stopped"
    losses = [e["discriminator_loss"] for e in events if "discriminator_loss" in e]
    assert isinstance(losses[0], float)
    assert isinstance(losses[-1], float)
    assert losses[0] > 1
    assert losses[-1] < 0.05
    saved = [e["step"] for e in events if e["event"] == "checkpoint"]
    assert f"step-{saved[-1]:09d}-0" in str(stop.value)  # the last before it looked bad


def test_the_guards_warmup_begins_when_the_generator_learns(micro: Overrides) -> None:
    """A discriminator that learns alone may well tell all pictures apart for a while."""
    config = load_config(
        "tiny",
        micro(
            "stages.net.steps=1",
            "stages.gan={steps: 12, warmup_discriminator: 7}",
            "guards={every: 1, warmup: 2, patience: 1, discriminator_loss: 1000}",
        ),
    )
    with pytest.raises(TrainingStopped, match=r"stopped at step 10: the discriminator tells all"):
        Trainer(config, ALONE).run()


def test_a_discriminator_that_is_not_finite_is_not_saved(micro: Overrides) -> None:
    trainer = Trainer(load_config("tiny", micro("stages.net={steps: 1}")), ALONE)
    trainer.state.step = 1
    assert trainer.state.enter_stage()
    assert trainer.state.is_finite()
    judge = trainer.state.stage.own_networks[0]
    with torch.no_grad():
        next(judge.parameters()).view(-1)[0] = math.inf
    assert not trainer.state.is_finite()
