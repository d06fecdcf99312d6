"""The training loop and everything it is made of."""

from realesrgan_train.training.distributed import ProcessGroup, process_group
from realesrgan_train.training.loop import RunResult, Trainer
from realesrgan_train.training.validation import validate
from realesrgan_train.training.validation_set import ValidationSet

__all__ = ["ProcessGroup", "RunResult", "Trainer", "ValidationSet", "process_group", "validate"]
