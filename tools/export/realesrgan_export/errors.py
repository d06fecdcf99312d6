"""What can go wrong with an export; each error carries one message saying what to do."""

from __future__ import annotations


class ExportError(Exception):
    """The network cannot be exported, recovered or blended; nothing was written."""


class ParityError(ExportError):
    """An engine's pictures differ from PyTorch's by more than the numerical contract allows."""
