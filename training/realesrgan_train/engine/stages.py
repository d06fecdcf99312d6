"""One optimiser step of stage 1 (`net`) and of stage 2 (`gan`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from realesrgan_train.config import RunConfig
from realesrgan_train.config.schema import (
    ExecutionConfig,
    GanStageConfig,
    NetStageConfig,
    OptimizerConfig,
    Target,
)
from realesrgan_train.degradations.recipe import DegradedBatch
from realesrgan_train.engine.building import build_discriminator
from realesrgan_train.engine.distributed import ProcessGroup
from realesrgan_train.engine.updater import Updater
from realesrgan_train.learned_metrics import load_metric
from realesrgan_train.losses.artefacts import ArtefactLoss
from realesrgan_train.losses.frequency import FocalFrequencyLoss, FourierL1Loss
from realesrgan_train.losses.gan import GANLoss
from realesrgan_train.losses.perceptual import perceptual_loss
from realesrgan_train.losses.pixel import CharbonnierLoss, L1Loss
from realesrgan_train.losses.structure import MsSsimLoss


def wrap(network: nn.Module, group: ProcessGroup, execution: ExecutionConfig) -> nn.Module:
    """Make a network's gradients the mean over processes, and compile it when asked."""
    if execution.compile:
        network.compile()
    if group.world == 1:
        return network
    devices = [group.device] if group.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices)


class Stage(ABC):
    """The optimisers and losses of one stage around a generator that outlives it."""

    name: str

    def __init__(
        self,
        config: RunConfig,
        stage: NetStageConfig | GanStageConfig,
        generator: nn.Module,
        group: ProcessGroup,
    ) -> None:
        self.config, self.stage, self.generator, self.group = config, stage, generator, group
        self.steps = stage.steps
        self.idle = stage.warmup_discriminator if isinstance(stage, GanStageConfig) else 0
        """Steps at the stage's start in which the generator does not learn."""
        self.wrapped = wrap(generator, group, config.execution)
        pixel = L1Loss if stage.pixel.kind == "l1" else CharbonnierLoss
        self.pixel = pixel(weight=stage.pixel.weight)
        self.beside = _beside(stage)
        """Losses of output and target beside the pixel loss: by name, with the target's name."""
        self.updater = self._updater(generator, stage.optimizer, self.steps - self.idle)
        self.parts: dict[str, Updater | nn.Module] = {"generator_updater": self.updater}
        """What a checkpoint keeps of the stage, by its name there."""
        precision = config.execution.precision
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)

    @abstractmethod
    def train_step(
        self, batches: Sequence[DegradedBatch], step: int, rate_factor: float
    ) -> dict[str, Tensor]:
        """One optimiser step over the micro-batches.

        Args:
            batches: `execution.accumulate` of them.
            step: Step of the stage, from 0.
            rate_factor: Factor on every learning rate.

        Returns:
            Detached scalars on the device: losses by name, and `colour_r/g/b` (`colour_grey` of a
            grey network), the mean difference between output and target per channel. Losses that
            were not computed are left out.
        """

    @property
    def own_networks(self) -> list[nn.Module]:
        """Networks that are trained beside the generator."""
        return [part for part in self.parts.values() if isinstance(part, nn.Module)]

    def state_dict(self) -> dict[str, Any]:
        """Everything of the stage but the generator's weights."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])

    def _updater(self, network: nn.Module, optimizer: OptimizerConfig, steps: int) -> Updater:
        execution, device = self.config.execution, self.group.device
        return Updater(network.parameters(), optimizer, execution, device, steps)

    def _pixel_losses(self, output: Tensor, batch: DegradedBatch) -> dict[str, Tensor]:
        """The pixel loss and those beside it, in fp32."""
        losses = {"loss_pixel": self.pixel(output, batch.target(self.stage.pixel.target))}
        for name, (loss, target) in self.beside.items():
            losses[f"loss_{name}"] = loss(output, batch.target(target))
        return losses

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self.group.device.type, self._dtype)

    def _run(self, network: nn.Module, x: Tensor) -> Tensor:
        """Run a network under autocast; the losses see fp32."""
        with self._autocast():
            output: Tensor = network(x)
        return output.float()

    def _collecting(self, network: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Exchange gradients between processes only at the last micro-batch."""
        if isinstance(network, DistributedDataParallel) and not last:
            return network.no_sync()
        return nullcontext()


def _beside(stage: NetStageConfig | GanStageConfig) -> dict[str, tuple[nn.Module, Target]]:
    losses: dict[str, tuple[nn.Module, Target]] = {}
    if stage.ms_ssim is not None:
        losses["ms_ssim"] = (MsSsimLoss(stage.ms_ssim.weight), stage.ms_ssim.target)
    if (wanted := stage.frequency) is not None:
        kind = FourierL1Loss if wanted.kind == "l1" else FocalFrequencyLoss
        losses["frequency"] = (kind(wanted.weight), wanted.target)
    return losses


def _summed(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"loss": torch.stack(list(losses.values())).sum(), **losses}


def _add(into: dict[str, Tensor], values: dict[str, Tensor], share: float) -> None:
    for name, value in values.items():
        scaled = value.detach() * share
        into[name] = into[name] + scaled if name in into else scaled


def _colour(output: Tensor, target: Tensor) -> dict[str, Tensor]:
    drift = (output.detach() - target).mean(dim=(0, 2, 3))
    names = "rgb" if len(drift) == 3 else ("grey",)
    return {f"colour_{channel}": drift[i] for i, channel in enumerate(names)}


class NetStage(Stage):
    """Stage 1: the pixel loss, and those that are named beside it."""

    name = "net"

    def train_step(
        self, batches: Sequence[DegradedBatch], step: int, rate_factor: float
    ) -> dict[str, Tensor]:
        """See `Stage.train_step`; reports `loss`, and its parts where there are several."""
        report: dict[str, Tensor] = {}
        share = 1 / len(batches)
        for number, batch in enumerate(batches, 1):
            with self._collecting(self.wrapped, number == len(batches)):
                output = self._run(self.wrapped, batch.lq)
                losses = self._pixel_losses(output, batch)
                losses = _summed(losses) if self.beside else {"loss": losses["loss_pixel"]}
                self.updater.backward(losses["loss"] * share)
            drift = _colour(output, batch.target(self.stage.pixel.target))
            _add(report, {**losses, **drift}, share)
        self.updater.update(step, rate_factor)
        return report


class GanStage(Stage):
    """Stage 2: pixel, perceptual and adversarial losses; then the discriminator's turn.

    `average` is the averaged generator, which the artefact loss compares with.
    """

    name = "gan"
    stage: GanStageConfig

    def __init__(
        self,
        config: RunConfig,
        stage: GanStageConfig,
        generator: nn.Module,
        average: nn.Module,
        group: ProcessGroup,
    ) -> None:
        super().__init__(config, stage, generator, group)
        self.average = average
        self.artefacts = ArtefactLoss(stage.artefacts.weight) if stage.artefacts else None
        self.dists = (
            load_metric("dists", stage.dists, group.device, "stages.gan.dists")
            if stage.dists
            else None
        )
        self.discriminator = build_discriminator(config).to(group.device).train()
        if config.execution.channels_last:
            self.discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.wrapped_discriminator = wrap(self.discriminator, group, config.execution)
        self.gan = GANLoss(stage.gan.kind, stage.gan.weight)
        self.perceptual = perceptual_loss(stage.perceptual, config.seed)
        if self.perceptual is not None:
            self.perceptual.to(group.device)
        self.discriminator_updater = self._updater(
            self.discriminator, stage.discriminator_optimizer, self.steps
        )
        self.parts["discriminator"] = self.discriminator
        self.parts["discriminator_updater"] = self.discriminator_updater

    def train_step(
        self, batches: Sequence[DegradedBatch], step: int, rate_factor: float
    ) -> dict[str, Tensor]:
        """See `Stage.train_step`.

        Reports `loss` and its parts (but in the discriminator's warm-up), `discriminator_loss`, and
        the discriminator's mean answers to real and to generated pictures.
        """
        if step < self.idle:
            report, outputs = self._look(batches)
        else:
            report, outputs = self._generator_step(batches, step - self.idle, rate_factor)
        for _ in range(self.stage.discriminator_steps):
            answers = self._discriminator_step(batches, outputs, step, rate_factor)
        return {**report, **answers}

    @torch.no_grad()
    def _look(self, batches: Sequence[DegradedBatch]) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The generator's figures and outputs, while it does not learn."""
        report: dict[str, Tensor] = {}
        outputs = []
        for batch in batches:
            output = self._run(self.generator, batch.lq)
            outputs.append(output)
            drift = _colour(output, batch.target(self.stage.pixel.target))
            _add(report, drift, 1 / len(batches))
        return report, outputs

    def _generator_step(
        self, batches: Sequence[DegradedBatch], step: int, rate_factor: float
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """One step of the generator, the `step`-th that it learns in: its figures and outputs."""
        report: dict[str, Tensor] = {}
        outputs: list[Tensor] = []
        self.discriminator.requires_grad_(False)
        for number, batch in enumerate(batches, 1):
            with self._collecting(self.wrapped, number == len(batches)):
                output = self._run(self.wrapped, batch.lq)
                losses = self._generator_losses(output, batch)
                self.updater.backward(losses["loss"] / len(batches))
            outputs.append(output.detach())
            drift = _colour(output, batch.target(self.stage.pixel.target))
            _add(report, {**losses, **drift}, 1 / len(batches))
        self.updater.update(step, rate_factor)
        self.discriminator.requires_grad_(True)
        return report, outputs

    def _generator_losses(self, output: Tensor, batch: DegradedBatch) -> dict[str, Tensor]:
        stage = self.stage
        losses = self._pixel_losses(output, batch)
        if self.artefacts is not None and stage.artefacts is not None:
            with torch.no_grad():
                average = self._run(self.average, batch.lq)
            target = batch.target(stage.artefacts.target)
            losses["loss_artefacts"] = self.artefacts(output, average, target)
        if self.dists is not None and stage.dists is not None:
            with self._autocast():
                distance = self.dists(output, batch.target(stage.dists.target))
            losses["loss_dists"] = stage.dists.weight * distance.float()
        if self.perceptual is not None and stage.perceptual is not None:
            with self._autocast():
                perceptual = self.perceptual(output, batch.target(stage.perceptual.target))
            losses["loss_perceptual"] = perceptual.float()
        if stage.gan.weight:
            real = None
            if self.gan.needs_real_for_generator:
                with torch.no_grad():
                    real = self._run(self.discriminator, batch.target(stage.gan.target))
            fake = self._run(self.discriminator, output)
            losses["loss_gan"] = self.gan.generator(fake, real)
        return _summed(losses)

    def _discriminator_step(
        self,
        batches: Sequence[DegradedBatch],
        outputs: Sequence[Tensor],
        step: int,
        rate_factor: float,
    ) -> dict[str, Tensor]:
        answers: dict[str, Tensor] = {}
        network = self.wrapped_discriminator
        for number, (batch, output) in enumerate(zip(batches, outputs, strict=True), 1):
            with self._collecting(network, number == len(batches)):
                # Real and generated pictures go through together. Without batch norm the answers
                # are those of one pass each, but spectral norm takes one power iteration instead
                # of two: with the generator's pass it takes two a step, the reference three.
                both = torch.cat((batch.target(self.stage.gan.target), output))
                real, fake = self._run(network, both).chunk(2)
                loss = self.gan.discriminator(real, fake)
                self.discriminator_updater.backward(loss / len(batches))
            values = {
                "discriminator_loss": loss,
                "discriminator_real": real.mean(),
                "discriminator_fake": fake.mean(),
            }
            _add(answers, values, 1 / len(batches))
        self.discriminator_updater.update(step, rate_factor)
        return answers
