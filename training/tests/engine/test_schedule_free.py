"""Schedule-free AdamW: its averaged weights are exported, and a stopped run keeps its bits."""

from __future__ import annotations

import os
import sys

import pytest
import torch
from torch import nn

from realesrgan_train.config import load_config
from realesrgan_train.config.schema import ExecutionConfig, OptimizerConfig
from realesrgan_train.engine import Trainer
from realesrgan_train.engine.averages import WeightAverage
from realesrgan_train.engine.updater import Updater
from realesrgan_train.errors import ConfigError

from ..conftest import Overrides
from ..interruption import stop_at_step
from .test_resume import ALONE, assert_same_bits

OPTIMIZER = OptimizerConfig(kind="schedulefree", lr=0.05, betas=(0.9, 0.99), warmup=5)


@pytest.fixture
def _package() -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("schedulefree", reason="schedulefree is not installed")


@pytest.mark.usefixtures("_package")
def test_the_average_is_what_the_package_evaluates_with() -> None:
    from schedulefree import AdamWScheduleFree  # noqa: PLC0415 - optional

    torch.manual_seed(0)
    network = nn.Linear(6, 4)
    x, y = torch.randn(64, 6), torch.randn(64, 4)
    updater = Updater(network.parameters(), OPTIMIZER, ExecutionConfig(), torch.device("cpu"), 60)
    average = WeightAverage(network, 0.999)
    assert updater.averaged() is None
    start = float((network(x) - y).square().mean().detach())
    for step in range(60):
        updater.backward((network(x) - y).square().mean())
        updater.update(step, 1.0)
        average.update(network, updater.averaged())
    assert isinstance(updater.optimizer, AdamWScheduleFree)
    updater.optimizer.eval()
    for ours, theirs in zip(average.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert float((average.network(x) - y).square().mean()) < 0.9 * start


@pytest.mark.usefixtures("_package")
@pytest.mark.parametrize("stop_at", [5, 11])
def test_a_stopped_run_keeps_its_bits(micro: Overrides, stop_at: int) -> None:
    kind = "{kind: schedulefree, schedule: constant, warmup: 3, lr: 2.0e-3}"
    options = micro(
        f"stages.net.optimizer={kind}",
        f"stages.gan.optimizer={kind}",
        f"stages.gan.discriminator_optimizer={kind}",
        "checkpoint.every=100",
    )
    straight = load_config("tiny", [*options, "name=straight"])
    Trainer(straight, ALONE).run()
    broken = load_config("tiny", [*options, "name=broken"])
    stop_at_step(broken, stop_at)
    torch.manual_seed(99)
    Trainer(broken, ALONE).run()
    last = "checkpoints/step-000000014-0"
    assert assert_same_bits(straight.run_dir / last, broken.run_dir / last) > 50


def test_what_it_cannot_do_is_told(micro: Overrides, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="schedulefree takes no schedule"):
        load_config("tiny", micro("stages.net.optimizer={kind: schedulefree, schedule: cosine}"))
    with pytest.raises(ConfigError, match="first of betas, which must be above 0"):
        load_config(
            "tiny",
            micro("stages.net.optimizer={kind: schedulefree, schedule: constant, betas: [0, 0.9]}"),
        )
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    config = load_config(
        "tiny", micro("stages.net.optimizer={kind: schedulefree, schedule: constant}")
    )
    with pytest.raises(ConfigError, match="is not installed: pip install schedulefree"):
        Trainer(config, ALONE)
