"""Many pictures: which files are read, who works on them, and where the results go."""

from realesrgan_vk.batch.events import Done, Event, Failed, Progress, Retired, Skipped, Summary
from realesrgan_vk.batch.pipeline import Batch, BatchOptions

__all__ = [
    "Batch",
    "BatchOptions",
    "Done",
    "Event",
    "Failed",
    "Progress",
    "Retired",
    "Skipped",
    "Summary",
]
