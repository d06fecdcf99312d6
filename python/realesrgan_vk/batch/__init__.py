"""Many pictures: which files are read, who works on them, and where the results go."""

from realesrgan_vk.batch.pipeline import Batch, BatchOptions, Event, Summary

__all__ = ["Batch", "BatchOptions", "Event", "Summary"]
