"""The training loop and everything it is made of."""

from realesrgan_train.engine.distributed import ProcessGroup, process_group
from realesrgan_train.engine.trainer import RunResult, Trainer
from realesrgan_train.engine.validation import ValidationSet, validate

__all__ = ["ProcessGroup", "RunResult", "Trainer", "ValidationSet", "process_group", "validate"]
