"""Look for what would go wrong in a run, before it starts."""

from realesrgan_train.doctor.examine import Finding, Report, examine

__all__ = ["Finding", "Report", "examine"]
