"""The errors of this package: one family for all that goes wrong with a correct call.

A call that is itself wrong (an unknown option, an array of a wrong shape or type) raises
`ValueError` or `TypeError` instead.
"""

from realesrgan_vk._core import (
    Cancelled,
    DeviceError,
    ImageError,
    ModelError,
    OutOfMemoryError,
    RealesrganError,
)

__all__ = [
    "Cancelled",
    "DeviceError",
    "ImageError",
    "ModelError",
    "OutOfMemoryError",
    "RealesrganError",
]
