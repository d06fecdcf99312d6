"""From a loaded batch to what the networks see: low-resolution pictures and their targets."""

from __future__ import annotations

import torch
from torch import Tensor

from realesrgan_train.config import RunConfig
from realesrgan_train.data.batches import TrainingBatch
from realesrgan_train.data.sampler import DEGRADATION_STREAM, torch_seed
from realesrgan_train.degradations.pair_pool import PairPool
from realesrgan_train.degradations.recipe import DegradedBatch, Degrader
from realesrgan_train.degradations.usm import usm_sharpen


class BatchPreparer:
    """Degrades pictures, adds given pairs, puts both on the device.

    The random stream of a micro-batch belongs to (seed, number, rank); only the pair pool carries
    something from one batch to the next, and it is part of the checkpoint.
    """

    def __init__(self, config: RunConfig, device: torch.device, rank: int) -> None:
        self.config, self.device, self.rank = config, device, rank
        self.seed = config.seed
        self.degrader = Degrader(config.degradation, config.scale)
        self.pool = PairPool(config.degradation.pool_size)
        self._generator = torch.Generator()

    @torch.no_grad()
    def prepare(self, batch: TrainingBatch, number: int) -> DegradedBatch:
        """Turn micro-batch `number` into network input and targets."""
        self._generator.manual_seed(torch_seed(self.seed, DEGRADATION_STREAM, number, self.rank))
        parts = []
        if len(batch.crops):
            parts.append(self.degrader(self._to_device(batch.crops), self._generator))
        if len(batch.pair_gt):
            gt, usm = self._to_device(batch.pair_gt), self.config.degradation.usm
            sharpened = usm_sharpen(gt, usm.weight, usm.radius, usm.threshold)
            parts.append(DegradedBatch(self._to_device(batch.pair_lq), gt, sharpened))
        # Both kinds go through the pool: it needs batches of one size, and mixes them as well.
        whole = DegradedBatch(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
        mixed: DegradedBatch = self.pool(whole, self._generator)
        return DegradedBatch(*(self._in_order(tensor) for tensor in mixed))

    def _to_device(self, eight_bit: Tensor) -> Tensor:
        return eight_bit.to(self.device, non_blocking=True).float() / 255

    def _in_order(self, tensor: Tensor) -> Tensor:
        if self.config.execution.channels_last:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor
