"""One process or many: where this one runs and how figures are averaged over all."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

# Its functions take the group that exists while it is imported as their default and so keep it
# alive for good. DistributedDataParallel imports it; here it comes before there is a group.
import torch.distributed.nn
from torch import Tensor

from realesrgan_train.errors import ConfigError

_T = TypeVar("_T")


@dataclass(frozen=True)
class ProcessGroup:
    """This process: its number among all (`world`) and among those of its node, and its device."""

    rank: int
    world: int
    device: torch.device
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes the logs and the shared part of checkpoints."""
        return self.rank == 0

    @property
    def is_first_on_node(self) -> bool:
        """Whether this process does what its node needs once, such as a download."""
        return self.local_rank == 0

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier()

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Mean over processes of scalars; every process gets it, and must name the same ones."""
        if not values:
            return {}
        packed = torch.stack(
            [value.detach().to(self.device, torch.float64) for value in values.values()]
        )
        if self.world > 1:
            dist.all_reduce(packed)
            packed /= self.world
        return dict(zip(values, packed.tolist(), strict=True))

    def gather(self, items: Sequence[_T]) -> list[_T]:
        """The items of all processes, by rank, on every process."""
        if self.world == 1:
            return list(items)
        boxes: list[Sequence[_T]] = [()] * self.world
        dist.all_gather_object(boxes, items)
        return [item for box in boxes for item in box]

    def from_main(self, text: str) -> str:
        """What the main process passed, on every process."""
        if self.world == 1:
            return text
        box = [text]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]


def _device(choice: str, local_rank: int) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if choice == "cuda" and not has_cuda:
        raise ConfigError(
            "execution.device is cuda, but PyTorch sees no CUDA device: use auto or cpu"
        )
    if choice == "cpu" or not has_cuda:
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


@contextmanager
def process_group(device: str = "auto", timeout_minutes: int = 30) -> Iterator[ProcessGroup]:
    """Join the group that `torchrun` set up, or be alone without it.

    NCCL between CUDA devices, gloo between CPUs. Afterwards the group's threads are gone: one that
    still released a tensor while Python shuts down would abort the process.

    Args:
        device: `auto`, `cpu` or `cuda`.
        timeout_minutes: How long a collective waits for a process that never comes.

    Raises:
        ConfigError: CUDA was asked for and there is none.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = _device(device, local_rank)
    if world == 1:
        yield ProcessGroup(0, 1, chosen)
        return
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=timeout_minutes))
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size(), chosen, local_rank)
    finally:
        gc.collect()  # what was trained holds the group, in cycles
        dist.destroy_process_group()
