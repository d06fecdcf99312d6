"""A run that is interrupted at a step of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from realesrgan_train.config import RunConfig
from realesrgan_train.data.batches import TrainingBatch
from realesrgan_train.engine import ProcessGroup, Trainer


def stop_at_step(config: RunConfig, step: int) -> None:
    """Train alone up to a step, save a checkpoint there, and stop as after a signal."""
    trainer = Trainer(config, ProcessGroup(0, 1, torch.device("cpu")))
    inner = trainer._one_step

    def stop(batches: Iterator[TrainingBatch]) -> None:
        if trainer.state.step == step:
            trainer._save()
            raise KeyboardInterrupt
        inner(batches)

    trainer._one_step = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
