"""Real-ESRGAN networks from PyTorch to ncnn and back, proved equal.

>>> from realesrgan_export import export_checkpoint
>>> export_checkpoint("mine.safetensors", "models")  # doctest: +SKIP
"""

from realesrgan_export.errors import ExportError, ParityError
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
