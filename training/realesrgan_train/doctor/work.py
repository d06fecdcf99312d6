"""How much work a training step is, found without computing it."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from realesrgan_train.config import RunConfig
from realesrgan_train.config.schema import GanStageConfig, OptimizerConfig, StartConfig
from realesrgan_train.degradations.recipe import DegradedBatch
from realesrgan_train.engine.building import configured_architecture
from realesrgan_train.engine.distributed import ProcessGroup
from realesrgan_train.engine.stages import GanStage, NetStage, Stage
from realesrgan_train.learned_metrics import Dists


def step_work(config: RunConfig) -> dict[str, int]:
    """Floating-point operations of a step of each stage on one process, by the stage's name.

    The step itself runs on the meta device, where tensors have shapes but no content. Convolutions
    and matrix products are counted, forward and backward, a multiplication and an addition as two.
    Not counted is what is done once an element: activations, losses, the degradation, Adam.
    No file is read, so that none needs to be there.
    """
    device = torch.device("meta")
    plain = {"compile": False, "precision": "fp32"}  # neither changes the work, nor runs there
    config = config.model_copy(update={"execution": config.execution.model_copy(update=plain)})
    group = ProcessGroup(0, 1, device)
    batch, channels, patch = config.data.batch_size, config.network.channels, config.gt_size
    found: dict[str, int] = {}
    with device:
        generator = configured_architecture(config).build()
        small = torch.empty(batch, channels, patch // config.scale, patch // config.scale)
        large = torch.empty(batch, channels, patch, patch)
        stages: list[Stage] = []
        if config.stages.net is not None:
            net = config.stages.net.model_copy(update={"optimizer": OptimizerConfig()})
            stages.append(NetStage(config, net, generator, group))
        if config.stages.gan is not None:
            stages.append(_gan_stage(config, config.stages.gan, generator, group))
    batches = [DegradedBatch(small, large, large)] * config.execution.accumulate
    for stage in stages:
        with FlopCounterMode(display=False) as counter:
            stage.train_step(batches, stage.idle, 1.0)  # the first one in which all networks learn
        found[stage.name] = counter.get_total_flops()
    return found


def _gan_stage(
    config: RunConfig, stage: GanStageConfig, generator: torch.nn.Module, group: ProcessGroup
) -> GanStage:
    """The second stage without the weights that its configuration names."""
    changes: dict[str, object] = {
        "optimizer": OptimizerConfig(),
        "discriminator_optimizer": OptimizerConfig(),
        "dists": None,
    }
    if stage.perceptual is not None:
        changes["perceptual"] = stage.perceptual.model_copy(update={"weights": "random"})
    unread = config.model_copy(update={"start": StartConfig()})
    made = GanStage(unread, stage.model_copy(update=changes), generator, generator, group)
    if stage.dists is not None:
        made.stage, made.dists = stage, Dists()
    return made
