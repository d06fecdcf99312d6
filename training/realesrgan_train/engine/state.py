"""Everything that changes while training, to and from a checkpoint."""

from __future__ import annotations

from typing import Any

import torch

from realesrgan_train.config import RunConfig
from realesrgan_train.engine.averages import RunningMeans, WeightAverage
from realesrgan_train.engine.building import build_generator
from realesrgan_train.engine.distributed import ProcessGroup
from realesrgan_train.engine.guards import Guards
from realesrgan_train.engine.preparing import BatchPreparer
from realesrgan_train.engine.stages import GanStage, NetStage, Stage
from realesrgan_train.errors import CheckpointError
from realesrgan_train.wording import first_line


class TrainingState:
    """Networks, optimisers, averages, counters and the pair pool of one process.

    Random numbers need no place here: every stream is a function of the seed and the step.
    """

    def __init__(self, config: RunConfig, group: ProcessGroup) -> None:
        self.config, self.group = config, group
        self.step = 0
        self.rollbacks = 0
        self.rate_factor = 1.0
        self.generator, self.random_start = build_generator(config)
        self.generator.to(group.device).train()
        if config.execution.channels_last:
            self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = WeightAverage(self.generator, config.execution.ema_decay)
        self.preparer = BatchPreparer(config, group.device, group.rank)
        self.guards = Guards(config.guards)
        self.logged, self.guarded = RunningMeans(), RunningMeans()
        self.stage: Stage = self._make_stage(self.stage_name(0))

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return self._net_steps + (self.config.stages.gan.steps if self.config.stages.gan else 0)

    @property
    def _net_steps(self) -> int:
        return self.config.stages.net.steps if self.config.stages.net else 0

    @property
    def seed(self) -> int:
        """The run's seed, another one after a rollback: the same draws could go wrong again."""
        return self.config.seed + self.rollbacks * 1_000_003

    @property
    def stage_step(self) -> int:
        """Steps done in the present stage."""
        return self.step - (self._net_steps if self.stage.name == "gan" else 0)

    def stage_name(self, step: int) -> str:
        """The stage that does the step after `step` done ones."""
        return "net" if step < self._net_steps else "gan"

    def _make_stage(self, name: str) -> Stage:
        stages = self.config.stages
        if name == "net" and stages.net is not None:
            return NetStage(self.config, stages.net, self.generator, self.group)
        if stages.gan is None:
            raise ValueError(f"the configuration has no stage {name!r}")
        average = self.average.network
        return GanStage(self.config, stages.gan, self.generator, average, self.group)

    def enter_stage(self) -> bool:
        """Go over to the second stage when the first is done; returns whether it did so."""
        name = self.stage_name(self.step)
        if name == self.stage.name or self.step >= self.total_steps:
            return False
        self.generator.load_state_dict(self.average.network.state_dict())
        self.stage = self._make_stage(name)
        self._forget_figures()
        return True

    def _forget_figures(self) -> None:
        self.guards.reset()
        self.logged.clear()
        self.guarded.clear()

    def go_back(self, main: dict[str, Any], own: dict[str, Any]) -> None:
        """Restore a checkpoint after a guard's finding: half the rate, other draws."""
        factor, rollbacks = self.rate_factor / 2, self.rollbacks + 1
        self.load(main, own)
        self.rate_factor, self.rollbacks = factor, rollbacks
        self.preparer.seed = self.seed
        self._forget_figures()

    def is_finite(self) -> bool:
        """Whether no weight of any network and no average is infinite or not a number."""
        networks = [self.generator, self.average.network, *self.stage.own_networks]
        tensors = [tensor for network in networks for tensor in network.parameters()]
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)

    def main_state(self) -> dict[str, Any]:
        """What all processes share."""
        return {
            "step": self.step,
            "rollbacks": self.rollbacks,
            "rate_factor": self.rate_factor,
            "world": self.group.world,
            "threads": torch.get_num_threads(),
            "device": self.group.device.type,
            "stage": self.stage.name,
            "generator": self.generator.state_dict(),
            "average": self.average.network.state_dict(),
            "stage_state": self.stage.state_dict(),
            "guards": self.guards.state_dict(),
        }

    def own_state(self) -> dict[str, Any]:
        """What is this process's own: the pair pool and half-taken means."""
        return {
            "preparer": self.preparer.pool.state_dict(),
            "logged": self.logged.state_dict(),
            "guarded": self.guarded.state_dict(),
        }

    def load(self, main: dict[str, Any], own: dict[str, Any]) -> None:
        """Restore what `main_state` and `own_state` returned.

        Raises:
            CheckpointError: The checkpoint belongs to another network.
        """
        if main["stage"] != self.stage.name:
            self.stage = self._make_stage(main["stage"])
        try:
            self.generator.load_state_dict(main["generator"])
            self.average.network.load_state_dict(main["average"])
            self.stage.load_state_dict(main["stage_state"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"the checkpoint belongs to another network than the configured one "
                f"({first_line(error)})"
            ) from error
        self.step, self.rollbacks = main["step"], main["rollbacks"]
        self.rate_factor = main["rate_factor"]
        self.guards.load_state_dict(main["guards"])
        self.preparer.pool.load_state_dict(own["preparer"])
        self.preparer.seed = self.seed
        self.logged.load_state_dict(own["logged"], self.group.device)
        self.guarded.load_state_dict(own["guarded"], self.group.device)
