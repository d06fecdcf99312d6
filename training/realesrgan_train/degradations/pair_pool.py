"""A pool of degraded pairs, so that a batch is not made of one draw of the recipe."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from realesrgan_train.degradations.extent import to_device
from realesrgan_train.degradations.recipe import DegradedBatch


class PairPool(nn.Module):
    """Swap fresh pairs for ones drawn at random from the last few batches.

    Until the pool is full, batches pass through and are remembered; then each batch takes the
    places of as many random pairs, which are returned. The pool is part of the state dict: a run
    that is resumed continues with the same pairs.

    Pairs are kept in 8 bits (low resolution and ground truth, which lose nothing if they came from
    8-bit pictures) and 16-bit floats (sharpened ground truth, at most 1/4096 off).

    Args:
        size: Pairs to keep; rounded down to a multiple of the batch. 0 passes batches through.
    """

    def __init__(self, size: int = 180) -> None:
        super().__init__()
        if size < 0:
            raise ValueError(f"PairPool: size must not be negative, it is {size}")
        self.size = size
        self.filled = 0
        self._pairs: DegradedBatch | None = None

    def forward(self, batch: DegradedBatch, generator: torch.Generator) -> DegradedBatch:
        """Exchange a batch.

        Args:
            batch: Pairs of one shape for the pool's whole life.
            generator: Generator of the CPU, picks the pairs; not used until the pool is full.

        Returns:
            As many pairs, float32; a pair may be the very one just given only while filling up.

        Raises:
            ValueError: If the batch has another shape than the pairs in the pool.
        """
        count = len(batch.lq)
        capacity = self.size // count * count
        if capacity == 0:
            return batch
        pairs = self._pairs_for(batch, capacity)
        if self.filled < capacity:
            for kept, fresh in zip(pairs, _pack(batch), strict=True):
                kept[self.filled : self.filled + count] = fresh
            self.filled += count
            return batch
        chosen = to_device(torch.randperm(capacity, generator=generator)[:count], batch.lq.device)
        taken = DegradedBatch(*(kept.index_select(0, chosen) for kept in pairs))
        for kept, fresh in zip(pairs, _pack(batch), strict=True):
            kept.index_copy_(0, chosen, fresh)
        return _unpack(taken)

    def _pairs_for(self, batch: DegradedBatch, capacity: int) -> DegradedBatch:
        shapes = [(capacity, *tensor.shape[1:]) for tensor in batch]
        if self._pairs is None:
            packed = _pack(batch)
            self._pairs = DegradedBatch(
                *(new.new_zeros(shape) for new, shape in zip(packed, shapes, strict=True))
            )
        if [tuple(kept.shape) for kept in self._pairs] != shapes:
            raise ValueError(
                f"PairPool: holds {len(self._pairs.lq)} pairs of "
                f"{tuple(self._pairs.gt.shape[1:])}, cannot exchange {len(batch.gt)} of "
                f"{tuple(batch.gt.shape[1:])}; batch and patch size must not change during a run"
            )
        if self._pairs.lq.device != batch.lq.device:
            self._pairs = DegradedBatch(*(kept.to(batch.lq.device) for kept in self._pairs))
        return self._pairs

    def get_extra_state(self) -> dict[str, Tensor | int]:
        """The pairs and how many there are."""
        if self._pairs is None:
            return {"filled": 0}
        return {"filled": self.filled, **self._pairs._asdict()}

    def set_extra_state(self, state: dict[str, Tensor | int]) -> None:
        """Take over the pairs of another pool."""
        filled = state["filled"]
        if not isinstance(filled, int):
            raise ValueError("PairPool: the state is not a pool's")
        self.filled = filled
        pairs = [state[name] for name in DegradedBatch._fields] if filled else []
        tensors = [pair.clone() for pair in pairs if isinstance(pair, Tensor)]
        self._pairs = DegradedBatch(*tensors) if tensors else None


def _pack(batch: DegradedBatch) -> DegradedBatch:
    return DegradedBatch(
        (batch.lq * 255).round().to(torch.uint8),
        (batch.gt * 255).round().to(torch.uint8),
        batch.gt_usm.half(),
    )


def _unpack(batch: DegradedBatch) -> DegradedBatch:
    return DegradedBatch(batch.lq.float() / 255, batch.gt.float() / 255, batch.gt_usm.float())
