"""Look for what would go wrong in a run, before it starts."""

from realesrgan_train.doctor.examine import examine
from realesrgan_train.doctor.report import Finding, Report

__all__ = ["Finding", "Report", "examine"]
