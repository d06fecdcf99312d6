"""Real-ESRGAN networks from PyTorch to ncnn and back, verified against each other.

>>> from realesrgan_export import export_checkpoint
>>> export_checkpoint("mine.safetensors", "models")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from realesrgan_export.errors import ExportError, ParityError

if TYPE_CHECKING:
    from realesrgan_export.export import ExportOptions, export_checkpoint
    from realesrgan_export.recover import recover_network

__version__ = "0.1.0"

__all__ = [
    "ExportError",
    "ExportOptions",
    "ParityError",
    "__version__",
    "export_checkpoint",
    "recover_network",
]

_MODULES = dict.fromkeys(("ExportOptions", "export_checkpoint"), "export")
_MODULES["recover_network"] = "recover"


def __getattr__(name: str) -> object:
    """Import what needs PyTorch when it is first used: the commands set their signals before."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
